// Each trap of Telegram and of telegraf that is known, as a test of its own.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { startTelegram } from '../../bots/telegram/main.ts';
import type { FakeTelegram } from '../fakes/telegram/server.ts';
import { violation } from '../fakes/telegram/schema.ts';
import type { FakeChat, FakeUser } from '../fakes/telegram/world.ts';
import { until, untilEqual } from './bench.ts';
import { colourPng } from './pictures.ts';
import { openTelegram, type Stage } from './stages.ts';

let stage: Stage & { fake: FakeTelegram };
let fake: FakeTelegram;
let next = 5000;
const expected: string[] = [];

beforeAll(async () => {
  stage = await openTelegram();
  fake = stage.fake;
});
afterAll(() => stage?.close());
afterEach(() => {
  expect(fake.violations.filter((wrong) => !expected.includes(wrong))).toEqual([]);
  stage.bench.engine.delayMs = 0;
});

const calm = (ms = 300): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const someone = (): { user: FakeUser; chat: FakeChat } => {
  const user = fake.world.user(next++);
  return { user, chat: fake.world.privateChat(user) };
};
const finished = (chat: FakeChat) => fake.world.said(chat).filter(({ reply_markup: markup }) => markup);
const answered = (chat: FakeChat, count = 1) => until('an answer', () => finished(chat).length >= count && finished(chat)[count - 1]);

describe('polling', () => {
  test('asks for reactions by name, and for nothing it does not read', async () => {
    await until('a poll', () => fake.called('getUpdates').length > 0);
    expect(fake.called('getUpdates')[0]?.payload.allowed_updates).toEqual(['message', 'edited_message', 'callback_query', 'message_reaction']);
  });

  test('a poison update does not end polling', async () => {
    const { user, chat } = someone();
    const poison = { message: { message_id: 1, date: 1, chat: null, from: user, text: 'x' } };
    fake.world.push(poison);
    await until('the poison was taken', () => fake.world.updates.length === 0 || fake.violations.length > 0);
    expected.push(...fake.violations);
    fake.world.say(chat, user, 'still there?');
    await answered(chat);
    expect(stage.bench.logged.join('')).toContain('could not be read and is left out');
  });

  test('a second poller: 409 is waited out', async () => {
    const { user, chat } = someone();
    await fetch(`${fake.url}/bot${fake.token}/getUpdates`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"timeout":0}' });
    await until('a conflict', () => fake.called('getUpdates').some(({ status }) => status === 409));
    fake.world.say(chat, user, 'after the conflict');
    await answered(chat);
  });

  test('429, 500 and a broken connection while polling are waited out', async () => {
    const { user, chat } = someone();
    fake.fail({ method: 'getUpdates', status: 429, description: 'Too Many Requests: retry after 1', parameters: { retry_after: 1 } });
    fake.fail({ method: 'getUpdates', status: 502 });
    fake.fail({ method: 'getUpdates', status: 0 });
    fake.world.say(chat, user, 'through all that');
    await answered(chat);
  });

  test('a webhook that was left behind does not keep polling from working', async () => {
    fake.webhook = { url: 'https://bot.example/old', secret: 'x' };
    await stage.restart();
    const { user, chat } = someone();
    fake.world.say(chat, user, 'no webhook any more');
    await answered(chat);
  });

  test('an update that comes twice is answered once', async () => {
    const { user, chat } = someone();
    const message = fake.world.say(chat, user, 'only once');
    fake.world.push({ message });
    await answered(chat);
    fake.world.push({ message });
    await calm(500);
    expect(finished(chat)).toHaveLength(1);
  });
});

