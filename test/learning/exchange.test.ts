import { expect, test } from '@jest/globals';
import { exchangeTrials } from './exchange-trials.ts';

test('200 exchanges under load: no request fails, and memory stays flat', async () => {
  const { answered, growth } = await exchangeTrials(200);
  expect(answered).toBeGreaterThanOrEqual(200);
  expect(growth).toBeLessThan(120);
}, 120_000);
