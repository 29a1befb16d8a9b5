import { expect, test } from '@jest/globals';
import { exchangeTrials } from './exchange-trials.ts';

test('200 exchanges under load: no request fails, and memory stays flat', async () => {
  const { answered, used, resident } = await exchangeTrials(200);
  expect(answered).toBeGreaterThanOrEqual(200);
  expect(used).toBeLessThan(15);
  expect(resident).toBeLessThan(100);
}, 240_000);
