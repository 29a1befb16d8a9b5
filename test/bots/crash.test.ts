// The bot's process is killed or asked to end in the middle of an answer, and started again.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, jest, test } from '@jest/globals';
import { FakeDiscord } from '../fakes/discord/server.ts';
import { FakeTelegram } from '../fakes/telegram/server.ts';
import { until } from './bench.ts';

jest.setTimeout(300_000);
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const clean of cleanups.splice(0).toReversed()) await clean();
});

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'fromage-crash-'));
  cleanups.push(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

async function start(platform: string, server: string, token: string, folder: string, delayMs: number): Promise<ChildProcess> {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', join(import.meta.dirname, 'bot-process.ts'), platform, server, token, folder, String(delayMs)], { stdio: ['ignore', 'pipe', 'inherit'] });
  cleanups.push(() => child.kill('SIGKILL'));
  let out = '';
  child.stdout!.on('data', (data: Buffer) => { out += String(data); });
  await until('the bot is ready', () => out.includes('ready'));
  return child;
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
  const over = once(child, 'exit');
  child.kill(signal);
  return ((await over) as [number | null])[0];
}

describe('Discord', () => {
  async function discord() {
    const fake = new FakeDiscord({ secondMs: 40 });
    await fake.start();
    cleanups.push(() => fake.stop());
    const user = fake.world.user('700000000000000009');
    const channel = fake.world.channel(fake.world.guild([user]));
    const finished = () => fake.world.said(channel).filter(({ components }) => components.length > 0);
    return { fake, user, channel, finished };
  }

  test('SIGKILL in mid-answer: exactly one visible answer after the restart', async () => {
    const { fake, user, channel, finished } = await discord();
    const folder = newFolder();
    const first = await start('discord', fake.url, fake.token, folder, 60);
    fake.say(channel, user, 'tell me', { mentionBot: true });
    await until('a preview', () => fake.world.said(channel).length > 0);
    await end(first, 'SIGKILL');
    expect(finished()).toEqual([]);
    await start('discord', fake.url, fake.token, folder, 0);
    await until('the answer', () => finished().length > 0);
    await wait(500);
    expect(fake.world.said(channel).map(({ reference }) => reference !== null)).toEqual([true, ...fake.world.said(channel).slice(1).map(() => false)]);
    expect(finished()).toHaveLength(1);
    expect(fake.violations).toEqual([]);
  });

  test('SIGTERM in mid-answer: exits 0 in time, the person is told, the answer takes its place', async () => {
    const { fake, user, channel, finished } = await discord();
    const folder = newFolder();
    const first = await start('discord', fake.url, fake.token, folder, 100);
    fake.say(channel, user, 'tell me', { mentionBot: true });
    await until('a preview', () => fake.world.said(channel).length > 0);
    const started = Date.now();
    expect(await end(first, 'SIGTERM')).toBe(0);
    expect(Date.now() - started).toBeLessThan(15_000);
    expect(fake.world.said(channel).map(({ content }) => content)).toEqual(['I am being restarted; your answer follows in a moment.']);
    await start('discord', fake.url, fake.token, folder, 0);
    await until('the answer', () => finished().length > 0);
    await wait(300);
    expect(fake.world.said(channel).filter(({ content }) => content.includes('restarted'))).toEqual([]);
    expect(finished()).toHaveLength(1);
  });
});

describe('Telegram', () => {
  test('SIGKILL in mid-answer: never none, and one in a group where a preview stood', async () => {
    const fake = new FakeTelegram({ secondMs: 40 });
    await fake.start();
    cleanups.push(() => fake.stop());
    const user = fake.world.user(9);
    const rooms = [fake.world.privateChat(user), fake.world.group(-77_000, [user])];
    const folder = newFolder();
    const first = await start('telegram', fake.url, fake.token, folder, 60);
    for (const room of rooms) fake.world.say(room, user, room.type === 'private' ? 'tell me' : '@fromage_test_bot tell me');
    await until('a preview', () => fake.world.said(rooms[1]!).length > 0);
    await end(first, 'SIGKILL');
    await start('telegram', fake.url, fake.token, folder, 0);
    const finished = (index: number) => fake.world.said(rooms[index]!).filter(({ reply_markup: markup }) => markup);
    await until('both answers', () => finished(0).length > 0 && finished(1).length > 0);
    await wait(500);
    expect([finished(0).length, finished(1).length]).toEqual([1, 1]);
    expect(fake.violations).toEqual([]);
  });
});
