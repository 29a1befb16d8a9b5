// From the start of the program to a connected platform: one that cannot be reached is tried again while
// everything else goes on, one that refuses its token ends the start.
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { connectPlatforms, type Platforms } from '../../src/app/platforms.ts';
import { loadConfig } from '../../src/config/index.ts';
import { FakeDiscord } from '../fakes/discord/server.ts';
import { FakeTelegram } from '../fakes/telegram/server.ts';
import { type Bench, openBench, until } from './bench.ts';

let bench: Bench;
let discord: FakeDiscord;
let telegram: FakeTelegram;
let platforms: Platforms | null = null;
const lines: string[] = [];
beforeEach(async () => {
  bench = await openBench(1);
  [discord, telegram] = [new FakeDiscord(), new FakeTelegram({ secondMs: 40 })];
  await Promise.all([discord.start(), telegram.start()]);
  lines.length = 0;
});
afterEach(async () => {
  await platforms?.stop(100);
  platforms = null;
  await Promise.all([discord.stop(), telegram.stop(), bench.close()]);
});

const connect = async (environment: Record<string, string> = {}, retryMs = [50]) => {
  const config = loadConfig({ DISCORD_TOKEN: discord.token, DISCORD_API_BASE: `${discord.url}/api`, DISCORD_CDN_HOSTS: discord.url, TELEGRAM_TOKEN: telegram.token, TELEGRAM_API_ROOT: telegram.url, ...environment });
  platforms = await connectPlatforms(config, bench.newBot(), (line) => void lines.push(line), retryMs);
};
const said = (start: string) => until(start, () => lines.find((line) => line.startsWith(start)));

test('a platform that cannot be reached is tried again, the other one does not wait', async () => {
  telegram.fail({ method: 'getMe', status: 500, times: 4 });
  await connect({}, [300]);
  expect(lines).toContainEqual(expect.stringMatching(/^Discord: connected as /));
  expect(lines).toContainEqual(expect.stringMatching(/^Telegram: .*TELEGRAM_SERVER.*trying again in /));
  await said('Telegram: connected as @');
  expect(lines.filter((line) => line.includes('trying again'))).toHaveLength(2);
});

test('Discord likewise', async () => {
  discord.fail({ route: 'GET /gateway/bot', status: 500, times: 4 });
  await connect();
  expect(lines).toContainEqual(expect.stringMatching(/^Discord: .*could not be reached.*DISCORD_LOGIN.*trying again in /));
  await said('Discord: connected as ');
});

test('the program stops at once while it waits for the next attempt', async () => {
  telegram.fail({ method: 'getMe', status: 500, times: 2 });
  await connect({}, [600_000]);
  await said('Telegram: ');
  await platforms!.stop(100);
  platforms = null;
  expect(lines.join('\n')).not.toContain('Telegram: connected');
});

test('a token that is not known ends the start', async () => {
  await expect(connect({ TELEGRAM_TOKEN: '1:wrong' })).rejects.toMatchObject({ code: 'TELEGRAM_TOKEN' });
});
