// The end of the process and its next start: everybody who waits is told, and is answered exactly once.
import { afterEach, describe, expect, test } from '@jest/globals';
import { until } from './bench.ts';
import { openDiscord, openTelegram, type Room, type Said, type Stage, type StageOptions } from './stages.ts';

type Watched = Stage & { readonly fake: { readonly calls: readonly { readonly status: number; readonly payload?: unknown; readonly body?: unknown }[] } };

let stage: Watched | null = null;
afterEach(async () => {
  expect(stage?.violations()).toEqual([]);
  await stage?.close();
  stage = null;
});

const calm = (ms = 400): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

describe.each([['Telegram', openTelegram], ['Discord', openDiscord]] as const)('%s', (_name, open: (options: StageOptions) => Promise<Watched>) => {
  const finished = (room: Room): Said[] => stage!.said(room).filter(({ buttons }) => buttons.some((data) => data.startsWith('u:')));
  const notices = (language: RegExp) => stage!.fake.calls.filter(({ status, payload, body }) => status === 200 && language.test(JSON.stringify(payload ?? body ?? ''))).length;
  const works = (words: string) => until(`the engine works on "${words}"`, () => stage!.bench.engine.requests.some(({ prompt }) => JSON.stringify(prompt).includes(words)));
  /** So many messages wait in the inbox. */
  const waiting = async (count: number): Promise<void> => {
    while ((await stage!.bench.store.inbox.stats()).pending < count) await calm(50);
  };

  test('people behind another one’s question are told, each in their language, and answered once', async () => {
    stage = await open({});
    const [first, second, third] = [stage.person(1), stage.person(2), stage.person(3, { locale: 'ru' })];
    const room = stage.group();
    const elsewhere = stage.direct(third);
    stage.bench.engine.delayMs = 100;
    stage.say(room, first, 'the one being answered');
    await works('the one being answered');
    const behind = stage.say(room, second, 'me next');
    stage.say(room, second, 'and one thing more');
    stage.say(elsewhere, third, 'first in Russian');
    await works('first in Russian');
    stage.say(elsewhere, third, 'second in Russian');
    await waiting(3);
    const started = Date.now();
    await stage.restart(100);
    expect(Date.now() - started).toBeLessThan(15_000);
    // Once per person and conversation. Discord's messages carry no locale: there all are told in English.
    expect([notices(/I am being restarted/), notices(/Меня перезапускают/)]).toEqual(stage.name === 'telegram' ? [2, 1] : [3, 0]);
    stage.bench.engine.delayMs = 0;
    await until('all answers', () => finished(room).length === 3 && finished(elsewhere).length === 2);
    await calm();
    expect([finished(room).length, finished(elsewhere).length]).toEqual([3, 2]);
    expect(JSON.stringify([...stage.said(room), ...stage.said(elsewhere)].map(({ text }) => text))).not.toMatch(/restarted|перезапускают/);
    // The answer stands where the notice stood.
    expect(stage.said(room).find(({ replyTo }) => replyTo === behind)?.changes).toBeGreaterThan(0);
  });

  test('a command that waits is told too, and its notice goes when it is done', async () => {
    stage = await open({});
    const [me, other] = [stage.person(1), stage.person(2)];
    const room = stage.group([me]);
    stage.bench.engine.delayMs = 100;
    stage.say(room, me, 'take your time');
    await works('take your time');
    stage.command(room, other, 'undo');
    await waiting(1);
    await stage.restart(100);
    expect(notices(/I am being restarted/)).toBe(2);
    stage.bench.engine.delayMs = 0;
    await until('the command was done', () => stage!.said(room).some(({ text }) => /Taken back/.test(text)));
    await calm();
    expect(stage.said(room).map(({ text }) => text)).toEqual(['Taken back: the last question and its answer.']);
  });

  test('with more people waiting than can be told the end comes in time, and nobody is told too late', async () => {
    // Slow enough that the platform takes fewer notices than there are people.
    stage = await open({ secondMs: 400 });
    const people = Array.from({ length: 30 }, (_, i) => stage!.person(i + 1));
    const room = stage.group();
    stage.bench.engine.delayMs = 100;
    for (const person of people) stage.say(room, person, `a question of person ${person.number}`);
    await works('a question of person 1');
    await waiting(29);
    const started = Date.now();
    await stage.restart(100);
    expect(Date.now() - started).toBeLessThan(15_000);
    const told = notices(/I am being restarted/);
    expect(told).toBeGreaterThan(0);
    stage.bench.engine.delayMs = 0;
    await until('an answer', () => finished(room).length > 0);
    // One may have been on its way when the time was up.
    expect(notices(/I am being restarted/)).toBeLessThanOrEqual(told + 1);
  });

  test('who is not spoken to is not told', async () => {
    stage = await open({});
    const [me, other] = [stage.person(1), stage.person(2)];
    const room = stage.group([me]);
    stage.bench.engine.delayMs = 100;
    stage.say(room, me, 'a question');
    await works('a question');
    stage.say(room, other, 'talk among others', { aside: true });
    await calm(200);
    await stage.restart(100);
    expect(notices(/I am being restarted/)).toBe(1);
  });
});
