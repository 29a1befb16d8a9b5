// What Discord refuses or no longer takes: writing without permission, archived and locked threads, tokens
// that died; and a gap that is longer than one page of history.
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { FakeDiscord } from '../fakes/discord/server.ts';
import type { FakeChannel, FakeUser } from '../fakes/discord/world.ts';
import { until } from './bench.ts';
import { openDiscord, type Stage } from './stages.ts';

let stage: Stage & { fake: FakeDiscord };
let fake: FakeDiscord;
let next = 9_000;

beforeAll(async () => {
  stage = await openDiscord();
  fake = stage.fake;
});
afterAll(() => stage?.close());
afterEach(() => {
  expect(fake.violations.splice(0)).toEqual([]);
  stage.bench.engine.delayMs = 0;
});

const calm = (ms = 400): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const user = (): FakeUser => fake.world.user(String(700_000_000_000_000_000n + BigInt(next++)));
const finished = (channel: FakeChannel) => fake.world.said(channel).filter(({ components }) => components.length > 0);
const answered = (channel: FakeChannel, count = 1) => until('an answer', () => finished(channel)[count - 1]).catch((error: unknown) => {
  throw new Error(`${(error as Error).message}; log: ${stage.bench.logged.slice(-4).join('')}`);
});
const requests = () => stage.bench.engine.requests.length;

test('403: twenty questions where it may not write cost a few refusals, and with the permission it answers again', async () => {
  const channel = fake.guildWithChannel();
  fake.mute.add(channel.id);
  const before = requests();
  for (let i = 0; i < 20; i++) fake.say(channel, user(), `hello ${i}`, { mentionBot: true });
  await until('all were worked off', () => requests() === before + 20);
  await calm();
  const refused = fake.calls.filter(({ path, status }) => status === 403 && path.includes(channel.id)).length;
  expect(refused).toBeGreaterThan(0);
  expect(refused).toBeLessThanOrEqual(10);
  fake.mute.delete(channel.id);
  // The longest peace is two minutes of Discord's, 4.8 s here.
  await calm(4_900);
  const asked = fake.say(channel, user(), 'and now?', { mentionBot: true });
  const said = await answered(channel);
  expect(said.reference?.messageId).toBe(asked.id);
});

describe('threads', () => {
  async function threadWithPreview(): Promise<FakeChannel> {
    const channel = fake.guildWithChannel();
    const thread = fake.world.channel(channel.guildId!, channel.id);
    fake.gateway.dispatch('THREAD_CREATE', () => ({ id: thread.id, type: 11, guild_id: channel.guildId, parent_id: channel.id, name: 't', owner_id: '1', thread_metadata: { archived: false, auto_archive_duration: 60, archive_timestamp: new Date().toISOString(), locked: false }, message_count: 0, member_count: 1 }));
    stage.bench.engine.delayMs = 30;
    fake.say(thread, user(), 'hello', { mentionBot: true });
    await until('a preview', () => fake.world.said(thread).length > 0);
    return thread;
  }

  test('one that is archived while the answer grows is opened again, and the answer is whole', async () => {
    const thread = await threadWithPreview();
    thread.archived = true;
    await answered(thread);
    expect(fake.world.said(thread)).toHaveLength(1);
    expect(thread.archived).toBe(false);
  });

  test('one that is locked stays closed: nothing loops, everybody else is answered', async () => {
    const thread = await threadWithPreview();
    Object.assign(thread, { archived: true, locked: true });
    const from = fake.calls.length;
    await until('a refusal', () => fake.calls.slice(from).some(({ path, status }) => status >= 400 && path.includes(thread.id)));
    await calm(1_500);
    expect(fake.calls.slice(from).filter(({ path, status }) => status >= 400 && path.includes(thread.id)).length).toBeLessThanOrEqual(6);
    const elsewhere = fake.guildWithChannel();
    fake.say(elsewhere, user(), 'hello', { mentionBot: true });
    await answered(elsewhere);
  });
});

test('a click whose token dies before the answer is there: the answer comes as an ordinary message', async () => {
  const [me, channel] = [user(), fake.guildWithChannel()];
  fake.say(channel, me, 'hello', { mentionBot: true });
  const said = await answered(channel);
  stage.bench.engine.delayMs = 15;
  const again = said.components.flatMap((row) => row.components as { custom_id: string }[]).find(({ custom_id: id }) => id.startsWith('a:'))!;
  const click = fake.click(said, me, again.custom_id);
  await until('acknowledged', () => click.acknowledged !== null);
  fake.killToken(click.token);
  await answered(channel, 2);
  expect(finished(channel)).toHaveLength(2);
});

test('a word for the clicker alone whose token has died is not lost: everybody sees it', async () => {
  const [me, other, channel] = [user(), user(), fake.guildWithChannel()];
  fake.say(channel, me, 'hello', { mentionBot: true });
  const said = await answered(channel);
  const again = said.components.flatMap((row) => row.components as { custom_id: string }[]).find(({ custom_id: id }) => id.startsWith('a:'))!;
  fake.fail({ route: 'POST /webhooks/:id/:token', status: 401, body: { code: 50027, message: 'Invalid Webhook Token' } });
  fake.click(said, other, again.custom_id);
  await until('the sentence', () => fake.world.said(channel).find(({ content, ephemeralFor }) => ephemeralFor === null && content.includes('Only the person who asked')));
});

test('a gap of more messages than one page of history: the question at its end is answered', async () => {
  const [me, channel] = [user(), fake.guildWithChannel()];
  fake.say(channel, me, 'hello', { mentionBot: true });
  await answered(channel);
  for (let i = 0; i < 230; i++) fake.say(channel, me, `talk ${i}`, { unheard: true });
  const missed = fake.say(channel, me, 'still there?', { mentionBot: true, unheard: true });
  await stage.restart();
  const said = await answered(channel, 2);
  expect(said.reference?.messageId).toBe(missed.id);
});
