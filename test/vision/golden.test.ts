import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import { readNpy } from '../../src/formats/index.ts';
import { parsePreprocessorConfig, preprocessPicture } from '../../src/vision/index.ts';

const root = fileURLToPath(new URL('../../../shared/golden/', import.meta.url));
// Skipped where the golden folder is not beside the repository.
const shared = existsSync(root);

describe.each(['fromage-k1', 'fromage-k4-postnorm'])('%s', (name) => {
  (shared ? test : test.skip)('pixel values of every picture equal those of PIL and the reference', async () => {
    const folder = `${root}${name}/`;
    const expected = readNpy(`${folder}pixel_values.npy`);
    const preset = parsePreprocessorConfig(JSON.parse(readFileSync(`${folder}clip-tiny/preprocessor_config.json`, 'utf8')));
    const { images } = JSON.parse(readFileSync(`${folder}expected.json`, 'utf8')) as { images: { file: string }[] };
    expect(images).toHaveLength(expected.shape[0]!);
    for (const [i, { file }] of images.entries()) {
      const { data } = await preprocessPicture(readFileSync(`${folder}images/${file}`), preset);
      const wanted = (expected.data as Float32Array).subarray(i * data.length, (i + 1) * data.length);
      const worst = data.reduce((max, value, j) => Math.max(max, Math.abs(value - wanted[j]!)), 0);
      // A single byte off by one would be 0.014.
      expect({ file, exact: worst < 1e-6 }).toEqual({ file, exact: true });
    }
  });
});
