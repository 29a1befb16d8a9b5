// What people send as one and Telegram delivers in pieces: albums with commands, words right after an
// album, comments with forwarded messages. Each is one turn with one answer, in the order of the chat.
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { ChatServices, LearnRequest } from '../../src/chat/index.ts';
import type { FakeTelegram } from '../fakes/telegram/server.ts';
import type { FakeChat, FakeUser } from '../fakes/telegram/world.ts';
import { until } from './bench.ts';
import { colourPng } from './pictures.ts';
import { openTelegram, type Stage } from './stages.ts';

let stage: Stage & { fake: FakeTelegram };
let fake: FakeTelegram;
let next = 9000;
const learned: LearnRequest[] = [];
const services: ChatServices = {
  galleryAdmin: {
    learn: async (request) => ({ outcome: 'added', id: `id-${learned.push(request)}`, total: learned.length }),
    remove: async () => [],
    stats: async () => ({ total: 0, own: 0, index: 'none' }),
  },
};

beforeAll(async () => {
  stage = await openTelegram({ bot: { services } });
  fake = stage.fake;
});
afterAll(() => stage?.close());
afterEach(() => {
  expect(fake.violations).toEqual([]);
  stage.bench.engine.delayMs = 0;
  learned.length = 0;
});

const calm = (ms = 500): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const someone = (): { user: FakeUser; chat: FakeChat } => {
  const user = fake.world.user(next++);
  return { user, chat: fake.world.privateChat(user) };
};
const finished = (chat: FakeChat) => fake.world.said(chat).filter(({ reply_markup: markup }) => markup);
const answered = (chat: FakeChat, count = 1) => until(`answer ${count}`, () => finished(chat).length >= count && finished(chat)[count - 1]);
const photos = (...colours: number[]): Uint8Array[] => colours.map((colour) => colourPng(colour));
/** What the engine was last asked: the last turn's parts, and all pictures. */
const asked = () => {
  const { prompt } = stage.bench.engine.requests.at(-1)!;
  const turns = prompt.kind === 'turns' ? prompt.turns : [];
  const shape = (parts: readonly { type: string; text?: string }[]) => parts.map(({ type, text }) => (type === 'text' ? text : 'image'));
  return { last: shape(turns.at(-1)?.parts ?? []), images: turns.flatMap(({ parts }) => parts).filter(({ type }) => type === 'image').length, turns: turns.length };
};

describe('a command as the caption of an album', () => {
  test.each(['private', 'group'])('/ask is one question with all pictures (%s)', async (kind) => {
    const { user, chat: direct } = someone();
    const chat = kind === 'private' ? direct : fake.world.group(-900_000 - next);
    const before = stage.bench.engine.requests.length;
    const [first] = fake.world.album(chat, user, '/ask which is brighter?', photos(1, 2, 3));
    const said = await answered(chat);
    await calm();
    expect(stage.bench.engine.requests.length - before).toBe(1);
    expect(asked().last).toEqual(['image', 'image', 'image', 'which is brighter?']);
    expect(finished(chat)).toHaveLength(1);
    expect(fake.world.said(chat)[0]?.reply_to_message?.message_id).toBe(first!.message_id);
    expect(said.reply_markup).toBeDefined();
  });

  test('/learn learns each picture with the caption, and says so once', async () => {
    const { user, chat } = someone();
    const before = stage.bench.engine.requests.length;
    fake.world.album(chat, user, '/learn a cat', photos(4, 5));
    const said = await until('the report', () => fake.world.said(chat)[0]);
    await calm();
    expect(said.text).toBe('Learned “a cat”. This chat can now be shown it. Its id is id-1.\nLearned “a cat”. This chat can now be shown it. Its id is id-2.');
    expect(learned.map(({ caption }) => caption)).toEqual(['a cat', 'a cat']);
    expect(fake.world.said(chat)).toHaveLength(1);
    expect(stage.bench.engine.requests.length).toBe(before);
  });

  test('a command that needs no picture is done once too', async () => {
    const { user, chat } = someone();
    fake.world.album(chat, user, '/help', photos(1, 2));
    await until('help', () => fake.world.said(chat)[0]);
    await calm();
    expect(fake.world.said(chat)).toHaveLength(1);
  });
});

