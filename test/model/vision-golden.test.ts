import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import { openWeights, readNpy } from '../../src/formats/index.ts';
import { loadVisionEncoder } from '../../src/model/vision-encoder.ts';
import { linear, topK } from '../../src/tensor/index.ts';
import { parseModelPicture } from '../../src/vision/index.ts';
import { extractTar } from './vision-photos.ts';

const shared = fileURLToPath(new URL('../../../shared/', import.meta.url));
const starter = fileURLToPath(new URL('../../models/starter/', import.meta.url));
// Skipped where the golden numbers and the photos are not beside the repository.
const golden = existsSync(`${shared}golden`) && existsSync(`${shared}data/flickr8k/dev-images.tar`) ? test : test.skip;

/** Largest difference over the largest expected entry; the golden numbers are given to 1e-4 of it. */
function relativeError(actual: Float32Array, expected: readonly number[]): number {
  expect(actual).toHaveLength(expected.length);
  const scale = Math.max(...expected.map(Math.abs));
  return Math.max(...expected.map((value, i) => Math.abs(value - actual[i]!))) / scale;
}

describe.each(['fromage-k1', 'fromage-k4-postnorm'])('%s', (name) => {
  golden('pooled outputs from the stored pixel values and from the pictures', async () => {
    const folder = `${shared}golden/${name}/`;
    const { images } = JSON.parse(readFileSync(`${folder}expected.json`, 'utf8')) as { images: { file: string; pooled: number[] }[] };
    const stored = readNpy(`${folder}pixel_values.npy`).data as Float32Array;
    const encoder = await loadVisionEncoder({ source: `${folder}clip-tiny`, threads: 1 });
    const pooled = await encoder.encode(stored, images.length);
    for (const [i, { file, pooled: expected }] of images.entries()) {
      expect(relativeError(pooled.subarray(i * expected.length, (i + 1) * expected.length), expected)).toBeLessThan(1e-4);
      const pixels = await encoder.preprocess(readFileSync(`${folder}images/${file}`));
      expect(relativeError(await encoder.encode(pixels, 1), expected)).toBeLessThan(1e-4);
    }
    await encoder.close();
  });
});

describe('the starter', () => {
  golden('EfficientNet-Lite0: pooled outputs of photos, and ImageNet\'s top five through the classifier', async () => {
    const { vision } = JSON.parse(readFileSync(`${shared}golden/starter/expected.json`, 'utf8')) as {
      vision: { file: string; pooled: number[]; imagenet_top5: [number, number][] }[];
    };
    const { picture } = JSON.parse(readFileSync(`${starter}model.json`, 'utf8')) as { picture: unknown };
    const source = `${starter}efficientnet-lite0.pth`;
    const encoder = await loadVisionEncoder({ source, picture: parseModelPicture(picture), threads: 1 });
    const weights = openWeights(source);
    const [classifier, bias] = [weights.readFloat32('_fc.weight'), weights.readFloat32('_fc.bias')];
    weights.close();
    const files = await extractTar(`${shared}data/flickr8k/dev-images.tar`, vision.map(({ file }) => file));
    for (const { file, pooled, imagenet_top5: top5 } of vision) {
      const features = await encoder.encode(await encoder.preprocess(files.get(file)!), 1);
      expect(relativeError(features, pooled)).toBeLessThan(1e-4);
      const classes = linear(features, classifier, bias, 1);
      expect(topK(classes, 5)).toEqual(top5.map(([index]) => index));
      for (const [index, score] of top5) expect(classes[index]).toBeCloseTo(score, 2);
    }
    await encoder.close();
  });

  test('loads from the repository alone and knows its size', async () => {
    const encoder = await loadVisionEncoder({ source: `${starter}efficientnet-lite0.pth`, threads: 1 });
    expect(encoder).toMatchObject({ visionHiddenSize: 1280, imageSize: 224, hash: expect.stringMatching(/^[0-9a-f]{64}$/) });
    const waves = Float32Array.from({ length: 2 * 3 * 224 * 224 }, (_, i) => Math.sin(i / 7) * Math.cos(i / 2240));
    const pooled = await encoder.encode(waves, 2);
    expect(pooled).toHaveLength(2560);
    // A mean over ReLU6 outputs.
    expect(pooled.every((value) => value >= 0 && value <= 6)).toBe(true);
    expect(pooled.some((value) => value > 0.1)).toBe(true);
    await encoder.close();
  });
});
