// The fakes themselves: what the platforms refuse, they refuse; what is not as published, they report.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { answerViolation, eventViolations, unknownKeys, violation as discordViolation } from './discord/schema.ts';
import { FakeDiscord } from './discord/server.ts';
import { violation as telegramViolation } from './telegram/schema.ts';
import { FakeTelegram } from './telegram/server.ts';

describe('the fake Telegram', () => {
  let fake: FakeTelegram;
  beforeAll(async () => {
    fake = new FakeTelegram({ secondMs: 50 });
    await fake.start();
  });
  afterAll(() => fake.stop());
  let chat = 100;
  beforeEach(() => {
    chat++;
    fake.violations.length = 0;
  });
  const call = async (method: string, payload: Record<string, unknown>, token = fake.token, server = fake) => {
    const response = await fetch(`${server.url}/bot${token}/${method}`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(payload) });
    return (await response.json()) as { ok: boolean; error_code?: number; description?: string; result?: { message_id: number }; parameters?: { retry_after?: number } };
  };

  test('knows its token', async () => {
    expect(await call('getMe', {}, '1:wrong')).toMatchObject({ ok: false, error_code: 401 });
    expect(await call('getMe', {})).toMatchObject({ ok: true, result: { is_bot: true } });
  });

  test('holds calls to the published schema', async () => {
    expect(await call('sendMessage', { chat_id: chat, text: 'x', colour: 'red' })).toMatchObject({ ok: false });
    expect(fake.violations.join()).toContain('colour');
    expect(telegramViolation('SendMessageCall', { chat_id: 1, text: 'x' })).toBeNull();
    expect(telegramViolation('SendMessageCall', { text: 'x' })).toContain('chat_id');
    expect(telegramViolation('Update', { update_id: 1, message: { message_id: 1, chat: { id: 1, type: 'private' }, photo: {} } })).not.toBeNull();
    expect(telegramViolation('SendMediaGroupCall', { chat_id: 1, media: [], reply_markup: {} })).toContain('reply_markup');
  });

  test.each([
    ['an empty text', { text: ' \n' }, 'empty'],
    ['a long text', { text: 'x'.repeat(4097) }, 'too long'],
    ['half a character', { text: 'x\ud83d' }, 'UTF-8'],
    ['an entity beyond the end', { text: 'abc', entities: [{ type: 'code', offset: 2, length: 5 }] }, 'parse entities'],
    ['65 bytes of callback data', { text: 'x', reply_markup: { inline_keyboard: [[{ text: 'x', callback_data: 'ы'.repeat(33) }]] } }, 'BUTTON_DATA_INVALID'],
    ['an answer to nothing', { text: 'x', reply_parameters: { message_id: 999_999 } }, 'replied not found'],
  ])('refuses %s', async (_, payload, reason) => {
    expect((await call('sendMessage', { chat_id: chat, ...payload })).description).toContain(reason);
  });

  test('refuses an album of one', async () => {
    expect((await call('sendMediaGroup', { chat_id: chat, media: [{ type: 'photo', media: 'x' }] })).description).toContain('wrong number of items');
  });

  test('more than one message a second in a chat', async () => {
    // With whole seconds: on a busy machine one call may take longer than the short ones of the other tests.
    const slow = new FakeTelegram({ secondMs: 5_000 });
    await slow.start();
    try {
      expect((await call('sendMessage', { chat_id: chat, text: '1' }, slow.token, slow)).ok).toBe(true);
      expect(await call('sendMessage', { chat_id: chat, text: '2' }, slow.token, slow)).toMatchObject({ error_code: 429, parameters: { retry_after: 1 } });
      expect((await call('sendMessage', { chat_id: chat + 1_000, text: 'another chat' }, slow.token, slow)).ok).toBe(true);
    } finally {
      await slow.stop();
    }
  });

  test('twenty a minute in a group', async () => {
    const group = -5_000;
    for (let i = 0; i < 20; i++) {
      expect((await call('sendMessage', { chat_id: group, text: String(i) })).ok).toBe(true);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    expect(await call('sendMessage', { chat_id: group, text: '21' })).toMatchObject({ error_code: 429 });
  });

  test('a form carries the same as JSON does', async () => {
    const post = async (method: string, body: URLSearchParams | FormData) => (await (await fetch(`${fake.url}/bot${fake.token}/${method}`, { method: 'POST', body })).json()) as { ok: boolean };
    const keyboard = JSON.stringify({ inline_keyboard: [[{ text: 'x', callback_data: 'y' }]] });
    expect(await post('sendMessage', new URLSearchParams({ chat_id: String(chat), text: '5', protect_content: 'true', reply_markup: keyboard }))).toMatchObject({ ok: true, result: { text: '5', chat: { id: chat } } });
    const form = new FormData();
    for (const [name, value] of Object.entries({ chat_id: String(chat + 500), text: '{"not": "an object"}', reply_markup: keyboard })) form.set(name, value);
    expect(await post('sendMessage', form)).toMatchObject({ ok: true, result: { text: '{"not": "an object"}', reply_markup: { inline_keyboard: [[{ callback_data: 'y' }]] } } });
    expect(fake.violations).toEqual([]);
  });

  test('an unchanged edit and a foreign message are refused', async () => {
    const sent = await call('sendMessage', { chat_id: chat, text: 'same' });
    const message = { chat_id: chat, message_id: sent.result!.message_id };
    await new Promise((resolve) => setTimeout(resolve, 60));
    expect((await call('editMessageText', { ...message, text: 'same' })).description).toContain('not modified');
    const theirs = fake.world.say(fake.world.privateChat(fake.world.user(chat)), fake.world.user(chat), 'mine');
    expect((await call('editMessageText', { chat_id: chat, message_id: theirs.message_id, text: 'x' })).description).toContain('not found');
  });

  test('an update comes again until an offset above it is asked for', async () => {
    await call('getUpdates', { offset: 1_000_000 });
    const user = fake.world.user(chat);
    fake.world.say(fake.world.privateChat(user), user, 'hello');
    const ids = async (payload: Record<string, unknown>) => ((await call('getUpdates', payload)).result as unknown as { update_id: number }[]).map(({ update_id: id }) => id);
    const [id] = await ids({});
    expect(await ids({})).toEqual([id]);
    expect(await ids({ offset: id! + 1 })).toEqual([]);
  });
});