describe('sending', () => {
  test('an answer with a photo is a reply although it is a form (telegraf drops objects there)', async () => {
    const { user, chat } = someone();
    const asked = fake.world.say(chat, user, '/show a dog');
    const said = await until('a photo', () => fake.world.said(chat).find(({ photo }) => photo));
    expect(said.reply_to_message?.message_id ?? fake.world.said(chat)[0]?.reply_to_message?.message_id).toBe(asked.message_id);
    const call = fake.called('sendPhoto').at(-1)!;
    expect(call.files.length).toBe(1);
  });

  test('429: waits as long as asked, then sends once', async () => {
    const { user, chat } = someone();
    // 25 of the seconds of these tests, which are 40 ms long.
    fake.fail({ method: 'sendMessage', status: 429, description: 'Too Many Requests: retry after 25', parameters: { retry_after: 25 } });
    const started = Date.now();
    fake.world.say(chat, user, 'patience');
    await answered(chat);
    expect(Date.now() - started).toBeGreaterThan(1_000);
    await calm();
    expect(finished(chat)).toHaveLength(1);
  });

  test('a refused connection sends again, once', async () => {
    const { user, chat } = someone();
    fake.fail({ method: 'sendMessage', status: 0 });
    fake.world.say(chat, user, 'hello');
    await answered(chat);
    await calm();
    expect(finished(chat)).toHaveLength(1);
  });

  test('an error after the effect: never none, at most one more', async () => {
    const { user, chat } = someone();
    fake.fail({ method: 'sendMessage', status: 502, afterEffect: true });
    fake.world.say(chat, user, 'hello');
    await answered(chat);
    await calm(600);
    // Telegram does not let us know: two are allowed here, none is not.
    expect([1, 2]).toContain(finished(chat).length);
  });

  test('a person who blocked the bot is not written to again and again', async () => {
    const { user, chat } = someone();
    fake.world.blocked.add(chat.id);
    fake.world.say(chat, user, 'goodbye');
    await until('a refusal', () => fake.called('sendMessage').some(({ payload, status }) => payload.chat_id === chat.id && status === 403));
    await calm(800);
    expect(fake.called('sendMessage').filter(({ payload }) => payload.chat_id === chat.id)).toHaveLength(1);
  });

  test('a send that hangs keeps no other chat waiting', async () => {
    const [slow, quick] = [someone(), someone()];
    let release: () => void = () => {};
    fake.fail({ method: 'sendMessage', status: 200, held: new Promise((resolve) => { release = resolve; }) });
    fake.world.say(slow.chat, slow.user, 'hello');
    await until('the slow send', () => fake.called('sendMessage').some(({ payload }) => payload.chat_id === slow.chat.id));
    fake.world.say(quick.chat, quick.user, 'hello');
    await answered(quick.chat);
    expect(finished(slow.chat)).toEqual([]);
    release();
    await answered(slow.chat);
    expect(finished(slow.chat)).toHaveLength(1);
  });

  test('a question that is gone does not make its answer fail', async () => {
    const { user, chat } = someone();
    stage.bench.engine.delayMs = 10;
    const asked = fake.world.say(chat, user, 'delete me');
    const list = fake.world.in(chat.id);
    list.splice(list.indexOf(asked), 1);
    const said = await answered(chat);
    expect(said.reply_to_message).toBeUndefined();
  });

  test('in a forum topic everything goes to the topic, typing included', async () => {
    const user = fake.world.user(next++);
    const group = fake.world.group(-100_200_300 - next);
    fake.world.say(group, user, '@fromage_test_bot hi', { topic: 77 });
    const said = await answered(group);
    expect(said.message_thread_id).toBe(77);
    expect(fake.called('sendChatAction').find(({ payload }) => payload.chat_id === group.id)?.payload.message_thread_id).toBe(77);
  });

  test('two topics are two conversations', async () => {
    const user = fake.world.user(next++);
    const group = fake.world.group(-100_200_400 - next);
    fake.world.say(group, user, '@fromage_test_bot the password is swordfish', { topic: 1 });
    await answered(group);
    fake.world.say(group, user, '@fromage_test_bot what is the password?', { topic: 2 });
    await answered(group, 2);
    expect(JSON.stringify(stage.bench.engine.requests.at(-1)?.prompt)).not.toContain('swordfish');
  });

  test('a group that became a supergroup keeps its conversation under the new id', async () => {
    const user = fake.world.user(next++);
    const old = fake.world.group(-300_000 - next);
    fake.world.say(old, user, '@fromage_test_bot remember: green');
    await answered(old);
    const moved = fake.world.group(-100_300_000_000 - next);
    stage.bench.engine.delayMs = 10;
    fake.world.say(old, user, '@fromage_test_bot still there?');
    fake.world.migrated.set(old.id, moved.id);
    await answered(moved);
    stage.bench.engine.delayMs = 0;
    fake.world.say(moved, user, '@fromage_test_bot what colour?');
    await answered(moved, 2);
    expect(JSON.stringify(stage.bench.engine.requests.at(-1)?.prompt)).toContain('remember: green');
  });

  test('private chats see drafts; where the method is unknown, edits', async () => {
    const { user, chat } = someone();
    stage.bench.engine.delayMs = 15;
    fake.world.say(chat, user, 'slowly please');
    await answered(chat);
    expect([...fake.world.drafts.keys()].some((key) => key.startsWith(`${chat.id}:`))).toBe(true);
    fake.fail({ method: 'sendMessageDraft', status: 404, description: 'Not Found: method not found' });
    fake.world.say(chat, user, 'once more');
    await answered(chat, 2);
    const drafts = fake.called('sendMessageDraft').length;
    fake.world.say(chat, user, 'and again');
    await answered(chat, 3);
    expect(fake.called('sendMessageDraft').length).toBe(drafts);
  });

  test('typing is repeated while the model works, and ends with it', async () => {
    const { user, chat } = someone();
    stage.bench.engine.delayMs = 25;
    fake.world.say(chat, user, 'think about it');
    await answered(chat);
    const mine = () => fake.called('sendChatAction').filter(({ payload }) => payload.chat_id === chat.id).length;
    expect(mine()).toBeGreaterThan(1);
    await calm(250);
    const after = mine();
    await calm(400);
    expect(mine()).toBe(after);
  });
});

