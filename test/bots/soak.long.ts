// A thousand messages over fifty chats on each platform.
import { test } from '@jest/globals';
import { soak } from './soak.ts';
import { openDiscord, openTelegram } from './stages.ts';

const plan = { messages: 1_000, chats: 50, stuckMs: 120_000 };

test('Telegram: 1,000 messages over 50 chats with limits on', () => soak(openTelegram, plan));
test('Discord: 1,000 messages over 50 chats with limits on', () => soak(openDiscord, plan));
