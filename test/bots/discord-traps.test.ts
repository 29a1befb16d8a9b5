// Each trap of Discord and of discord.js that is known, as a test of its own.
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { startDiscord } from '../../bots/discord/main.ts';
import type { FakeDiscord } from '../fakes/discord/server.ts';
import type { FakeChannel, FakeUser } from '../fakes/discord/world.ts';
import { until } from './bench.ts';
import { colourPng } from './pictures.ts';
import { openDiscord, type Stage } from './stages.ts';

let stage: Stage & { fake: FakeDiscord };
let fake: FakeDiscord;
let next = 5000;

beforeAll(async () => {
  stage = await openDiscord();
  fake = stage.fake;
});
afterAll(() => stage?.close());
afterEach(() => {
  expect(fake.violations.splice(0)).toEqual([]);
  stage.bench.engine.delayMs = 0;
});

const calm = (ms = 300): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const user = (locale?: string): FakeUser => fake.world.user(String(700_000_000_000_000_000n + BigInt(next++)), locale);
const room = (admins: FakeUser[] = []): FakeChannel => fake.guildWithChannel(admins);
const finished = (channel: FakeChannel) => fake.world.said(channel).filter(({ components }) => components.length > 0);
const answered = (channel: FakeChannel, count = 1) => until('an answer', () => finished(channel).length >= count && finished(channel)[count - 1]).catch((error: unknown) => {
  throw new Error(`${(error as Error).message}; log: ${stage.bench.logged.slice(-4).join('')}`);
});
const buttonOf = (message: { components: readonly Record<string, unknown>[] }, letter: string): string =>
  message.components.flatMap((row) => row.components as { custom_id: string }[]).find(({ custom_id: id }) => id.startsWith(`${letter}:`))!.custom_id;

describe('gateway', () => {
  test('asks for message content only when it is set', () => {
    const identify = fake.gateway.received.find(({ op }) => op === 2)!.d as { intents: number };
    expect(identify.intents & (1 << 15)).toBe(0);
  });

  test('a mention works without the privileged intent; unaddressed words are not even seen', async () => {
    const [me, channel] = [user(), room()];
    fake.say(channel, me, 'nothing for you');
    fake.say(channel, me, 'hello', { mentionBot: true });
    await answered(channel);
    expect(JSON.stringify(stage.bench.engine.requests.at(-1)?.prompt)).not.toContain('nothing for you');
  });

  test('a broken connection resumes, and events that were missed are answered once', async () => {
    const [me, channel] = [user(), room()];
    fake.gateway.drop();
    const asked = fake.say(channel, me, 'while you were away', { mentionBot: true });
    const said = await answered(channel);
    expect(said.reference?.messageId).toBe(asked.id);
    expect(fake.gateway.received.some(({ op }) => op === 6)).toBe(true);
  });

  test('opcode 7 and a replay of everything answer nothing twice', async () => {
    const [me, channel] = [user(), room()];
    fake.say(channel, me, 'once', { mentionBot: true });
    await answered(channel);
    fake.gateway.reconnect();
    await until('it resumed', () => fake.gateway.received.filter(({ op }) => op === 6).length >= 2);
    await calm();
    const before = stage.bench.engine.requests.length;
    fake.gateway.replayAll();
    await calm(600);
    expect(finished(channel)).toHaveLength(1);
    expect(stage.bench.engine.requests.length).toBe(before);
  });

  test('an event without an author is left out, logged without its words; the bot lives on', async () => {
    const [me, channel] = [user(), room()];
    fake.gateway.dispatch('MESSAGE_CREATE', () => ({ id: '1', channel_id: channel.id, content: 'malformed words', author: null, mentions: null, timestamp: 'never' }));
    fake.say(channel, me, 'still there?', { mentionBot: true });
    await answered(channel);
    const logged = stage.bench.logged.join('');
    expect(logged).toContain('an event of the gateway could not be read and is left out');
    expect(logged).not.toContain('malformed words');
  });

  test('opcode 9: a fresh session catches up with what nobody replays', async () => {
    const [me, channel] = [user(), room()];
    fake.say(channel, me, 'hello', { mentionBot: true });
    await answered(channel);
    const missed = fake.say(channel, me, 'missed', { mentionBot: true, unheard: true });
    fake.gateway.invalidate();
    const said = await until('caught up', () => finished(channel)[1]);
    expect(said.reference?.messageId).toBe(missed.id);
  });

  test('after a restart messages that were missed are answered, those that were not are not again', async () => {
    const [me, channel] = [user(), room()];
    fake.say(channel, me, 'one', { mentionBot: true });
    await answered(channel);
    const missed = fake.say(channel, me, 'two', { mentionBot: true, unheard: true });
    await stage.restart();
    const said = await answered(channel, 2);
    expect(said.reference?.messageId).toBe(missed.id);
    await calm(400);
    expect(finished(channel)).toHaveLength(2);
  });

  test('a wrong token and a forbidden intent are configuration errors', async () => {
    const options = { token: 'wrong.token.here', apiBase: `${fake.url}/api`, cdnHosts: [fake.url] };
    await expect(startDiscord(options, stage.bench.newBot())).rejects.toMatchObject({ code: 'DISCORD_LOGIN' });
    fake.forbiddenIntents = 1 << 15;
    try {
      await expect(startDiscord({ ...options, token: fake.token, messageContent: true }, stage.bench.newBot())).rejects.toMatchObject({ code: 'DISCORD_LOGIN', todo: expect.stringContaining('DISCORD_MESSAGE_CONTENT') });
    } finally {
      fake.forbiddenIntents = 0;
    }
  });
});

