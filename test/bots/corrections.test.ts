// Setting an answer right on both platforms: "not this one", "the right one is this", "it shows …".
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import type { Correction } from '../../src/chat/contracts.ts';
import { correctionInWords } from '../../src/chat/corrections-in-words.ts';
import type { LearnRequest } from '../../src/chat/index.ts';
import { until } from './bench.ts';
import { colourPng } from './pictures.ts';
import { openDiscord, openTelegram, type Person, type Room, type Said, type Stage } from './stages.ts';

jest.setTimeout(300_000);

const learned: LearnRequest[] = [];
const keptId = '01234567-89ab-4def-8123-456789abcdef';
const services = {
  galleryAdmin: {
    learn: async (request: LearnRequest) => (learned.push(request), { outcome: 'added' as const, id: keptId, total: 1 }),
    remove: async () => [],
    stats: async () => ({ total: 0, own: 0, index: 'embedded' }),
  },
};

describe.each([['Telegram', openTelegram], ['Discord', openDiscord]] as const)('%s', (name, open) => {
  let stage: Stage;
  let next = 300;
  beforeAll(async () => {
    stage = await open({ bot: { services } });
  });
  afterAll(() => stage.close());
  afterEach(() => expect(stage.violations()).toEqual([]));

  const answers = (room: Room): Said[] => stage.said(room).filter(({ buttons }) => buttons.some((data) => data.startsWith('u:')));
  const sentence = (room: Room, pattern: RegExp): Promise<Said> => until(`a sentence like ${pattern}`, () => stage.said(room).find(({ text }) => pattern.test(text))).catch((error: unknown) => {
    throw new Error(`${(error as Error).message}; said ${JSON.stringify(stage.said(room).map(({ text }) => text))}`);
  });
  const answerId = (said: Said): string => said.buttons[0]!.slice(2);
  const shownBy = async (said: Said): Promise<string[]> => (await stage.bench.store.conversations.answer(answerId(said)))!.shown.map(({ pictureId }) => pictureId);
  const corrections = async (said: Said): Promise<Correction[]> => (await stage.bench.store.votes.corrections(answerId(said))).map(({ userId: _, at: _at, ...one }) => one as Correction);
  const eventually = async (said: Said, count: number): Promise<Correction[]> => {
    let found: Correction[] = [];
    for (let tries = 0; tries < 1_000 && found.length !== count; tries++) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      found = await corrections(said);
    }
    return found;
  };
  async function shownTo(pictures = 1, asker?: Person): Promise<{ me: Person; room: Room; said: Said }> {
    const me = asker ?? stage.person(next++);
    const room = stage.direct(me);
    if (pictures > 1) {
      stage.command(room, me, 'settings', { name: 'pictures', value: String(pictures) });
      await sentence(room, /pictures is now/);
    }
    stage.command(room, me, 'show', { what: 'dogs' });
    return { me, room, said: await until('an answer', () => answers(room)[0]) };
  }

  test('🚫 under a picture counts once per person, and 👍 takes it back', async () => {
    const { me, room, said } = await shownTo();
    const [pictureId] = await shownBy(said);
    stage.click(room, said.id, me, 'w');
    stage.click(room, said.id, me, 'w');
    await until('acknowledgements', () => stage.acknowledgements().filter((words) => words.includes('not this one')).length >= 2);
    expect(await eventually(said, 1)).toEqual([{ kind: 'not-this', pictureId }]);
    stage.click(room, said.id, me, 'd');
    stage.click(room, said.id, me, 'u');
    expect(await eventually(said, 0)).toEqual([]);
    for (let tries = 0; tries < 1_000 && (await stage.bench.store.votes.count(answerId(said))).up === 0; tries++) await new Promise((resolve) => setTimeout(resolve, 20));
    expect(await stage.bench.store.votes.count(answerId(said))).toEqual({ up: 1, down: 0 });
  });

  test('of several pictures each has its button; a command names one by its number, a reply by where it stands', async () => {
    const { me, room, said } = await shownTo(3);
    const shown = await shownBy(said);
    expect(said.buttons.filter((data) => data.startsWith('w:'))).toEqual([0, 1, 2].map((place) => `w:${answerId(said)}_${place}`));
    stage.command(room, me, 'wrong', {});
    await sentence(room, /Which of the 3 pictures\? Give its number: \/wrong 2/);
    stage.command(room, me, 'wrong', { which: '2' });
    expect(await eventually(said, 1)).toEqual([{ kind: 'not-this', pictureId: shown[1] }]);
    stage.say(room, me, 'Not this one 3!', { replyTo: said.id });
    expect(await eventually(said, 2)).toContainEqual({ kind: 'not-this', pictureId: shown[2] });
    stage.command(room, me, 'wrong', { which: '7' });
    await until('the question again', () => stage.said(room).filter(({ text }) => text.includes('Which of the 3')).length === 2);
    expect(await corrections(said)).toHaveLength(2);
    if (name === 'Telegram') {
      const [first] = stage.said(room).filter(({ pictures }) => pictures.length > 0);
      stage.command(room, me, 'wrong', {}, { replyTo: first!.id });
      expect(await eventually(said, 3)).toContainEqual({ kind: 'not-this', pictureId: shown[0] });
    } else {
      const { fake } = stage as Awaited<ReturnType<typeof openDiscord>>;
      const message = [...fake.world.messages.values()].flat().find(({ id }) => id === said.id)!;
      fake.menu(message, fake.world.user(me.id.slice('discord:'.length)), 'Not this picture');
      await until('the question a third time', () => stage.said(room).filter(({ text }) => text.includes('Which of the 3')).length === 3);
    }
  });

  test('the right picture is sent with the answer, chosen by number or by id; only what the chat may see', async () => {
    const { me, room, said } = await shownTo(2);
    const shown = await shownBy(said);
    stage.command(room, me, 'right', {}, { picture: colourPng(60), replyTo: said.id });
    await sentence(room, new RegExp(`/unlearn ${keptId}.*only with your /consent`));
    // Discord's words are not learned: without a caption nothing says what this is the right picture for.
    expect(stage.said(room).some(({ text }) => text.includes('a picture without a caption teaches me nothing'))).toBe(name === 'Discord');
    expect(await corrections(said)).toEqual([{ kind: 'right-picture', pictureId: keptId }]);
    expect(learned.at(-1)).toMatchObject({ caption: '', tenant: `chat:${room.key}` });
    stage.command(room, me, 'consent', { action: 'give', for: 'votes' });
    await sentence(room, /votes: given/);
    stage.command(room, me, 'right', { which: '2' });
    await until('its number', () => stage.said(room).find(({ text }) => text === 'Thank you. Noted.'));
    expect(await corrections(said)).toEqual([{ kind: 'right-picture', pictureId: shown[1] }]);
    stage.command(room, me, 'right', { which: '99999999-89ab-4def-8123-456789abcdef' });
    await sentence(room, /Send the right picture with \/right/);
    stage.say(room, me, 'The right one is this:', { replyTo: said.id, pictures: [colourPng(61)] });
    expect(await until('kept again', () => (learned.length % 2 === 0 ? learned.at(-1) : null))).toMatchObject({ userId: learned.at(-2)!.userId });
    await until('its sentence', () => stage.said(room).filter(({ text }) => text.includes(`/unlearn ${keptId}`)).length === 2);
    expect(await corrections(said)).toEqual([{ kind: 'right-picture', pictureId: keptId }]);
  });

  test('“it shows …” is kept of an answer about a picture; of Discord’s words nothing is', async () => {
    const me = stage.person(next++);
    const room = stage.direct(me);
    stage.say(room, me, 'what is this?', { pictures: [colourPng(62)] });
    const said = await until('an answer', () => answers(room)[0]);
    stage.command(room, me, 'shows', { caption: 'zq-a dog on a sofa' }, { replyTo: said.id });
    if (name === 'Discord') {
      await sentence(room, /On Discord I learn no words/);
      stage.say(room, me, 'It shows zq-a dog', { replyTo: said.id });
      await until('the sentence again', () => stage.said(room).filter(({ text }) => text.includes('On Discord I learn no words')).length === 2);
      expect(await corrections(said)).toEqual([]);
      return;
    }
    expect(await eventually(said, 1)).toEqual([{ kind: 'it-shows', text: 'zq-a dog on a sofa' }]);
    stage.say(room, me, 'It shows zq-two dogs', { replyTo: said.id });
    await until('noted twice', () => stage.said(room).filter(({ text }) => text.startsWith('Thank you. Noted.')).length === 2);
    expect(await corrections(said)).toEqual([{ kind: 'it-shows', text: 'zq-two dogs' }]);
  });

  test('what is no correction stays talk: of an answer in words, as a question, in another chat', async () => {
    const me = stage.person(next++);
    const room = stage.direct(me);
    stage.bench.gallery.scoreThreshold = 2;
    try {
      stage.say(room, me, 'hello');
      const said = await until('an answer', () => answers(room)[0]);
      stage.say(room, me, 'wrong', { replyTo: said.id });
      await until('an answer to it', () => answers(room)[1]);
      stage.command(room, me, 'wrong', {});
      await sentence(room, /I showed no picture there/);
    } finally {
      stage.bench.gallery.scoreThreshold = -1;
    }
    const stranger = stage.person(next++);
    const elsewhere = stage.direct(stranger);
    stage.command(elsewhere, stranger, 'wrong', {});
    await sentence(elsewhere, /Reply to one of my answers/);
  });
});

test('words that set right, in both languages, and words that do not', () => {
  for (const text of ['wrong', 'Not this one.', 'not that picture', 'Не эта', 'не та картинка!', 'неверно']) expect([text, correctionInWords(text)]).toEqual([text, { kind: 'wrong', number: null }]);
  expect(correctionInWords('не эта 2')).toEqual({ kind: 'wrong', number: 2 });
  for (const text of ['right', 'the right one is this', 'The right picture is this one', 'this is the right one', 'Правильная вот эта', 'вот правильная']) expect([text, correctionInWords(text)]).toEqual([text, { kind: 'right', number: null }]);
  expect(correctionInWords('right 2')).toEqual({ kind: 'right', number: 2 });
  expect(correctionInWords('It shows two  dogs ')).toEqual({ kind: 'shows', caption: 'two  dogs' });
  expect(correctionInWords('На картинке собака')).toEqual({ kind: 'shows', caption: 'собака' });
  for (const text of ['what is wrong with it', 'right now please', 'it shows what?', 'на картинке кто?', 'show me another', 'not this time', 'правильно ли это', '']) expect([text, correctionInWords(text)]).toEqual([text, null]);
});
