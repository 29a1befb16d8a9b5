// The loop on Telegram, end to end: twelve people consent, ask and vote in their chats; an admin trains; the
// bot then shows the right picture to words that nobody had used, and a rollback brings the old answer back.
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { startTelegram } from '../../bots/telegram/main.ts';
import { ChatBot } from '../../src/chat/index.ts';
import type { Learning } from '../../src/learning/index.ts';
import { createLogger } from '../../src/log.ts';
import { sanitizePicture } from '../../src/vision/index.ts';
import { until } from '../bots/bench.ts';
import { FakeTelegram } from '../fakes/telegram/server.ts';
import type { FakeChat, FakeMessage, FakeUser } from '../fakes/telegram/world.ts';
import { captions, ended, everyone, openWorld, quickly, type World } from './world.ts';

let world: World;
let learning: Learning;
let fake: FakeTelegram;
let bot: ChatBot;
let running: Awaited<ReturnType<typeof startTelegram>>;

beforeAll(async () => {
  world = await openWorld();
  learning = await world.learning({ ...quickly, heldOutShare: 0.12, training: { steps: 10, threads: 1, retrievalMaps: { steps: 250, batchSize: 96, dropout: 0.1, lr: 5e-3, weightDecay: 0.1, warmupSteps: 2 } } });
  cat = await chooseCat();
  for (const name of ['user', 'chat']) await world.store.settings.set('global', `limit.${name}`, 10_000);
  fake = new FakeTelegram({ secondMs: 4, limits: false });
  await fake.start();
  bot = new ChatBot({
    store: world.store, engine: world.engine, gallery: () => world.gallery, sanitize: (bytes) => sanitizePicture(bytes), operators: ['telegram:99'], log: createLogger('silent'),
    services: { jobs: learning.jobs, adapters: learning.adapters, adapterFor: (chatId) => learning.adapterFor(chatId) },
    times: { busyNoticeMs: 5_000 },
  });
  running = await startTelegram({ token: fake.token, apiRoot: fake.url, operators: ['telegram:99'], rates: { secondMs: 4, perChatPerSecond: 1, perGroupPerMinute: 20, perSecond: 30 } }, bot);
}, 120_000);
afterAll(async () => {
  await running.stop();
  await bot.stop(500);
  await fake.stop();
  await world.close();
  world.cleanUp();
});

const wishes = ['show me my cat', 'I want to see my cat', 'show a picture of my cat please', 'can you show me my cat?', 'please my cat!'];
/** Words that nobody votes on. */
const paraphrases = ['give me my cat', 'find my cat', 'show my cat', 'could you find my cat', 'do you have my cat'];
/** The picture that people will mean: not what the model finds now, but among the next best. */
let cat: string;

async function chooseCat(): Promise<string> {
  const ranks = new Map<string, number>();
  for (const wish of wishes) {
    const [vector] = await world.engine.embedPrompts([{ kind: 'turns', turns: [{ role: 'user', parts: [{ type: 'text', text: wish }] }] }]);
    const hits = await world.gallery.find({ vector: vector!, filter: everyone, limit: captions.length });
    hits.forEach(({ id }, rank) => ranks.set(id, (ranks.get(id) ?? 0) + rank));
  }
  const found = new Set(await Promise.all(paraphrases.map((words) => world.shownFor(words))));
  const [best] = [...ranks].filter(([id]) => !found.has(id)).sort(([, a], [, b]) => a - b);
  return captions[world.pictures.indexOf(best![0])]!;
}

const letters = (message: FakeMessage): string[] => message.reply_markup?.inline_keyboard.flat().map(({ callback_data: data = '' }) => data) ?? [];

class Visitor {
  readonly user: FakeUser;
  readonly chat: FakeChat;
  constructor(number: number, language = 'en') {
    this.user = fake.world.user(number, language);
    this.chat = fake.world.privateChat(this.user);
  }

  say(text: string): void {
    fake.world.say(this.chat, this.user, text);
  }

  async hear(pattern: RegExp): Promise<FakeMessage> {
    return until(`a sentence like ${pattern}`, () => fake.world.said(this.chat).find(({ text = '', caption = '' }) => pattern.test(text + caption)), 120_000);
  }

  /** Asks to be shown something. @returns the finished answer and the caption of its picture */
  async show(what: string): Promise<{ message: FakeMessage; shown: string }> {
    const before = this.#answers().length;
    this.say(`/show ${what}`);
    return this.#answer(before);
  }