describe('interactions', () => {
  test('are deferred first of all, then edited', async () => {
    const [me, channel] = [user(), room()];
    const from = fake.calls.length;
    fake.slash(channel, me, 'ask', { text: 'hello' });
    await answered(channel);
    const routes = fake.calls.slice(from).map(({ route }) => route).filter((route) => !route.includes('typing'));
    expect(routes[0]).toBe('POST /interactions/:id/:token/callback');
    expect(routes[1]).toMatch(/^PATCH \/webhooks\/:id\/:token\/messages\/@original$/);
    expect(routes.every((route) => !/^POST \/channels\/:id\/messages/.test(route))).toBe(true);
  });

  test('a token that has died: the answer comes as an ordinary message', async () => {
    const [me, channel] = [user(), room()];
    stage.bench.engine.delayMs = 10;
    const interaction = fake.slash(channel, me, 'ask', { text: 'take your time' });
    await until('deferred', () => interaction.acknowledged !== null);
    fake.killToken(interaction.token);
    await answered(channel);
    expect(fake.called('POST /channels/:id/messages').some(({ path }) => path.includes(channel.id))).toBe(true);
  });

  test.each([
    ['too late: the token is dead', 404, { code: 10062, message: 'Unknown interaction' }],
    ['answered by another process with the same token', 400, { code: 40060, message: 'Interaction has already been acknowledged.' }],
  ])('%s: nothing is answered, everybody else is', async (_, status, body) => {
    const [me, channel] = [user(), room()];
    fake.fail({ route: 'POST /interactions/:id/:token/callback', status, body });
    const before = stage.bench.engine.requests.length;
    fake.slash(channel, me, 'ask', { text: 'hello' });
    await calm();
    expect(fake.world.said(channel)).toEqual([]);
    expect(stage.bench.engine.requests.length).toBe(before);
    fake.slash(channel, me, 'ask', { text: 'hello again' });
    await answered(channel);
  });

  test('quiet commands answer only the person', async () => {
    const [me, channel] = [user(), room()];
    const interaction = fake.slash(channel, me, 'help');
    await until('help', () => fake.world.said(channel).length > 0);
    expect(interaction.ephemeral).toBe(true);
    expect(fake.world.said(channel)[0]?.ephemeralFor).toBe(me.id);
  });

  test('"Ask about this image" from the message menu', async () => {
    const [me, other, channel] = [user(), user(), room()];
    const theirs = fake.say(channel, other, 'my cat', { pictures: [colourPng(8)] });
    fake.menu(theirs, me, 'Ask about this image');
    await answered(channel);
    const { prompt } = stage.bench.engine.requests.at(-1)!;
    expect(prompt.kind === 'turns' && prompt.turns.at(-1)?.parts.map((part) => (part.type === 'text' ? part.text : 'image'))).toEqual(['image', 'What is in this picture?']);
  });

  test('autocomplete answers at once, at most 25', async () => {
    const [me, channel] = [user(), room()];
    const interaction = fake.autocomplete(channel, me, 'settings', [{ name: 'name', type: 3, value: 'overlap' }, { name: 'value', type: 3, value: 'su', focused: true }]);
    await until('suggestions', () => interaction.said);
    expect(JSON.parse(interaction.said!)).toEqual([{ name: 'supersede', value: 'supersede' }]);
  });

  test('votes are acknowledged at once in the person’s language', async () => {
    const [me, channel] = [user('ru'), room()];
    fake.say(channel, me, 'hello', { mentionBot: true });
    const said = await answered(channel);
    const click = fake.click(said, me, buttonOf(said, 'u'));
    await until('thanks', () => click.said === 'Спасибо! Отмечено как хороший ответ.');
    expect(click.ephemeral).toBe(true);
  });

  test('a made-up custom id is acknowledged and does nothing', async () => {
    const [me, channel] = [user(), room()];
    fake.say(channel, me, 'hello', { mentionBot: true });
    const said = await answered(channel);
    const click = fake.click(said, me, 'u:\'; DROP TABLE votes');
    await until('acknowledged', () => click.acknowledged !== null);
    await calm();
    expect(finished(channel)).toHaveLength(1);
  });

  test('an app installed by a user answers where it is no member', async () => {
    const me = user();
    const elsewhere = fake.world.channel('123456789012345678');
    fake.mute.add(elsewhere.id);
    fake.slash(elsewhere, me, 'ask', { text: 'hello from outside' });
    await answered(elsewhere);
    // There the follow-up can only go by the token; that it may not write elsewhere is remembered.
    for (const count of [2, 3]) {
      fake.click(finished(elsewhere)[0]!, me, buttonOf(finished(elsewhere)[0]!, 'a'));
      await answered(elsewhere, count);
    }
    expect(fake.calls.filter(({ route, path, status }) => route === 'POST /channels/:id/messages' && path.includes(elsewhere.id) && status === 403)).toHaveLength(1);
  });

  test('default permissions are set, and checked again', async () => {
    const body = fake.commands.find(({ name }) => name === 'ban');
    expect(body?.default_member_permissions).toBe('32');
    const [me, channel] = [user(), room()];
    fake.slash(channel, me, 'ban', { user: '700000000000000001' });
    await until('refusal', () => fake.world.said(channel).find(({ content }) => content.includes('Only administrators')));
  });
});

