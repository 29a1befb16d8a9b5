import { expect, test } from '@jest/globals';
import { killTrials, twoWriters } from './crash-trials.ts';

test('two processes write 500 transactions into one SQLite file: none lost, none failed', () => twoWriters(500), 180_000);

test('kill −9 at 20 random moments: nothing acknowledged is missing, nothing is sent twice', async () => {
  const figures = await killTrials(20, 25);
  expect(figures.trials).toBe(20);
  expect(figures.acknowledged).toBeGreaterThan(40);
  expect(figures.sent).toBeGreaterThan(5);
}, 180_000);