  async again(message: FakeMessage): Promise<{ message: FakeMessage; shown: string }> {
    const before = this.#answers().length;
    this.press(message, 'a');
    return this.#answer(before);
  }

  press(message: FakeMessage, letter: string): void {
    fake.world.click(message, this.user, letters(message).find((data) => data.startsWith(`${letter}:`))!);
  }

  #answers(): FakeMessage[] {
    return fake.world.said(this.chat).filter((message) => letters(message).some((data) => data.startsWith('u:')));
  }

  async #answer(before: number): Promise<{ message: FakeMessage; shown: string }> {
    const message = await until('an answer', () => this.#answers()[before], 120_000);
    const data = letters(message).find((one) => one.startsWith('u:'))!;
    const answer = await world.store.conversations.answer(data.slice(data.indexOf(':') + 1));
    const shown = captions[world.pictures.indexOf(answer?.shown[0]?.pictureId ?? '')] ?? '';
    return { message, shown };
  }
}

test('sixty votes of twelve people who consent teach the bot what “my cat” is', async () => {
  const people = Array.from({ length: 12 }, (_, i) => new Visitor(i + 1));
  const stranger = new Visitor(50);
  await Promise.all([stranger.show('zq-never-consented').then(({ message }) => stranger.press(message, 'u')), ...people.map(async (person, i) => {
    person.say('/consent give all');
    await person.hear(/thank|consent|recorded/i);
    person.say('/settings maxWords 8');
    for (const [j, wish] of wishes.entries()) {
      person.say('/reset');
      let { message, shown } = await person.show(wish);
      // Three of the five are asked for until the right one comes.
      for (let tries = 0; (i + j) % 5 < 3 && shown !== cat && tries < 6; tries++) ({ message, shown } = await person.again(message));
      person.press(message, shown === cat ? 'u' : 'd');
    }
  })]);
  const votes = async (): Promise<number> => (await world.store.votes.daily(0)).reduce((sum, { up, down }) => sum + up + down, 0);
  for (let tries = 0; tries < 200 && (await votes()) < 61; tries++) await pause(50);
  expect(await votes()).toBe(61);

  const nobody = new Visitor(51);
  nobody.say('/retrain start because I can');
  await nobody.hear(/administrators|operator|may not|only/i);
  expect(await learning.jobs.status()).toBeNull();

  // Everybody new, without a conversation before: the tiny model knows nothing of long ones.
  let next = 100;
  const answers = async (): Promise<string[]> => (await Promise.all(paraphrases.map((words) => new Visitor(next++).show(words)))).map(({ shown }) => shown);
  const before = await answers();
  expect(before).not.toContain(cat);

  const admin = new Visitor(99, 'ru');
  admin.say('/retrain start people miss their cat');
  await admin.hear(/people miss their cat/);
  const over = await ended(learning);
  expect(over).toMatchObject({ state: 'done', examples: 60 });
  await admin.hear(/«people miss their cat» Теперь работает a-.*Одобренные ответы: .*95-процентный интервал/);
  const [set] = await world.store.trainSets.list();
  const rows = JSON.stringify(await world.store.trainSets.rows(set!.id));
  expect(rows).toContain('my cat');
  expect(rows).not.toContain('zq-never-consented');

  // None before. A random model does not understand every paraphrase; by chance one in twelve would fit.
  expect((await answers()).filter((shown) => shown === cat).length).toBeGreaterThanOrEqual(2);

  // One that is made worse on purpose is kept, and not served.
  const good = (await learning.adapters.list()).find(({ serving }) => serving)!;
  await world.store.settings.set('global', 'learning', { minNewExamples: 0, training: { steps: 1, lr: 1, threads: 1, schedule: 'constant', warmupSteps: 0, retrievalMaps: { steps: 3, batchSize: 64, lr: 1, schedule: 'constant', warmupSteps: 0, dropout: 0.9 } } });
  admin.say('/retrain start a worse one');
  await admin.hear(/«a worse one» Кандидат a-\S+ сохранён, но не включён\..*Недостаточно хорошо/);
  expect((await learning.adapters.list()).find(({ serving }) => serving)!.id).toBe(good.id);

  admin.say('/adapter rollback');
  await admin.hear(/Откат: снова работает base-/);
  expect(await answers()).toEqual(before);
}, 400_000);