describe('sending', () => {
  test('an error after the effect shows one message: the nonce is the same', async () => {
    const [me, channel] = [user(), room()];
    fake.fail({ route: 'POST /channels/:id/messages', status: 502, afterEffect: true });
    fake.say(channel, me, 'hello', { mentionBot: true });
    await answered(channel);
    await calm(400);
    expect(fake.world.said(channel)).toHaveLength(1);
    const nonces = fake.called('POST /channels/:id/messages').slice(-2).map(({ body }) => body.nonce);
    expect(nonces[0]).toBe(nonces[1]);
    expect(String(nonces[0]).length).toBeLessThanOrEqual(25);
  });

  test('what follows the answer to an interaction carries a nonce too: shown once though the reply was lost', async () => {
    const [me, channel] = [user(), room()];
    fake.say(channel, me, 'hello', { mentionBot: true });
    const said = await answered(channel);
    fake.fail({ route: 'POST /channels/:id/messages', status: 502, afterEffect: true });
    const from = fake.calls.length;
    fake.click(said, me, buttonOf(said, 'a'));
    await answered(channel, 2);
    await calm(400);
    expect(finished(channel)).toHaveLength(2);
    const routes = fake.calls.slice(from).map(({ route }) => route);
    expect(routes.filter((route) => route === 'POST /webhooks/:id/:token')).toEqual([]);
    const sent = fake.calls.slice(from).filter(({ route }) => route === 'POST /channels/:id/messages');
    expect(sent.length).toBeGreaterThanOrEqual(2);
    for (const { body } of sent) expect(body).toMatchObject({ enforce_nonce: true, nonce: expect.any(String) });
    expect(new Set(sent.slice(0, 2).map(({ body }) => body.nonce)).size).toBe(1);
  });

  test('an older answer is taken back by a slash command, whose token cannot reach it', async () => {
    const [me, channel] = [user(), room()];
    fake.say(channel, me, 'hello', { mentionBot: true });
    const said = await answered(channel);
    fake.slash(channel, me, 'undo');
    await until('it is gone', () => !fake.world.said(channel).some(({ id }) => id === said.id));
  });

  test('a connection that breaks: sent again, shown once', async () => {
    const [me, channel] = [user(), room()];
    fake.fail({ route: 'POST /channels/:id/messages', status: 0, times: 2 });
    fake.say(channel, me, 'hello', { mentionBot: true });
    await answered(channel);
    await calm();
    expect(fake.world.said(channel)).toHaveLength(1);
  });

  test('429 is waited out', async () => {
    const [me, channel] = [user(), room()];
    fake.fail({ route: 'POST /channels/:id/messages', status: 429, headers: { 'retry-after': '0.4' }, body: { code: 0, message: 'slow down', retry_after: 0.4, global: false } });
    const started = Date.now();
    fake.say(channel, me, 'hello', { mentionBot: true });
    await answered(channel);
    expect(Date.now() - started).toBeGreaterThan(350);
  });

  test('no permission to write: tried once, nothing loops', async () => {
    const [me, channel] = [user(), room()];
    fake.mute.add(channel.id);
    fake.say(channel, me, 'hello', { mentionBot: true });
    await calm(1_000);
    const mine = fake.calls.filter(({ path, status }) => path.includes(channel.id) && status === 403);
    expect(mine.length).toBeGreaterThan(0);
    expect(mine.length).toBeLessThanOrEqual(4);
    fake.say(channel, me, 'again', { mentionBot: true });
    await calm(600);
    expect(fake.called('POST /channels/:id/typing').filter(({ path }) => path.includes(channel.id))).toHaveLength(1);
  });

  test.each([
    ['a person who takes no direct messages', 403, { code: 50007, message: 'Cannot send messages to this user' }],
    ['a channel that is gone', 404, { code: 10003, message: 'Unknown Channel' }],
  ])('%s: tried once, no retry', async (_, status, body) => {
    const me = user();
    const channel = fake.world.direct(me);
    // Without a preview: the answer itself is what is refused.
    fake.fail({ route: 'POST /channels/:id/messages', status, body, times: 20 });
    try {
      fake.say(channel, me, 'hello');
      await until('a refusal', () => fake.calls.some(({ path, status: answer }) => path === `/channels/${channel.id}/messages` && answer === status));
      await calm(1_500);
      expect(fake.called('POST /channels/:id/messages').filter(({ path }) => path.includes(channel.id)).length).toBeLessThanOrEqual(2);
    } finally {
      fake.forgive();
    }
    fake.say(channel, me, 'and now?');
    await answered(channel);
  });

  test('model output can ping nobody: every send and edit says so', () => {
    const sends = fake.calls.filter(({ route }) => /^(POST|PATCH) .*(messages|webhooks)/.test(route) && !route.endsWith('callback'));
    expect(sends.length).toBeGreaterThan(10);
    for (const { body } of sends) expect(body.allowed_mentions).toEqual({ parse: [], replied_user: false });
  });

  test('a question that is gone does not make its answer fail', async () => {
    const [me, channel] = [user(), room()];
    stage.bench.engine.delayMs = 10;
    const asked = fake.say(channel, me, 'hello', { mentionBot: true });
    fake.world.remove(asked);
    await answered(channel);
  });
});

