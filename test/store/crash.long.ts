import { test } from '@jest/globals';
import { killTrials, twoWriters } from './crash-trials.ts';

test('two processes write 5,000 transactions into one SQLite file: none lost, none failed', () => twoWriters(5000));

test('kill −9 at 200 random moments: nothing acknowledged is missing, nothing is sent twice', async () => {
  console.log(await killTrials(200, 60));
});
