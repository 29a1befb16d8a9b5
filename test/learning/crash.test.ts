import { test } from '@jest/globals';
import { crashTrials } from './crash-trials.ts';

test('killed while training and while promoting, the served version is whole, and the run ends', () => crashTrials(1), 400_000);