describe('receiving', () => {
  test('commands for other bots are ignored, those with our name are not', async () => {
    const user = fake.world.user(next++);
    const group = fake.world.group(-400_000 - next);
    fake.world.say(group, user, '/help@some_other_bot');
    fake.world.say(group, user, '/unknowncommand');
    await calm();
    expect(fake.world.said(group)).toEqual([]);
    fake.world.say(group, user, '/help@fromage_test_bot');
    await until('help', () => fake.world.said(group).length > 0);
  });

  test('other bots and channels are never answered; a hidden administrator is one', async () => {
    const user = fake.world.user(next++);
    const group = fake.world.group(-500_000 - next);
    const robot = { ...user, id: next++, is_bot: true };
    fake.world.say(group, robot, '@fromage_test_bot hi');
    fake.world.say(group, { ...user, id: 136817688, is_bot: true, first_name: 'Channel' }, '@fromage_test_bot hi', { senderChat: { id: -100_999, type: 'supergroup', title: 'C' } });
    await calm();
    expect(fake.world.said(group)).toEqual([]);
    fake.world.say(group, { id: 1087968824, is_bot: true, first_name: 'Group', username: 'GroupAnonymousBot' }, '/settings temperature 0.5', { senderChat: group });
    await until('the setting', () => fake.world.said(group).find(({ text }) => text?.includes('temperature is now 0.5')));
  });

  test('an album in any order is one turn, also when the bot dies in between', async () => {
    const { user, chat } = someone();
    const before = stage.bench.engine.requests.length;
    fake.world.album(chat, user, 'these four', [1, 2, 3, 4].map((n) => colourPng(n)));
    await until('the first arrived', () => fake.world.updates.length === 0);
    await stage.restart(50);
    await answered(chat);
    await calm(500);
    expect(finished(chat)).toHaveLength(1);
    const [request] = stage.bench.engine.requests.slice(before).toReversed();
    const parts = request?.prompt.kind === 'turns' ? request.prompt.turns.flatMap((turn) => turn.parts) : [];
    expect(parts.filter(({ type }) => type === 'image')).toHaveLength(4);
  });

  test('a picture as a file counts as a picture', async () => {
    const { user, chat } = someone();
    const bytes = colourPng(3);
    const message = fake.world.say(chat, user, '', { photo: bytes });
    expect(message.photo).toBeDefined();
    await answered(chat);
    const id = fake.world.addFile(bytes);
    fake.world.push({ message: { message_id: 900_000 + next, date: 1, chat, from: user, caption: 'and this?', document: { file_id: id, file_unique_id: 'u1', mime_type: 'image/png', file_size: bytes.length } } });
    await answered(chat, 2);
    const { prompt } = stage.bench.engine.requests.at(-1)!;
    expect(prompt.kind === 'turns' && prompt.turns.at(-1)?.parts.map(({ type }) => type)).toEqual(['image', 'text']);
  });

  test('a download that is redirected is refused, one that breaks off is tried again', async () => {
    const { user, chat } = someone();
    fake.fail({ method: 'file', status: 302 });
    fake.world.say(chat, user, '', { photo: colourPng(1) });
    await until('a sentence', () => fake.world.said(chat).find(({ text }) => text?.includes('could not fetch that picture')));
    fake.fail({ method: 'file', status: 200 });
    fake.world.say(chat, user, 'and now?', { photo: colourPng(2) });
    await answered(chat);
  });

  test('a file above 20 MB gets a sentence: Telegram hands out none', async () => {
    const { user, chat } = someone();
    fake.world.say(chat, user, '', { photo: new Uint8Array(20_000_001) });
    await until('a sentence', () => fake.world.said(chat).find(({ text }) => /picture/.test(text ?? '')));
    expect(finished(chat)).toEqual([]);
  });

  test('a link that has expired gets a sentence', async () => {
    const { user, chat } = someone();
    const before = fake.world.files.size;
    stage.bench.engine.delayMs = 10;
    fake.world.say(chat, user, '', { photo: colourPng(7) });
    for (const file of [...fake.world.files.values()].slice(before)) file.expiresAt = 0;
    await until('a sentence', () => fake.world.said(chat).find(({ text }) => text?.includes('could not fetch that picture')));
  });

  test('a click whose acknowledgement comes too late still counts', async () => {
    const { user, chat } = someone();
    fake.world.say(chat, user, 'hello');
    const said = await answered(chat);
    const up = said.reply_markup!.inline_keyboard.flat().find(({ callback_data: data }) => data?.startsWith('u:'))!.callback_data!;
    fake.fail({ method: 'answerCallbackQuery', status: 400, description: 'Bad Request: query is too old and response timeout expired or query ID is invalid' });
    fake.world.click(said, user, up);
    await untilEqual(() => stage.bench.store.votes.count(up.slice(2)), { up: 1, down: 0 });
  });

  test('a click is answered before the work, and also when it means nothing', async () => {
    const { user, chat } = someone();
    fake.world.say(chat, user, 'hello');
    const said = await answered(chat);
    stage.bench.engine.delayMs = 25;
    const [again] = said.reply_markup!.inline_keyboard.flat().filter(({ callback_data: data }) => data?.startsWith('a:'));
    const click = fake.world.click(said, user, again!.callback_data!);
    await until('acknowledged', () => fake.world.clicks.get(click)?.answered);
    expect(finished(chat)).toHaveLength(1);
    const nonsense = fake.world.click(said, user, '\u0000<script>');
    await until('acknowledged', () => fake.world.clicks.get(nonsense)?.answered);
    await answered(chat, 2);
  });
});

