// The scenarios on Discord: the real discord.js against a server that holds it to the published schemas.
import { describe } from '@jest/globals';
import { playScenarios } from './scenarios.ts';
import { openDiscord } from './stages.ts';

describe('Discord', () => playScenarios(openDiscord));
