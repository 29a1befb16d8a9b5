import { expect, test } from '@jest/globals';
import { decodeMutated } from './mutations.ts';

test('500 damaged pictures give pixels or a VisionError, and one child lives through all of them', async () => {
  const { decoded, refused, processes } = await decodeMutated(500, 20);
  expect(decoded + refused).toBe(500);
  // Both ways out were really taken.
  expect(decoded).toBeGreaterThan(50);
  expect(refused).toBeGreaterThan(150);
  expect(processes).toBe(1);
});
