// The loop on Discord, end to end: nothing is learned until the operator's switch is on; then it is what
// consenting people voted, set right and gave to /learn, and never a word of a message.
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { startDiscord } from '../../bots/discord/main.ts';
import { ChatBot } from '../../src/chat/index.ts';
import type { Learning } from '../../src/learning/index.ts';
import { createLogger } from '../../src/log.ts';
import { sanitizePicture } from '../../src/vision/index.ts';
import { until } from '../bots/bench.ts';
import { colourPng } from '../bots/pictures.ts';
import { FakeDiscord } from '../fakes/discord/server.ts';
import type { FakeChannel, FakeMessage, FakeUser } from '../fakes/discord/world.ts';
import { captions, ended, openWorld, quickly, type World } from './world.ts';

let world: World;
let learning: Learning;
let fake: FakeDiscord;
let bot: ChatBot;
let running: Awaited<ReturnType<typeof startDiscord>>;
/** A picture that the model does not find by its caption. */
let wanted: number;

const operator = 700_000_000_000_000_099n;

beforeAll(async () => {
  world = await openWorld();
  learning = await world.learning({ ...quickly, heldOutShare: 0.5, minHeldOut: 1, minNewExamples: 10 });
  const found = await Promise.all(captions.map((caption) => world.shownFor(`Show me ${caption}`)));
  wanted = found.findIndex((id, i) => id !== world.pictures[i]);
  for (const name of ['user', 'chat']) await world.store.settings.set('global', `limit.${name}`, 10_000);
  fake = new FakeDiscord({ secondMs: 1_000, limits: false });
  await fake.start();
  bot = new ChatBot({
    store: world.store, engine: world.engine, gallery: () => world.gallery, sanitize: (bytes) => sanitizePicture(bytes), operators: [`discord:${operator}`], log: createLogger('silent'),
    services: { jobs: learning.jobs, adapters: learning.adapters, adapterFor: (chatId) => learning.adapterFor(chatId), galleryAdmin: world.gallery },
    times: { busyNoticeMs: 5_000 },
  });
  running = await startDiscord({ token: fake.token, apiBase: `${fake.url}/api`, cdnHosts: [fake.url], secondMs: 100 }, bot);
}, 120_000);
afterAll(async () => {
  await running.stop();
  await bot.stop(500);
  await running.close();
  await fake.stop();
  await world.close();
  world.cleanUp();
});

const dataOf = (message: FakeMessage): string[] => message.components.flatMap((row) => (row.components as { custom_id: string }[]).map(({ custom_id: id }) => id));

class Visitor {
  readonly user: FakeUser;
  readonly channel: FakeChannel;
  constructor(number: number | bigint) {
    this.user = fake.world.user(String(typeof number === 'bigint' ? number : 700_000_000_000_000_000n + BigInt(number)), 'en-US');
    this.channel = fake.world.direct(this.user);
  }

  /** What was not acknowledged in three seconds Discord calls failed, and people send it again. */
  async slash(name: string, options: Record<string, string | Uint8Array> = {}): Promise<void> {
    for (let tries = 0; tries < 5; tries++) {
      const interaction = fake.slash(this.channel, this.user, name, options);
      if (await until('an acknowledgement', () => interaction.acknowledged !== null, 4_000).catch(() => false)) return;
    }
  }

  async hear(pattern: RegExp, count = 1): Promise<string> {
    const heard = () => fake.world.said(this.channel).map(({ content }) => content).filter((text) => pattern.test(text));
    return until(`a sentence like ${pattern}`, () => heard()[count - 1], 120_000).catch((error: unknown) => {
      throw new Error(`${(error as Error).message}; said ${JSON.stringify(fake.world.said(this.channel).map(({ content }) => content))}`);
    });
  }

