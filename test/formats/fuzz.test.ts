import { expect, test } from '@jest/globals';
import { fuzz } from './mutate.ts';

test('500 damaged files of all formats end in typed errors or numbers, quickly and in little memory', () => {
  const result = fuzz(500, 1);
  expect(result.refused).toBeGreaterThan(150);
  expect(result.read).toBeGreaterThan(20);
  expect(result.codes.size).toBeGreaterThanOrEqual(6);
  expect(result.slowestMs).toBeLessThan(2000);
  expect(result.peakArrayBytes).toBeLessThan(200 * 2 ** 20);
});
