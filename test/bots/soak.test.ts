// A hundred messages over fifty chats on each platform; a thousand in soak.long.ts.
import { test } from '@jest/globals';
import { soak } from './soak.ts';
import { openDiscord, openTelegram } from './stages.ts';

const plan = { messages: 100, chats: 50, stuckMs: 90_000 };

test('Telegram: 100 messages over 50 chats with limits on', () => soak(openTelegram, plan), 600_000);
test('Discord: 100 messages over 50 chats with limits on', () => soak(openDiscord, plan), 600_000);