describe('receiving', () => {
  test('own messages, other bots and webhooks are never answered', async () => {
    const [me, channel] = [user(), room()];
    fake.say(channel, me, 'beep', { mentionBot: true, author: { bot: true } });
    fake.say(channel, me, 'beep', { mentionBot: true, author: { webhook: true } });
    await calm(400);
    expect(fake.world.said(channel)).toEqual([]);
  });

  test('a forwarded message brings its words and pictures', async () => {
    const me = user();
    const channel = fake.world.direct(me);
    const original = fake.say(room(), me, 'forwarded words', { pictures: [colourPng(2)] });
    fake.say(channel, me, '', { forward: original });
    await answered(channel);
    const { prompt } = stage.bench.engine.requests.at(-1)!;
    expect(prompt.kind === 'turns' && prompt.turns.at(-1)?.parts.map((part) => (part.type === 'text' ? part.text : 'image'))).toEqual(['image', 'forwarded words']);
  });

  test('a link that has expired is asked for anew', async () => {
    const [me, channel] = [user(), room()];
    fake.fail({ route: 'GET /attachments', status: 404 });
    const asked = fake.say(channel, me, 'what is it?', { mentionBot: true, pictures: [colourPng(6)] });
    fake.expireLinks();
    await answered(channel);
    expect(fake.called('GET /channels/:id/messages/:id').some(({ path }) => path.endsWith(asked.id))).toBe(true);
    const { prompt } = stage.bench.engine.requests.at(-1)!;
    expect(prompt.kind === 'turns' && prompt.turns.at(-1)?.parts.map(({ type }) => type)).toEqual(['image', 'text']);
  });

  test('a redirect is refused, a broken download tried again', async () => {
    const [me, channel] = [user(), room()];
    fake.fail({ route: 'GET /attachments', status: 302, times: 2 });
    fake.say(channel, me, '', { mentionBot: true, pictures: [colourPng(1)] });
    await until('a sentence', () => fake.world.said(channel).find(({ content }) => content.includes('could not fetch that picture')));
    fake.fail({ route: 'GET /attachments', status: 200 });
    fake.say(channel, me, 'look', { mentionBot: true, pictures: [colourPng(2)] });
    await answered(channel);
  });

  test('a thread is a conversation of its own with its channel’s settings', async () => {
    const me = user();
    const channel = room([me]);
    fake.slash(channel, me, 'settings', { name: 'temperature', value: '0.6' });
    await until('the setting', () => fake.world.said(channel).length > 0);
    const thread = fake.world.channel(channel.guildId!, channel.id);
    fake.gateway.dispatch('THREAD_CREATE', () => ({ id: thread.id, type: 11, guild_id: channel.guildId, parent_id: channel.id, name: 't', owner_id: me.id, thread_metadata: { archived: false, auto_archive_duration: 60, archive_timestamp: new Date().toISOString(), locked: false }, message_count: 0, member_count: 1 }));
    fake.say(channel, me, 'the word is swordfish', { mentionBot: true });
    await answered(channel);
    fake.say(thread, me, 'what is the word?', { mentionBot: true });
    await answered(thread);
    const request = stage.bench.engine.requests.at(-1)!;
    expect(request.decoding?.temperature).toBe(0.6);
    expect(JSON.stringify(request.prompt)).not.toContain('swordfish');
  });

  test('an edit that only adds a link preview changes nothing', async () => {
    const [me, channel] = [user(), room()];
    const asked = fake.say(channel, me, 'see https://example.org', { mentionBot: true });
    await answered(channel);
    const before = stage.bench.engine.requests.length;
    fake.edit(asked, 'see https://example.org');
    await calm(500);
    expect(stage.bench.engine.requests.length).toBe(before);
  });

  test('neither the token nor what people wrote is in the log', async () => {
    const [me, channel] = [user(), room()];
    fake.fail({ route: 'POST /channels/:id/messages', status: 400, body: { code: 50035, message: 'Invalid Form Body' } });
    fake.say(channel, me, 'Xyzzy-plugh-confidential', { mentionBot: true });
    await calm(600);
    const log = stage.bench.logged.join('');
    expect(log.length).toBeGreaterThan(100);
    expect(log).not.toContain('Xyzzy-plugh');
    expect(log).not.toContain(fake.token);
    expect(log).not.toContain('interaction-token');
  });
});
