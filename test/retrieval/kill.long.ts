import { expect, test } from '@jest/globals';
import { killTrials } from './kill-trials.ts';

test('ingestion that is killed 20 times loses nothing acknowledged, and the index equals a rebuild', async () => {
  const { kills, acknowledgedAtKills } = await killTrials(20, 140);
  expect(kills).toBe(20);
  expect(acknowledgedAtKills.at(-1)).toBeLessThan(140);
}, 600_000);
