import { expect, test } from '@jest/globals';
import { exchangeTrials } from './exchange-trials.ts';

test('1,000 exchanges under load: no request fails, and memory stays flat', async () => {
  const { answered, growth } = await exchangeTrials(1000);
  expect(answered).toBeGreaterThanOrEqual(1000);
  expect(growth).toBeLessThan(120);
}, 600_000);
