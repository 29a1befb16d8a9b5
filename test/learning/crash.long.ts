import { test } from '@jest/globals';
import { crashTrials } from './crash-trials.ts';

test('killed twenty times while training and twenty while promoting, the served version is whole', () => crashTrials(20), 600_000);