  async show(what: string): Promise<{ message: FakeMessage; shown: string }> {
    const answers = () => fake.world.said(this.channel).filter((message) => dataOf(message).some((data) => data.startsWith('u:')));
    const before = answers().length;
    await this.slash('show', { what });
    const message = await until('an answer', () => answers()[before], 120_000).catch((error: unknown) => {
      throw new Error(`${(error as Error).message}; said ${JSON.stringify(fake.world.said(this.channel).map(({ content }) => content))}`);
    });
    const answer = await world.store.conversations.answer(dataOf(message)[0]!.slice(2));
    return { message, shown: answer!.shown[0]!.pictureId };
  }

  press(message: FakeMessage, letter: string): void {
    fake.click(message, this.user, dataOf(message).find((data) => data.startsWith(`${letter}:`))!);
  }
}

const signals = async (): Promise<number> => world.store.feedback.countSince(0);
async function signalled(count: number): Promise<void> {
  for (let tries = 0; tries < 400 && (await signals()) < count; tries++) await new Promise((resolve) => setTimeout(resolve, 20));
  expect(await signals()).toBe(count);
}

test('as the switch allows: first nothing, then votes, corrections and /learn; promoted, and rolled back', async () => {
  const caption = captions[wanted]!;
  const right = world.pictures[wanted]!;
  const people = Array.from({ length: 4 }, (_, i) => new Visitor(i + 1));
  const silent = new Visitor(20);
  // One after the other: an interaction must be acknowledged within three seconds, and the model runs in this process.
  for (const [i, person] of [...people, silent].entries()) {
    if (person !== silent) await person.slash('consent', { action: 'give', for: 'all' });
    if (person !== silent) await person.hear(/On Discord I never learn from the words[^]*votes: given/);
    for (const [name, value] of [['maxWords', '8'], ['streaming', 'off']] as const) {
      await person.slash('settings', { name, value });
      await person.hear(new RegExp(`${name} is now`));
    }
    for (let asked = 1; asked <= (person === silent ? 1 : 3); asked++) {
      await person.slash('reset');
      await person.hear(/A new conversation/, asked);
      const { message, shown } = await person.show(caption);
      expect(shown).not.toBe(right);
      await person.slash('right', { which: right });
      await person.hear(/^Thank you\. Noted\.( I learn|$)/, asked);
      person.press(message, 'd');
    }
    fake.say(person.channel, person.user, `zq-message-${i}`);
    await person.slash('learn', { caption: `zq-caption-${i}`, picture: colourPng(200 + 9 * i) });
    await person.hear(/Learned “zq-caption/);
  }
  await signalled(13);

  const admin = new Visitor(operator);
  await admin.slash('retrain', { action: 'start', reason: 'with the switch off' });
  await admin.hear(/too little.*0 new examples.*13 × votes from Discord are switched off/);
  expect(await world.store.trainSets.list()).toEqual([]);

  await world.store.settings.set('global', 'learning', { discord: { votes: true, captions: true } });
  await people[0]!.slash('retrain', { action: 'start', reason: 'because I can' });
  await people[0]!.hear(/Only my operators/);
  expect(await learning.jobs.status()).toBeNull();

  const asks = async (number: number): Promise<string> => (await new Visitor(number).show(caption)).shown;
  const before = await asks(50);
  await admin.slash('retrain', { action: 'start', reason: 'people miss their stripes' });
  await admin.hear(/people miss their stripes/);
  expect(await ended(learning)).toMatchObject({ state: 'done', examples: 16 });
  await admin.hear(/serves from now on/);
  const [set] = await world.store.trainSets.list();
  const rows = await world.store.trainSets.rows(set!.id);
  expect(JSON.stringify(rows)).not.toContain('zq-message');
  expect(rows.filter(({ kind }) => kind === 'learn').map(({ text }) => text).sort()).toEqual(people.map((_, i) => `zq-caption-${i}`));
  expect(rows.filter(({ kind }) => kind === 'question')).toEqual([]);
  expect(rows.filter(({ provenance: { origin } }) => origin === 'correction')).toHaveLength(12);

  expect(await asks(51)).toBe(right);
  await admin.slash('adapter', { action: 'rollback' });
  await admin.hear(/Rolled back/);
  expect(await asks(52)).toBe(before);
  expect(fake.violations).toEqual([]);
}, 400_000);
