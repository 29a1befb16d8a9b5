import { expect, test } from '@jest/globals';
import { decodeMutated } from './mutations.ts';

test('10,000 damaged pictures give pixels or a VisionError, and one child lives through all of them', async () => {
  const { decoded, refused, processes } = await decodeMutated(10_000, 21);
  expect(decoded + refused).toBe(10_000);
  expect(processes).toBe(1);
});