describe('right after an album', () => {
  test('a message is answered after it and sees its pictures', async () => {
    const { user, chat } = someone();
    const [first] = fake.world.album(chat, user, '', photos(1, 2, 3));
    const words = fake.world.say(chat, user, 'which one is blue?');
    await answered(chat, 2);
    await calm();
    expect(finished(chat)).toHaveLength(2);
    expect(asked()).toMatchObject({ last: ['which one is blue?'], images: 3, turns: 3 });
    const replies = fake.world.said(chat).flatMap(({ reply_to_message: to }) => (to ? [to.message_id] : []));
    expect(replies).toEqual([first!.message_id, words.message_id]);
  });

  test('the words of others in the group are answered too, each once', async () => {
    const [me, other] = [someone().user, someone().user];
    const group = fake.world.group(-910_000 - next);
    fake.world.album(group, me, '@fromage_test_bot what is it?', photos(1, 2));
    fake.world.say(group, other, '@fromage_test_bot and who are you?');
    await answered(group, 2);
    await calm();
    expect(finished(group)).toHaveLength(2);
  });

  test('an album that is not for the bot is not kept', async () => {
    const { user } = someone();
    const group = fake.world.group(-920_000 - next);
    fake.world.album(group, user, 'our holidays', photos(1, 2));
    await calm();
    expect(fake.world.said(group)).toEqual([]);
    const chat = await stage.bench.store.conversations.ensureChat({ platform: 'telegram', externalId: String(group.id), kind: 'group' });
    expect(await stage.bench.store.conversations.turns((await stage.bench.store.conversations.current(chat.id)).id)).toEqual([]);
    expect(await stage.bench.store.inbox.waiting('telegram')).toEqual([]);
  });

  test('its caption can be edited: the pictures stay, the answer changes', async () => {
    const { user, chat } = someone();
    const [first] = fake.world.album(chat, user, 'what colours?', photos(1, 2));
    const buttons = JSON.stringify((await answered(chat)).reply_markup);
    fake.world.edit(first!, 'how many?');
    await until('the question was asked anew', () => asked().last.includes('how many?'));
    expect(asked()).toMatchObject({ last: ['image', 'image', 'how many?'], turns: 1 });
    await until('other buttons', () => finished(chat).some(({ reply_markup: markup }) => JSON.stringify(markup) !== buttons));
    await calm(300);
    expect(finished(chat)).toHaveLength(1);
  });

  test('one of its pictures that comes late, while it is answered, is still part of it', async () => {
    const { user, chat } = someone();
    stage.bench.engine.delayMs = 40;
    const albumId = 'late-album';
    fake.world.say(chat, user, 'count them', { photo: colourPng(1), albumId });
    await until('the engine works on it', () => asked().last.includes('count them'));
    await calm(100);
    fake.world.say(chat, user, '', { photo: colourPng(2), albumId });
    await until('asked again', () => asked().images === 2);
    stage.bench.engine.delayMs = 0;
    await answered(chat);
    await calm();
    expect(finished(chat)).toHaveLength(1);
    expect(asked()).toMatchObject({ last: ['image', 'image', 'count them'], turns: 1 });
  });
});

describe('a comment with forwarded messages', () => {
  test('is one turn with one answer', async () => {
    const { user, chat } = someone();
    stage.bench.engine.delayMs = 20;
    const before = stage.bench.engine.requests.length;
    const comment = fake.world.say(chat, user, 'what is that?');
    fake.world.say(chat, user, 'seen today', { forwarded: true, photo: colourPng(7) });
    fake.world.say(chat, user, 'and this', { forwarded: true });
    await until('asked with the picture', () => stage.bench.engine.requests.length > before && asked().images === 1);
    stage.bench.engine.delayMs = 0;
    const said = await answered(chat);
    await calm();
    expect(asked()).toMatchObject({ last: ['image', 'seen today\nand this\n', 'what is that?'], turns: 1 });
    expect(finished(chat)).toHaveLength(1);
    expect(said.reply_to_message?.message_id ?? fake.world.said(chat)[0]?.reply_to_message?.message_id).toBe(comment.message_id);
  });

  test('that comes when the comment is already being answered begins the answer anew', async () => {
    const { user } = someone();
    const group = fake.world.group(-930_000 - next);
    stage.bench.engine.delayMs = 40;
    const { date } = fake.world.say(group, user, '@fromage_test_bot who is on it?');
    await until('a preview', () => fake.world.said(group).length > 0);
    fake.world.say(group, user, '', { forwarded: true, photo: colourPng(8), date });
    await until('asked again with the picture', () => asked().images === 1);
    stage.bench.engine.delayMs = 0;
    await answered(group);
    await calm();
    expect(asked()).toMatchObject({ last: ['image', 'who is on it?'], turns: 1 });
    expect(finished(group)).toHaveLength(1);
    expect(fake.world.said(group).filter(({ photo }) => !photo)).toHaveLength(1);
  });

  test('several forwarded messages without a comment are one turn', async () => {
    const { user, chat } = someone();
    for (const text of ['one', 'two', '/forget']) fake.world.say(chat, user, text, { forwarded: true });
    await answered(chat);
    await calm();
    // A command that somebody else wrote is only words.
    expect(asked().last).toEqual(['one\ntwo\n/forget']);
    expect(finished(chat)).toHaveLength(1);
    expect(fake.world.said(chat).filter(({ text }) => text?.includes('Shall I delete'))).toEqual([]);
  });

  test('in a group where others forward too, only what was sent with the words is read', async () => {
    const [me, other] = [someone().user, someone().user];
    const group = fake.world.group(-940_000 - next);
    fake.world.say(group, other, 'a secret of somebody', { forwarded: true });
    fake.world.say(group, me, '@fromage_test_bot is that so?');
    fake.world.say(group, other, 'another secret', { forwarded: true });
    fake.world.say(group, me, 'the earth is flat', { forwarded: true });
    await answered(group);
    await calm();
    expect(asked().last).toEqual(['the earth is flat\n', 'is that so?']);
    expect(JSON.stringify(stage.bench.engine.requests.map(({ prompt }) => JSON.stringify(prompt)))).not.toContain('secret');
  });
});
