// Scenarios of people with the bot, written once and played on every platform.
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { until, untilEqual } from './bench.ts';
import { colourPng } from './pictures.ts';
import type { Person, Room, Said, Stage, StageOptions } from './stages.ts';

/** An answer is finished when it has its buttons. */
const finished = (said: Said): boolean => said.buttons.some((data) => data.startsWith('u:'));
const english = /[a-z]/i;

export function playScenarios(open: (options: StageOptions) => Promise<Stage>): void {
  let stage: Stage;
  let next = 100;
  const operator = { number: 99 };

  beforeAll(async () => {
    const id = { discord: `discord:${700_000_000_000_000_000n + 99n}`, telegram: 'telegram:99' };
    stage = await open({ bot: { operators: [id.discord, id.telegram] } });
  });
  afterAll(() => stage?.close());
  afterEach(() => {
    expect(stage.violations()).toEqual([]);
    stage.bench.engine.delayMs = 0;
  });

  const someone = (locale?: string): Person => stage.person(next++, locale === undefined ? {} : { locale });
  const answers = (room: Room): Said[] => stage.said(room).filter(finished);
  const answer = (room: Room, count = 1): Promise<Said> => until(`answer ${count}`, () => answers(room)[count - 1]).catch((error: unknown) => {
    throw new Error(`${(error as Error).message}; log: ${stage.bench.logged.slice(-5).join('')}`);
  });
  const sentence = (room: Room, pattern: RegExp): Promise<Said> => until(`a sentence like ${pattern}`, () => stage.said(room).find(({ text }) => pattern.test(text))).catch((error: unknown) => {
    throw new Error(`${(error as Error).message}; said: ${JSON.stringify(stage.said(room).map(({ text }) => text))}`);
  });
  const calm = (ms = 250): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
  const lastPrompt = (): { texts: string[]; images: number } => {
    const request = stage.bench.engine.requests.at(-1)!;
    const parts = request.prompt.kind === 'turns' ? request.prompt.turns.flatMap((turn) => turn.parts) : [];
    return { texts: parts.flatMap((part) => (part.type === 'text' ? [part.text] : [])), images: parts.filter(({ type }) => type === 'image').length };
  };

  describe('talking', () => {
    test('a question with a picture gets one answer, as a reply, with buttons', async () => {
      const me = someone();
      const room = stage.direct(me);
      const asked = stage.say(room, me, 'What is this?', { pictures: [colourPng(1)] });
      const said = await answer(room);
      expect(lastPrompt()).toMatchObject({ texts: ['What is this?'], images: 1 });
      await calm();
      expect(stage.said(room)).toHaveLength(1);
      expect(said.replyTo).toBe(asked);
      expect(said.buttons.map((data) => data[0])).toEqual(expect.arrayContaining(['u', 'd', 'a']));
    });

    test('in a group the bot answers only when spoken to, and keeps no other talk', async () => {
      const [me, other] = [someone(), someone()];
      const room = stage.group();
      stage.say(room, other, 'the secret is 4711', { aside: true });
      stage.say(room, me, 'hello bot');
      const said = await answer(room);
      stage.say(room, other, 'go on', { replyTo: said.id });
      await answer(room, 2);
      await calm();
      expect(stage.said(room)).toHaveLength(2);
      expect(JSON.stringify(stage.bench.engine.requests.map(({ prompt }) => JSON.stringify(prompt)))).not.toContain('4711');
      const { store } = stage.bench;
      const chat = await store.conversations.ensureChat({ platform: stage.name, externalId: room.key.slice(room.key.indexOf(':') + 1), kind: 'group' });
      expect((await store.conversations.turns((await store.conversations.current(chat.id)).id)).map(({ role }) => role)).toEqual(['user', 'assistant', 'user', 'assistant']);
    });

    test('several pictures sent together are one turn with one answer', async () => {
      const me = someone();
      const room = stage.direct(me);
      const before = stage.bench.engine.requests.length;
      stage.say(room, me, 'Compare these', { pictures: [colourPng(1), colourPng(2), colourPng(3)] });
      await answer(room);
      await calm(400);
      expect(stage.said(room)).toHaveLength(1);
      expect(stage.bench.engine.requests.length - before).toBe(1);
      expect(lastPrompt().images).toBe(3);
    });

    test('a picture in the message replied to belongs to the question', async () => {
      const [me, other] = [someone(), someone()];
      const room = stage.group();
      const theirs = stage.say(room, other, 'look what I found', { aside: true, pictures: [colourPng(9)] });
      if (stage.name === 'discord') stage.say(room, me, `<@900000000000000001> what is that?`, { replyTo: theirs, aside: true });
      else stage.say(room, me, '@fromage_test_bot what is that?', { replyTo: theirs, aside: true });
      await answer(room);
      // Discord hides the picture of a message that does not mention the bot.
      expect(lastPrompt().images).toBe(stage.name === 'discord' ? 0 : 1);
    });

    test('pictures of earlier turns stay in the context', async () => {
      const me = someone();
      const room = stage.direct(me);
      stage.say(room, me, 'first', { pictures: [colourPng(4)] });
      await answer(room);
      stage.say(room, me, 'and now?');
      await answer(room, 2);
      expect(lastPrompt().images).toBe(1);
      expect(lastPrompt().texts).toEqual(expect.arrayContaining(['first', 'and now?']));
    });

    test('a picture that cannot be decoded gets a polite sentence', async () => {
      const me = someone();
      const room = stage.direct(me);
      stage.say(room, me, '', { pictures: [new Uint8Array(Buffer.from('this is no picture at all'))] });
      await sentence(room, /could not read that picture/);
    });

    test('an answer grows while it is made', async () => {
      const me = someone();
      const room = stage.group([me]);
      stage.bench.engine.delayMs = 25;
      stage.say(room, me, 'tell me a long story');
      const said = await answer(room);
      expect(said.changes).toBeGreaterThan(1);
    });
  });

  describe('pictures', () => {
    test('/show shows a picture with alt text and source, and "another" one not shown yet', async () => {
      const me = someone();
      const room = stage.direct(me);
      stage.command(room, me, 'show', { what: 'a dog' });
      await answer(room);
      stage.command(room, me, 'show', { what: 'any other dog' });
      await answer(room, 2);
      const shown = stage.said(room).flatMap(({ pictures }) => pictures.map(({ alt }) => alt));
      expect(shown).toHaveLength(2);
      expect(new Set(shown).size).toBe(2);
      for (const alt of shown) expect(alt).toMatch(/^colour \d+ of all\nSource: https:\/\/example.org\/colours_1\nLicence: MIT$/);
    });

    test('➕ shows more for the same [RET], never one shown before', async () => {
      const me = someone();
      const room = stage.direct(me);
      stage.command(room, me, 'show', { what: 'a cat' });
      const said = await answer(room);
      stage.click(room, said.id, me, 'm');
      await answer(room, 2);
      stage.click(room, said.id, me, 'm');
      await answer(room, 3);
      const shown = stage.said(room).flatMap(({ pictures }) => pictures.map(({ alt }) => alt));
      expect(shown).toHaveLength(3);
      expect(new Set(shown).size).toBe(3);
    });

    test('several pictures per place come together, with buttons', async () => {
      const me = someone();
      const room = stage.direct(me);
      stage.command(room, me, 'settings', { name: 'pictures', value: '3' });
      await sentence(room, /pictures is now 3/);
      stage.command(room, me, 'show', { what: 'dogs' });
      await answer(room);
      expect(stage.said(room).flatMap(({ pictures }) => pictures)).toHaveLength(3);
    });

    test('/similar finds pictures by a picture', async () => {
      const me = someone();
      const room = stage.direct(me);
      const shown = () => stage.said(room).flatMap(({ pictures }) => pictures.map(({ alt }) => alt));
      stage.command(room, me, 'similar', {}, { picture: colourPng(5) });
      const said = await answer(room);
      expect(shown()).toHaveLength(3);
      // Of the twelve that there are: three more by the button, three more of the same picture by the command.
      stage.click(room, said.id, me, 'm');
      await until('more pictures', () => shown().length === 6);
      stage.command(room, me, 'similar');
      await until('others', () => shown().length === 9);
      expect(new Set(shown()).size).toBe(9);
      expect(said.buttons.map((data) => data[0])).toEqual(expect.arrayContaining(['u', 'd', 'm']));
      stage.click(room, said.id, me, 'd');
      await until('the vote', () => stage.acknowledgements().length > 0);
    });

    test('nothing good enough is said honestly', async () => {
      const me = someone();
      const room = stage.direct(me);
      stage.bench.gallery.scoreThreshold = 2;
      try {
        stage.command(room, me, 'show', { what: 'a unicorn' });
        const said = await answer(room);
        expect(said.text).toContain('I have no good picture of that.');
      } finally {
        stage.bench.gallery.scoreThreshold = -1;
      }
    });
  });

  describe('votes and buttons', () => {
    test('a vote counts once per person, the last one wins, also after a restart', async () => {
      const [me, other] = [someone(), someone()];
      const room = stage.group();
      stage.say(room, me, 'hello');
      const said = await answer(room);
      const answerId = said.buttons[0]!.slice(2);
      const count = () => stage.bench.store.votes.count(answerId);
      stage.click(room, said.id, me, 'u');
      stage.click(room, said.id, me, 'u');
      stage.click(room, said.id, other, 'd');
      await until('votes', () => stage.acknowledgements().length >= 3);
      await untilEqual(count, { up: 1, down: 1 });
      await stage.restart();
      stage.click(room, said.id, me, 'd');
      await untilEqual(count, { up: 0, down: 2 });
      expect(stage.acknowledgements()).toContain('Thank you! Noted as good.');
    });

    test('🔁 makes another answer, but not for somebody else', async () => {
      const [me, other] = [someone(), someone()];
      const room = stage.group();
      stage.say(room, me, 'hello');
      const said = await answer(room);
      stage.click(room, said.id, other, 'a');
      await sentence(room, /Only the person who asked/);
      stage.click(room, said.id, me, 'a');
      await answer(room, 2);
      expect(stage.bench.engine.requests.at(-1)?.seed).not.toBe(stage.bench.engine.requests.at(-2)?.seed);
    });

    test('a made-up button of another chat does nothing', async () => {
      const [me, thief] = [someone(), someone()];
      const [mine, theirs] = [stage.direct(me), stage.direct(thief)];
      stage.say(mine, me, 'hello');
      stage.say(theirs, thief, 'hello');
      const [target, own] = [await answer(mine), await answer(theirs)];
      const answerId = target.buttons[0]!.slice(2);
      stage.forge(theirs, own.id, thief, `u:${answerId}`);
      await calm(400);
      expect(await stage.bench.store.votes.count(answerId)).toEqual({ up: 0, down: 0 });
    });

    test('👍 as a reaction counts, and can be taken back', async () => {
      const me = someone();
      const room = stage.group();
      stage.say(room, me, 'hello');
      const said = await answer(room);
      const answerId = said.buttons[0]!.slice(2);
      const count = () => stage.bench.store.votes.count(answerId);
      stage.react(room, said.id, me, '👍');
      await untilEqual(count, { up: 1, down: 0 });
      stage.react(room, said.id, me, null);
      await untilEqual(count, { up: 0, down: 0 });
    });
  });

  describe('changing one’s mind', () => {
    test('an edited question edits its answer', async () => {
      const me = someone();
      const room = stage.direct(me);
      const asked = stage.say(room, me, 'one');
      const first = await answer(room);
      await untilEqual(async () => (await stage.bench.store.outbox.stats()).running, 0);
      const before = stage.bench.engine.requests.length;
      stage.edit(room, asked, 'two, quite different');
      await until('the edited answer', () => answers(room).some(({ buttons }) => buttons[0] !== first.buttons[0]));
      const [now] = stage.said(room);
      expect(now?.id).toBe(first.id);
      expect(now!.changes).toBeGreaterThan(first.changes);
      expect(now?.text).not.toBe(first.text);
      // A picture may follow in a message of its own; the old answer's buttons are gone.
      expect(answers(room)).toHaveLength(1);
      expect(stage.bench.engine.requests.length).toBe(before + 1);
      expect(lastPrompt().texts).toEqual(['two, quite different']);
    });

    test('a deleted question stops the work', async () => {
      if (!stage.remove) return;
      const me = someone();
      const room = stage.direct(me);
      stage.bench.engine.delayMs = 40;
      const asked = stage.say(room, me, 'never mind');
      await until('a preview', () => stage.said(room).length > 0);
      stage.remove(room, asked);
      await until('nothing left', () => stage.said(room).length === 0);
      await calm(300);
      expect(stage.said(room)).toEqual([]);
    });

    test('/stop ends an answer and keeps what was said', async () => {
      const me = someone();
      const room = stage.group([me]);
      stage.bench.engine.delayMs = 40;
      stage.say(room, me, 'talk for long');
      await until('a preview', () => stage.said(room).length > 0);
      stage.command(room, me, 'stop');
      await sentence(room, /^Stopped\./);
      const said = await answer(room);
      expect(said.text).toMatch(/\(stopped\)$/);
    });

    test('a second message waits by default, and supersedes where the chat wants it', async () => {
      const me = someone();
      const room = stage.direct(me);
      stage.bench.engine.delayMs = 10;
      stage.say(room, me, 'one');
      stage.say(room, me, 'two');
      await answer(room, 2);
      expect(lastPrompt().texts).toEqual(expect.arrayContaining(['one', 'two']));
      stage.command(room, me, 'settings', { name: 'overlap', value: 'supersede' });
      await sentence(room, /overlap is now supersede/);
      stage.bench.engine.delayMs = 60;
      stage.say(room, me, 'three');
      await until('three begins', () => JSON.stringify(lastPrompt().texts).includes('three'));
      await calm(150);
      stage.say(room, me, 'four');
      await until('four is answered', () => JSON.stringify(lastPrompt().texts).includes('four') && answers(room).length >= 3);
      await calm(300);
      expect(answers(room).filter(({ text }) => text.endsWith('(stopped)')).length).toBeLessThanOrEqual(1);
    });

    test('/undo and /reset', async () => {
      const me = someone();
      const room = stage.direct(me);
      stage.say(room, me, 'remember blue');
      const first = await answer(room);
      stage.command(room, me, 'undo');
      await sentence(room, /Taken back/);
      await until('the answer is gone', () => !stage.said(room).some(({ id }) => id === first.id));
      stage.say(room, me, 'hello again');
      await answer(room);
      expect(lastPrompt().texts).toEqual(['hello again']);
      stage.command(room, me, 'reset');
      await sentence(room, /A new conversation/);
      stage.say(room, me, 'who are you');
      await answer(room, 2);
      expect(lastPrompt().texts).toEqual(['who are you']);
    });
  });

  describe('rights', () => {
    test('settings of a group are for its administrators', async () => {
      const [admin, me] = [someone(), someone()];
      const room = stage.group([admin]);
      stage.command(room, me, 'settings', { name: 'temperature', value: '1' });
      await sentence(room, /Only administrators/);
      stage.command(room, admin, 'settings', { name: 'temperature', value: '9' });
      await sentence(room, /Allowed: 0–2/);
      stage.command(room, admin, 'settings', { name: 'temperature', value: '0.7' });
      await sentence(room, /temperature is now 0.7/);
      stage.say(room, me, 'hi');
      await answer(room);
      expect(stage.bench.engine.requests.at(-1)?.decoding?.temperature).toBe(0.7);
    });

    test('/retrain is for operators, and plainly not there yet', async () => {
      const me = someone();
      const room = stage.direct(me);
      stage.command(room, me, 'retrain', { action: 'status' });
      await sentence(room, /Only my operators/);
      const boss = stage.person(operator.number);
      const office = stage.direct(boss);
      stage.command(office, boss, 'retrain', { action: 'status' });
      await sentence(office, /\/retrain is not there yet/);
    });

    test('a banned person is refused, and told so', async () => {
      const [admin, me] = [someone(), someone()];
      const room = stage.group([admin]);
      const native = me.id.slice(me.id.indexOf(':') + 1);
      stage.command(room, admin, 'ban', { user: native });
      await sentence(room, /cannot use me here/);
      stage.say(room, me, 'hello');
      await sentence(room, /You cannot use me here/);
      stage.command(room, admin, 'ban', { user: native, action: 'lift' });
      await sentence(room, /can use me here again/);
      stage.say(room, me, 'hello');
      await answer(room);
    });

    test('limits per person hold', async () => {
      const boss = stage.person(operator.number);
      const office = stage.direct(boss);
      stage.command(office, boss, 'limits', { name: 'user', value: '2' });
      await sentence(office, /user = 2 a minute/);
      const me = someone();
      const room = stage.direct(me);
      for (const text of ['one', 'two', 'three']) stage.say(room, me, text);
      await sentence(room, /That is a lot of messages/);
      await answer(room, 2);
      stage.command(office, boss, 'limits', { name: 'user', value: '10000' });
      await sentence(office, /user = 10,?000 a minute/);
    });
  });

  describe('a person’s own', () => {
    test('the bot speaks Russian to Russians', async () => {
      const me = someone('ru');
      const room = stage.direct(me);
      stage.command(room, me, 'help');
      const said = await sentence(room, /Я бот/);
      expect(english.test(said.text.replace(/\/[a-z]+/g, ''))).toBe(false);
    });

    test('/forget asks first, listens only to the person, and deletes', async () => {
      const [me, other] = [someone(), someone()];
      const room = stage.group([me]);
      stage.say(room, me, 'my name is Rumpelstiltskin');
      await answer(room);
      stage.command(room, me, 'forget');
      const asked = await until('the question', () => stage.said(room).find(({ buttons }) => buttons.some((data) => data.startsWith('y:'))));
      stage.click(room, asked.id, other, 'y');
      await sentence(room, /Only the person who asked/);
      stage.click(room, asked.id, me, 'y');
      await sentence(room, /^Deleted: /);
      const { store } = stage.bench;
      const chat = await store.conversations.ensureChat({ platform: stage.name, externalId: room.key.slice(room.key.indexOf(':') + 1), kind: 'group' });
      const turns = await store.conversations.turns((await store.conversations.current(chat.id)).id);
      expect(JSON.stringify(turns)).not.toContain('Rumpelstiltskin');
    });

    test('consent is asked for, given and taken back; words on Discord never', async () => {
      const me = someone();
      const room = stage.direct(me);
      stage.command(room, me, 'consent', { action: 'give', for: 'all' });
      await sentence(room, stage.name === 'discord' ? /never learn from the words/ : /words: given, pictures: given/);
      await sentence(room, stage.name === 'discord' ? /words: not given, pictures: given/ : /words: given/);
      stage.command(room, me, 'consent', { action: 'withdraw', for: 'all' });
      await sentence(room, /words: not given, pictures: not given, votes: not given/);
    });

    test('/mydata hands out a file', async () => {
      const me = someone();
      const room = stage.direct(me);
      stage.say(room, me, 'hello');
      await answer(room);
      stage.command(room, me, 'mydata');
      await sentence(room, /Everything I keep about you/);
    });
  });

  describe('trouble', () => {
    test('an answer that takes long keeps nobody else waiting', async () => {
      const [slow, quick] = [someone(), someone()];
      const [one, two] = [stage.direct(slow), stage.direct(quick)];
      const { engine } = stage.bench;
      engine.held = new Promise((resolve) => { engine.release = resolve; });
      stage.say(one, slow, 'a very long answer please');
      await until('it is being answered', () => JSON.stringify(lastPrompt().texts).includes('a very long answer'));
      engine.held = null;
      stage.say(two, quick, 'quick one');
      await answer(two);
      expect(answers(one)).toEqual([]);
      engine.release();
      await answer(one);
    });

    test('a restart in the middle: the person is told, and gets exactly one answer', async () => {
      const me = someone();
      const room = stage.direct(me);
      stage.bench.engine.delayMs = 120;
      stage.say(room, me, 'do not lose me');
      await until('the engine works', () => JSON.stringify(lastPrompt().texts).includes('do not lose me'));
      await calm(150);
      const stopping = stage.restart(100);
      await stopping;
      stage.bench.engine.delayMs = 0;
      await answer(room);
      await calm(300);
      expect(stage.said(room).filter(({ text }) => !/restarted/.test(text))).toHaveLength(1);
      expect(stage.said(room)).toHaveLength(1);
    });
  });
}
