// Answers of text, pictures, text: each piece is there as soon as the model has given it, once, in order.
import { afterEach, describe, expect, test } from '@jest/globals';
import type { GenerateEvent, GenerateRequest } from '../../src/engine/types.ts';
import { until, untilEqual } from './bench.ts';
import { openDiscord, openTelegram, type Room, type Said, type Stage, type StageOptions } from './stages.ts';

let stage: Stage | null = null;
let released: () => void = () => {};
afterEach(async () => {
  released();
  expect(stage?.violations()).toEqual([]);
  await stage?.close();
  stage = null;
});

const calm = (ms = 400): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
/** What the model says: words, `[RET]`, and `wait` for until the test goes on. */
type Script = readonly string[];

describe.each([['Telegram', openTelegram], ['Discord', openDiscord]] as const)('%s', (_name, open: (options: StageOptions) => Promise<Stage>) => {
  const texts = (room: Room): string[] => stage!.said(room).flatMap(({ text, pictures }) => [...(text === '' || (pictures.length > 0 && text === pictures[0]?.alt) ? [] : [text]), ...pictures.map(() => 'picture')]);
  const finished = (room: Room): Said[] => stage!.said(room).filter(({ buttons }) => buttons.some((data) => data.startsWith('u:')));

  /** An engine that says what is written; each `wait` waits for `go`. */
  async function scripted(scripts: readonly Script[]): Promise<() => void> {
    const { engine } = stage!.bench;
    const info = await engine.info();
    const embedding = Float32Array.from({ length: info.adapters[0]!.retrievalDim }, (_, i) => (i === 0 ? 1 : 0));
    let at = 0;
    const gates: (() => void)[] = [];
    released = () => gates.splice(0).forEach((go) => go());
    engine.generate = async function* (request: GenerateRequest): AsyncGenerator<GenerateEvent> {
      engine.requests.push(request);
      let text = '';
      for (const piece of scripts[Math.min(at++, scripts.length - 1)]!) {
        if (request.signal?.aborted) break;
        if (piece === 'wait') await new Promise<void>((resolve) => { gates.push(resolve); request.signal?.addEventListener('abort', () => resolve()); });
        else if (piece === '[RET]') yield { type: 'ret', probability: 1, embedding } as unknown as GenerateEvent;
        else {
          text += piece;
          yield { type: 'text', text: piece };
        }
      }
      const usage = { promptTokens: 0, cachedTokens: 0, newTokens: 0, droppedTurns: 0, queuedMs: 0, firstTokenMs: 0, totalMs: 0 };
      yield { type: 'end', reason: request.signal?.aborted ? 'cancelled' : 'eos', text, tokenIds: [], seed: 1, adapter: info.adapters[0]!.id, retProbability: 1, usage } as unknown as GenerateEvent;
    };
    return released;
  }

  test.each(['group', 'private'])('a picture is there before the rest is written (%s)', async (kind) => {
    stage = await open({});
    const me = stage.person(1);
    const room = kind === 'group' ? stage.group([me]) : stage.direct(me);
    const go = await scripted([['Here is one.', '[RET]', 'wait', ' And another.', '[RET]', 'wait', ' That is all.']]);
    stage.say(room, me, 'show me things');
    await until('the first picture', () => texts(room).join('|') === 'Here is one.|picture');
    expect(finished(room)).toEqual([]);
    go();
    await until('the second picture', () => texts(room).join('|') === 'Here is one.|picture|And another.|picture');
    const before = stage.said(room).map(({ id }) => id);
    go();
    await until('the end', () => finished(room).length === 1);
    await calm();
    expect(texts(room)).toEqual(['Here is one.', 'picture', 'And another.', 'picture', 'That is all.']);
    // Nothing was taken back and sent again.
    expect(stage.said(room).map(({ id }) => id).slice(0, before.length)).toEqual(before);
    expect(stage.said(room).flatMap(({ pictures }) => pictures.map(({ alt }) => alt)).every((alt) => alt.includes('Licence: MIT'))).toBe(true);
    // All of it is one answer: a vote on any of its messages finds it.
    const chat = await stage.bench.store.conversations.ensureChat({ platform: stage.name, externalId: room.key.slice(room.key.indexOf(':') + 1), kind: room.isPrivate ? 'private' : 'group' });
    const found = await Promise.all(stage.said(room).map(({ id }) => stage!.bench.store.conversations.answerByMessage(chat.id, id)));
    expect(new Set(found.map((answer) => answer?.id)).size).toBe(1);
    expect(found[0]).not.toBeNull();
  });

  test('an answer that ends with a picture gets its buttons there, the picture is not sent again', async () => {
    stage = await open({});
    const me = stage.person(1);
    const room = stage.group([me]);
    const go = await scripted([['Look:', '[RET]', 'wait']]);
    stage.say(room, me, 'show me');
    await until('the picture', () => texts(room).includes('picture'));
    const ids = stage.said(room).map(({ id }) => id);
    go();
    const [said] = await until('the end', () => finished(room).length === 1 && finished(room));
    expect(said!.pictures).toHaveLength(1);
    await calm();
    expect(stage.said(room).map(({ id }) => id)).toEqual(ids);
    expect(texts(room)).toEqual(['Look:', 'picture']);
  });

  test('two [RET]s in a row: their pictures come together, nothing is replaced', async () => {
    stage = await open({});
    const me = stage.person(1);
    const room = stage.group([me]);
    const go = await scripted([['Look:', '[RET]', '[RET]', 'wait', ' Nice.']]);
    stage.say(room, me, 'show me two');
    await until('a picture', () => texts(room).includes('picture'));
    const first = stage.said(room).map(({ id }) => id);
    expect(texts(room)).toEqual(['Look:', 'picture', 'picture']);
    go();
    await until('the end', () => finished(room).length === 1);
    await calm();
    expect(texts(room)).toEqual(['Look:', 'picture', 'picture', 'Nice.']);
    expect(stage.said(room).map(({ id }) => id).slice(0, first.length)).toEqual(first);
  });

  test('a second [RET] long after the first: both pictures are there in the end, never one of them twice', async () => {
    stage = await open({});
    const me = stage.person(1);
    const room = stage.group([me]);
    const go = await scripted([['Look:', '[RET]', 'wait', '[RET]', ' Nice.']]);
    stage.say(room, me, 'show me two');
    await until('the first picture', () => texts(room).join('|') === 'Look:|picture');
    go();
    await until('the end', () => {
      const alts = stage!.said(room).flatMap(({ pictures }) => pictures.map(({ alt }) => alt));
      expect(new Set(alts).size).toBe(alts.length);
      return finished(room).length === 1 && alts.length === 2;
    });
    await calm();
    expect(texts(room)).toEqual(['Look:', 'picture', 'picture', 'Nice.']);
  });

  test('after a restart in the middle there is one answer, with each picture once', async () => {
    stage = await open({});
    const me = stage.person(1);
    const room = stage.group([me]);
    await scripted([['Here.', '[RET]', 'wait', ' More.'], ['Here.', '[RET]', ' More.']]);
    stage.say(room, me, 'show me things');
    await until('the picture', () => texts(room).join('|') === 'Here.|picture');
    await stage.restart(50);
    await until('the end', () => finished(room).length === 1);
    await calm();
    expect(texts(room)).toEqual(['Here.', 'picture', 'More.']);
  });

  test('/stop after a picture keeps it', async () => {
    stage = await open({});
    const me = stage.person(1);
    const room = stage.group([me]);
    await scripted([['Here.', '[RET]', 'wait', ' More.']]);
    stage.say(room, me, 'show me things');
    await until('the picture', () => texts(room).includes('picture'));
    stage.command(room, me, 'stop');
    await until('the end', () => finished(room).length === 1);
    await calm();
    expect(texts(room).filter((text) => !text.startsWith('Stopped'))).toEqual(['Here.', 'picture', '(stopped)']);
  });

  test('an edited question edits what stands there: another picture, fewer messages, nothing left over', async () => {
    stage = await open({});
    const me = stage.person(1);
    const room = stage.direct(me);
    await scripted([['One.', '[RET]', ' Two.', '[RET]', ' Three.'], ['Uno.', '[RET]']]);
    const asked = stage.say(room, me, 'show me things');
    await until('the answer', () => finished(room).length === 1);
    // What is not yet noted as sent cannot be edited: it is taken away and sent anew.
    await untilEqual(async () => (await stage!.bench.store.outbox.stats()).running, 0);
    const first = stage.said(room)[0]!;
    const uploads = stage.said(room).length;
    stage.edit(room, asked, 'in Spanish');
    await until('the edited answer', () => texts(room).join('|') === 'Uno.|picture' && finished(room).length === 1);
    await calm();
    expect(stage.said(room)[0]!.id).toBe(first.id);
    expect(stage.said(room).length).toBeLessThan(uploads);
    expect(texts(room)).toEqual(['Uno.', 'picture']);
  });

  test('a question that is edited before the last message of its answer is noted leaves nothing over', async () => {
    stage = await open({});
    const { outbox } = stage.bench.store;
    const markSent = outbox.markSent;
    const me = stage.person(1);
    const room = stage.direct(me);
    const go = await scripted([['One.', '[RET]', ' Two.', '[RET]', ' Three.'], ['wait', 'Uno.', '[RET]']]);
    let note: () => void = () => {};
    const noted = new Promise<void>((resolve) => { note = resolve; });
    outbox.markSent = async (claim, ids) => {
      if (finished(room).some(({ id }) => ids.includes(id))) await noted;
      return markSent(claim, ids);
    };
    const asked = stage.say(room, me, 'show me things');
    await until('the answer', () => finished(room).length === 1);
    stage.edit(room, asked, 'in Spanish');
    await until('the answer is made anew', () => stage!.bench.engine.requests.length === 2);
    note();
    const chat = await stage.bench.store.conversations.ensureChat({ platform: stage.name, externalId: room.key.slice(room.key.indexOf(':') + 1), kind: 'private' });
    const last = finished(room)[0]!.id;
    while ((await stage.bench.store.conversations.turnByMessage(chat.id, last)) === null) await calm(20);
    go();
    await until('the edited answer', () => texts(room).join('|') === 'Uno.|picture' && finished(room).length === 1);
  });

  test('an edited question whose answer is cut off by a restart leaves nothing of the old one', async () => {
    stage = await open({});
    const me = stage.person(1);
    const room = stage.group([me]);
    await scripted([['One.', '[RET]', ' Two.', '[RET]', ' Three.'], ['Uno.', '[RET]', 'wait'], ['Uno.', '[RET]']]);
    const asked = stage.say(room, me, 'show me things');
    await until('the answer', () => finished(room).length === 1);
    stage.edit(room, asked, 'in Spanish');
    await until('the answer is made anew', () => stage!.bench.engine.requests.length === 2);
    await stage.restart(50);
    await until('the edited answer', () => texts(room).join('|') === 'Uno.|picture' && finished(room).length === 1);
    await calm();
    expect(texts(room)).toEqual(['Uno.', 'picture']);
  });

  test('with streaming off all comes at the end', async () => {
    stage = await open({});
    const me = stage.person(1);
    const room = stage.direct(me);
    stage.command(room, me, 'settings', { name: 'streaming', value: 'off' });
    await until('the setting', () => stage!.said(room).some(({ text }) => text.includes('streaming is now off')));
    const go = await scripted([['Here.', '[RET]', 'wait', ' More.']]);
    stage.say(room, me, 'show me');
    await until('the engine waits', () => stage!.bench.engine.requests.length > 0);
    await calm();
    expect(texts(room).filter((text) => !text.includes('streaming'))).toEqual([]);
    go();
    await until('the end', () => finished(room).length === 1);
    expect(texts(room).filter((text) => !text.includes('streaming'))).toEqual(['Here.', 'picture', 'More.']);
  });
});
