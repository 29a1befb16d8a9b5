import { expect, test } from '@jest/globals';
import { killTrials } from './kill-trials.ts';

test('ingestion that is killed 20 times loses nothing acknowledged, and the index equals a rebuild', async () => {
  const { midway, acknowledgedAtKills } = await killTrials(20, 200);
  expect(acknowledgedAtKills).toHaveLength(20);
  expect(midway).toBe(20);
}, 900_000);
