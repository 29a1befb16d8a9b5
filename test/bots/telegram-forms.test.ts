// What Telegram takes in which form: pictures that are no photos, formatting that it cannot read; and the
// ids of updates after a quiet week.
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { TelegramApi } from '../../bots/telegram/api.ts';
import { OutgoingQueue } from '../../bots/telegram/outgoing.ts';
import { TelegramPlatform } from '../../bots/telegram/platform.ts';
import type { AnswerPicture, Reply } from '../../src/chat/index.ts';
import { keepPictures } from '../../src/chat/platform.ts';
import type { FakeTelegram } from '../fakes/telegram/server.ts';
import type { FakeChat, FakeUser } from '../fakes/telegram/world.ts';
import { until } from './bench.ts';
import { colourPng } from './pictures.ts';
import { openTelegram, type Stage } from './stages.ts';

let stage: Stage & { fake: FakeTelegram };
let fake: FakeTelegram;
let next = 8_000;

beforeAll(async () => {
  stage = await openTelegram();
  fake = stage.fake;
});
afterAll(() => stage?.close());
afterEach(() => expect(fake.violations).toEqual([]));

const someone = (): { user: FakeUser; chat: FakeChat } => {
  const user = fake.world.user(next++);
  return { user, chat: fake.world.privateChat(user) };
};
const finished = (chat: FakeChat) => fake.world.said(chat).filter(({ reply_markup: markup }) => markup);
const answered = (chat: FakeChat, count = 1) => until('an answer', () => finished(chat)[count - 1]);
const cannotParse = "Bad Request: can't parse entities: unsupported start tag";

function platform(): TelegramPlatform {
  const api = new TelegramApi({ token: fake.token, apiRoot: fake.url, secondMs: 40 });
  return new TelegramPlatform({ api, queue: new OutgoingQueue({ secondMs: 40, perChatPerSecond: 1, perGroupPerMinute: 20, perSecond: 30 }), fileHosts: [], secondMs: 40, onMigrated: async () => {} });
}

const shown = (id: string, width = 640, height = 480): AnswerPicture => ({ id, hash: 'h', alt: `picture ${id} @somebody`, caption: null, source: null, licence: null, mimeType: 'image/png', width, height, score: 1 });
const replyOf = (pictures: AnswerPicture[], buttons: Reply['buttons'] = []): Reply => ({ parts: [{ type: 'pictures', pictures }], buttons, locale: 'en', complete: true });
const bytesOf = async (): Promise<Uint8Array> => colourPng(1);

async function send(chat: FakeChat, reply: Reply): Promise<void> {
  const telegram = platform();
  const place = { platform: 'telegram', key: `telegram:${chat.id}`, chat: `telegram:${chat.id}`, isPrivate: true, native: { chat: String(chat.id) } } as const;
  for (const unit of telegram.render(reply)) await telegram.send({ place, first: false }, unit, '', bytesOf);
}

test('a picture of 2000 × 50 goes as a file with its caption, and takes its buttons by an edit', async () => {
  const { chat } = someone();
  const telegram = platform();
  const place = { platform: 'telegram', key: `telegram:${chat.id}`, chat: `telegram:${chat.id}`, isPrivate: true, native: { chat: String(chat.id) } } as const;
  const narrow = shown('narrow', 2_000, 50);
  const [unit] = telegram.render(replyOf([narrow]));
  const [id] = await telegram.send({ place, first: true }, unit!, '', bytesOf);
  const buttons = [{ action: 'up' as const, subject: 'abc', label: '' }];
  const [withButtons] = telegram.render(replyOf([narrow], buttons));
  await telegram.edit({ place, first: false }, id!, keepPictures(unit!, withButtons!), bytesOf);
  const [said] = fake.world.said(chat);
  expect(said).toMatchObject({ caption: 'picture narrow @somebody', reply_markup: { inline_keyboard: [[{ callback_data: 'u:abc' }]] } });
  expect([said!.document !== undefined, said!.photo]).toEqual([true, undefined]);
});

test('words, captions and albums whose formatting Telegram cannot read come plain', async () => {
  const { user, chat } = someone();
  fake.fail({ method: 'sendMessage', status: 400, description: cannotParse });
  fake.world.say(chat, user, 'hello');
  await answered(chat);
  fake.fail({ method: 'sendPhoto', status: 400, description: cannotParse });
  await send(chat, replyOf([shown('a')]));
  fake.fail({ method: 'sendMediaGroup', status: 400, description: cannotParse });
  await send(chat, replyOf([shown('b'), shown('c')]));
  expect(fake.world.said(chat).slice(-3).map(({ caption, caption_entities: entities }) => [caption, entities ?? null])).toEqual(['a', 'b', 'c'].map((id) => [`picture ${id} @somebody`, null]));
});

test('one that Telegram cannot read plain either is tried once more only', async () => {
  const { user, chat } = someone();
  fake.fail({ method: 'sendMessage', status: 400, description: cannotParse, times: 2 });
  fake.world.say(chat, user, 'hello');
  await until('two tries', () => fake.called('sendMessage').filter(({ payload }) => payload.chat_id === chat.id).length === 2);
  await new Promise((resolve) => setTimeout(resolve, 400));
  expect(fake.called('sendMessage').filter(({ payload }) => payload.chat_id === chat.id)).toHaveLength(2);
});

test('while a picture is uploaded the person sees that', async () => {
  const { chat } = someone();
  await send(chat, replyOf([shown('a')]));
  await until('the sign', () => fake.called('sendChatAction').some(({ payload }) => payload.chat_id === chat.id && payload.action === 'upload_photo'));
});

test.each([['the process lives on', false], ['it was started anew', true]])('an id that jumps down after a quiet week loses nothing (%s)', async (_, restarted) => {
  const { user, chat } = someone();
  fake.world.say(chat, user, 'before');
  await answered(chat);
  const polls = fake.called('getUpdates').length;
  await until('a poll that found nothing is over', () => fake.called('getUpdates').slice(polls).some(({ payload }) => payload.offset === undefined));
  fake.world.jumpTo(7);
  if (restarted) await stage.restart();
  fake.world.say(chat, user, 'after');
  await answered(chat, 2);
});