describe('secrets', () => {
  test('neither the token nor what people wrote is in the log', async () => {
    const { user, chat } = someone();
    fake.fail({ method: 'sendMessage', status: 400, description: 'Bad Request: something about the text' });
    fake.world.say(chat, user, 'Xyzzy-plugh-confidential');
    await calm(600);
    const log = stage.bench.logged.join('');
    expect(log.length).toBeGreaterThan(100);
    expect(log).not.toContain('Xyzzy-plugh');
    expect(log).not.toContain(fake.token);
  });

  test('a wrong token is a configuration error', async () => {
    await expect(startTelegram({ token: '1:nonsense', apiRoot: fake.url }, stage.bot())).rejects.toMatchObject({ code: 'TELEGRAM_TOKEN' });
  });
});

describe('webhook', () => {
  test('takes updates with the secret only, and tells of the rest by status', async () => {
    await stage.restart();
    const bot = stage.bench.newBot();
    const secret = 'a_secret-123';
    await expect(startTelegram({ token: fake.token, apiRoot: fake.url, mode: 'webhook', webhookUrl: 'https://bot.example/hook' }, bot)).rejects.toMatchObject({ code: 'TELEGRAM_WEBHOOK' });
    const running = await startTelegram({ token: fake.token, apiRoot: fake.url, mode: 'webhook', webhookUrl: 'https://bot.example/hook', webhookSecret: secret, rates: { secondMs: 40, perChatPerSecond: 1, perGroupPerMinute: 20, perSecond: 30 } }, bot);
    const server = createServer((request, response) => void running.webhook!(request, response));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      expect(fake.webhook).toEqual({ url: 'https://bot.example/hook', secret });
      const { user, chat } = someone();
      const message = fake.world.say(chat, user, 'by webhook');
      const update = fake.world.updates.pop()!;
      expect(violation('Update', update)).toBeNull();
      const post = (headers: Record<string, string>, body: string, method = 'POST') => fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`, { method, headers, ...(method === 'POST' ? { body } : {}) });
      const right = { 'x-telegram-bot-api-secret-token': secret };
      expect((await post({}, JSON.stringify(update))).status).toBe(401);
      expect((await post({ 'x-telegram-bot-api-secret-token': `${secret}x` }, JSON.stringify(update))).status).toBe(401);
      expect((await post(right, 'not json')).status).toBe(400);
      expect((await post(right, '', 'GET')).status).toBe(405);
      expect((await post(right, `"${'x'.repeat(1_000_001)}"`)).status).toBe(413);
      const accepted = await post(right, JSON.stringify(update));
      expect([accepted.status, await accepted.text()]).toEqual([200, '']);
      await post(right, JSON.stringify(update));
      const said = await answered(chat);
      expect(said.reply_to_message?.message_id).toBe(message.message_id);
      await calm(400);
      expect(finished(chat)).toHaveLength(1);
    } finally {
      await running.stop();
      await bot.stop(500);
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  });
});
