import { expect, test } from '@jest/globals';
import { fuzz } from './mutate.ts';

test('10,000 damaged files of all formats end in typed errors or numbers', () => {
  const result = fuzz(10_000, 1_000_000);
  expect(result.refused).toBeGreaterThan(3000);
  expect(result.slowestMs).toBeLessThan(5000);
  expect(result.peakArrayBytes).toBeLessThan(200 * 2 ** 20);
});
