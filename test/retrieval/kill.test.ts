import { expect, test } from '@jest/globals';
import { killTrials } from './kill-trials.ts';

test('ingestion that is killed loses nothing acknowledged, and the index equals a rebuild (2 kills; 20 in kill.long.ts)', async () => {
  const { acknowledgedAtKills } = await killTrials(2, 10);
  expect(acknowledgedAtKills[0]).toBeGreaterThan(0);
  expect(acknowledgedAtKills.at(-1)).toBeLessThan(10);
}, 120_000);
