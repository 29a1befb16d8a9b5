import { expect, test } from '@jest/globals';
import { killTrials } from './kill-trials.ts';

test('ingestion that is killed loses nothing acknowledged, and the index equals a rebuild (2 kills; 20 in kill.long.ts)', async () => {
  const { midway, acknowledgedAtKills } = await killTrials(2, 30);
  expect(acknowledgedAtKills[0]).toBeGreaterThan(0);
  expect(midway).toBeGreaterThan(0);
}, 120_000);
