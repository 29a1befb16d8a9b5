// Pictures that several people send at the same time.
import { expect, test } from '@jest/globals';
import { ImageFeatures } from '../../src/engine/image-features.ts';
import type { WorkQueue } from '../../src/engine/work-queue.ts';
import type { VisionEncoder } from '../../src/model/types.ts';

test('a picture that somebody else’s request encodes meanwhile is given as features, not as pixels', async () => {
  const waiting: (() => void)[] = [];
  const vision = {
    hash: 'v',
    visionHiddenSize: 2,
    preprocess: () => new Promise<Float32Array>((resolve) => waiting.push(() => resolve(new Float32Array(12).fill(7)))),
    encode: async (_pixels: Float32Array, count: number) => new Float32Array(count * 2).fill(1),
  } as unknown as VisionEncoder;
  const work = { unit: (run: () => Promise<Float32Array>) => run() } as unknown as WorkQueue;
  const features = new ImageFeatures(vision, work, 8);
  const picture = Uint8Array.of(1, 2, 3);
  const [first, second] = [features.encode([picture]), features.encode([picture])];
  waiting[0]!();
  expect(await first).toEqual([Float32Array.of(1, 1)]);
  waiting[1]!();
  expect(await second).toEqual([Float32Array.of(1, 1)]);
});
