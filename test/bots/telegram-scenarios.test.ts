// The scenarios on Telegram: the real telegraf against a server that holds it to the published schemas.
import { describe } from '@jest/globals';
import { playScenarios } from './scenarios.ts';
import { openTelegram } from './stages.ts';

describe('Telegram', () => playScenarios(openTelegram));