describe('the fake Discord', () => {
  let fake: FakeDiscord;
  let channel: string;
  beforeAll(async () => {
    fake = new FakeDiscord({ secondMs: 50, limits: false });
    await fake.start();
    channel = fake.world.channel(fake.world.guild()).id;
  });
  afterAll(() => fake.stop());
  const call = async (method: string, path: string, body: unknown, token = fake.token) => {
    const response = await fetch(`${fake.url}/api/v10${path}`, { method, headers: { 'content-type': 'application/json', authorization: `Bot ${token}` }, body: JSON.stringify(body) });
    return { status: response.status, body: response.status === 204 ? {} : ((await response.json()) as { id?: string; code?: number }) };
  };
  const quiet = { allowed_mentions: { parse: [] } };

  test.each([
    ['2,001 characters', { content: 'x'.repeat(2001), ...quiet }, 400, 50035],
    ['nothing at all', { content: '', ...quiet }, 400, 50006],
    ['six buttons in a row', { content: 'x', ...quiet, components: [{ type: 1, components: Array.from({ length: 6 }, (_, i) => ({ type: 2, style: 2, custom_id: `b${i}`, label: 'x' })) }] }, 400, 50035],
    ['a custom id of 101 characters', { content: 'x', ...quiet, components: [{ type: 1, components: [{ type: 2, style: 2, custom_id: 'x'.repeat(101), label: 'x' }] }] }, 400, 50035],
    ['alt text of 1,025 characters', { content: 'x', ...quiet, attachments: [{ id: '0', description: 'x'.repeat(1025) }] }, 400, 50035],
    ['an answer to nothing', { content: 'x', ...quiet, message_reference: { message_id: '123456789012345678' } }, 400, 50035],
  ])('refuses %s', async (_, body, status, code) => {
    expect(await call('POST', `/channels/${channel}/messages`, body)).toMatchObject({ status, body: { code } });
  });

  test('reports a message that may ping', async () => {
    fake.violations.length = 0;
    await call('POST', `/channels/${channel}/messages`, { content: '@everyone' });
    expect(fake.violations.join()).toContain('allowed_mentions');
  });

  test('the same nonce is the same message', async () => {
    const body = { content: 'once', nonce: 'n-1', enforce_nonce: true, ...quiet };
    const [one, two] = [await call('POST', `/channels/${channel}/messages`, body), await call('POST', `/channels/${channel}/messages`, body)];
    expect(one.body.id).toBe(two.body.id);
  });

  test('a wrong token, an unknown channel, somebody else’s message', async () => {
    expect((await call('POST', `/channels/${channel}/messages`, { content: 'x' }, 'nope')).status).toBe(401);
    expect((await call('POST', '/channels/111111111111111111/messages', { content: 'x', ...quiet })).body.code).toBe(10003);
    const theirs = fake.say(fake.world.channels.get(channel)!, fake.world.user('700000000000000001'), 'mine');
    expect((await call('PATCH', `/channels/${channel}/messages/${theirs.id}`, { content: 'x', ...quiet })).body.code).toBe(50005);
  });

  test('an interaction dies after three seconds, and is answered only once', async () => {
    const where = fake.world.channels.get(channel)!;
    const user = fake.world.user('700000000000000002');
    const one = fake.slash(where, user, 'help');
    const path = `/interactions/${one.id}/${one.token}/callback`;
    expect((await call('POST', path, { type: 5 })).status).toBe(204);
    expect((await call('POST', path, { type: 5 })).body.code).toBe(40060);
    const late = fake.slash(where, user, 'help');
    await new Promise((resolve) => setTimeout(resolve, 3_100));
    expect((await call('POST', `/interactions/${late.id}/${late.token}/callback`, { type: 5 })).body.code).toBe(10062);
    expect((await call('PATCH', `/webhooks/${fake.world.bot.id}/${late.token}/messages/@original`, { content: 'x', ...quiet })).body.code).toBe(10015);
  });

  test('messages are as published', () => {
    expect(discordViolation('MessageResponse', { id: '1' })).toContain('MessageResponse');
  });

  test('keys that Discord does not know are reported, at any depth', () => {
    expect(unknownKeys('MessageCreateRequest', { content: 'x', ...quiet })).toBeNull();
    expect(unknownKeys('MessageCreateRequest', { content: 'x', colour: 'red', ...quiet })).toContain('/colour');
    expect(unknownKeys('MessageCreateRequest', { content: 'x', allowed_mentions: { parse: [], everyone: true } })).toContain('/allowed_mentions/everyone');
  });

  test('an answer without a schema of its own is reported, and one that is not as published', () => {
    expect(answerViolation('GET /guilds/:id', {})).toContain('no schema');
    expect(answerViolation('GET /channels/:id/messages', [{ id: '1' }])).toContain('MessageResponse');
    expect(answerViolation('POST /interactions/:id/:token/callback', {})).toContain('interaction');
  });

  test('the parts of events are as published', () => {
    const user = { id: '1', username: 'x' };
    expect(eventViolations({ user })).toEqual([expect.stringContaining('UserResponse')]);
    expect(eventViolations({ data: { resolved: { messages: { 1: { id: '1' } } } } })).toEqual([expect.stringContaining('MessageResponse')]);
    expect(eventViolations({ id: '1', roles: [{ id: '1' }] })).toEqual([expect.stringContaining('GuildRoleResponse')]);
  });

  test('ids may be written as numbers, as discord.py does', async () => {
    fake.violations.length = 0;
    const theirs = fake.say(fake.world.channels.get(channel)!, fake.world.user('700000000000000004'), 'asked');
    const response = await fetch(`${fake.url}/api/v10/channels/${channel}/messages`, {
      method: 'POST', headers: { 'content-type': 'application/json', authorization: `Bot ${fake.token}` },
      body: `{"content":"answered","allowed_mentions":{"parse":[]},"message_reference":{"message_id":${theirs.id},"channel_id":${channel}}}`,
    });
    expect(await response.json()).toMatchObject({ message_reference: { message_id: theirs.id } });
    expect(fake.violations).toEqual([]);
  });

  test('an immediate answer is a message, one for a single person is none of the channel’s, an update changes the clicked one', async () => {
    fake.violations.length = 0;
    const where = fake.world.channel(fake.world.guild());
    const user = fake.world.user('700000000000000003');
    const respond = (one: { id: string; token: string }, body: unknown) => call('POST', `/interactions/${one.id}/${one.token}/callback?with_response=true`, body);
    const shown = await respond(fake.slash(where, user, 'help'), { type: 4, data: { content: 'for all', ...quiet } });
    expect(shown.body).toMatchObject({ resource: { type: 4, message: { content: 'for all' } } });
    await respond(fake.slash(where, user, 'help'), { type: 4, data: { content: 'for one', flags: 64, ...quiet } });
    const [message] = fake.world.said(where);
    await respond(fake.click(message!, user, 'x'), { type: 7, data: { content: 'changed', ...quiet } });
    expect(fake.world.said(where).map(({ content }) => content)).toEqual(['changed']);
    expect(fake.violations).toEqual([]);
  });
});
