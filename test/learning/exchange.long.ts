import { expect, test } from '@jest/globals';
import { exchangeTrials } from './exchange-trials.ts';

test('1,000 exchanges under load: no request fails, and memory stays flat', async () => {
  const { answered, used, resident } = await exchangeTrials(1000);
  console.log(`1,000 exchanges, ${answered} answers: in the second half memory in use grew by ${used.toFixed(1)} MB, resident by ${resident.toFixed(1)} MB`);
  expect(answered).toBeGreaterThanOrEqual(1000);
  expect(used).toBeLessThan(15);
  expect(resident).toBeLessThan(60);
}, 600_000);
