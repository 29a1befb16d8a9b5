// Each setting of a chat changes what the bot does there; limits tell people where they stand.
import { afterEach, describe, expect, test } from '@jest/globals';
import { until } from './bench.ts';
import { openDiscord, openTelegram, type Person, type Room, type Stage, type StageOptions } from './stages.ts';

let stage: Stage | null = null;
afterEach(async () => {
  expect(stage?.violations()).toEqual([]);
  await stage?.close();
  stage = null;
});

describe.each([['Telegram', openTelegram], ['Discord', openDiscord]] as const)('%s', (_name, open: (options: StageOptions) => Promise<Stage>) => {
  const says = (room: Room, pattern: RegExp) => until(`a sentence like ${pattern}`, () => stage!.said(room).find(({ text }) => pattern.test(text)));
  const answers = (room: Room) => stage!.said(room).filter(({ buttons }) => buttons.some((data) => data.startsWith('u:')));
  const asked = () => stage!.bench.engine.requests.at(-1)!;

  test('every setting alters what it names, for this chat only', async () => {
    stage = await open({});
    const [admin, guest] = [stage.person(1), stage.person(2)];
    const [room, other] = [stage.group([admin]), stage.group([admin])];
    const set = async (name: string, value: string, by: Person = admin): Promise<void> => {
      stage!.command(room, by, 'settings', { name, value });
      await says(room, new RegExp(`${name}(: теперь| is now) ${value}`));
    };
    const ask = async (words: string, where: Room = room): Promise<void> => {
      const count = answers(where).length;
      stage!.say(where, admin, words);
      await until(`the answer to ${words}`, () => answers(where).length > count);
    };
    await ask('before');
    expect(asked().decoding).toMatchObject({ retScaleFactor: 1, temperature: 0, maxNewTokens: 64 });
    await set('eagerness', '3.5');
    await set('temperature', '0.5');
    await set('maxWords', '12');
    await set('context', 'last');
    await ask('after');
    expect(asked().decoding).toMatchObject({ retScaleFactor: 3.5, temperature: 0.5, maxNewTokens: 12 });
    expect(asked().prompt).toMatchObject({ turns: [{ role: 'user' }] });
    await ask('elsewhere', other);
    expect(asked().decoding).toMatchObject({ retScaleFactor: 1, temperature: 0, maxNewTokens: 64 });
    await set('pictures', '0');
    const shown = stage.said(room).flatMap(({ pictures }) => pictures).length;
    stage.command(room, admin, 'show', { what: 'a dog' });
    await until('an answer without a picture', () => answers(room).length >= 3);
    expect(stage.said(room).flatMap(({ pictures }) => pictures).length).toBe(shown);
    await set('language', 'ru');
    stage.command(room, admin, 'undo');
    await says(room, /Последний вопрос и ответ на него убраны/);
    await set('who', 'admins');
    stage.say(room, guest, 'may I?');
    await says(room, /В этом чате со мной могут говорить только администраторы/);
  });

  test('with overlap on drop a message during an answer is turned away with words', async () => {
    stage = await open({});
    const me = stage.person(1);
    const room = stage.direct(me);
    stage.command(room, me, 'settings', { name: 'overlap', value: 'drop' });
    await says(room, /overlap is now drop/);
    stage.bench.engine.delayMs = 40;
    stage.say(room, me, 'the first');
    await until('it is being answered', () => stage!.bench.engine.requests.length > 0);
    stage.say(room, me, 'the second');
    await says(room, /One moment, I am still answering/);
    stage.bench.engine.delayMs = 0;
    await until('the answer', () => answers(room).length === 1);
    expect(JSON.stringify(stage.bench.engine.requests.map(({ prompt }) => prompt.kind === 'turns' && prompt.turns.map(({ parts }) => parts.map((part) => part.type === 'text' && part.text))))).not.toContain('the second');
  });

  test('who waits for a place is told which one, and the notice becomes the answer', async () => {
    stage = await open({ bot: { maxRunning: 1 } });
    const people = [1, 2, 3].map((number) => stage!.person(number));
    const rooms = people.map((person) => stage!.group([person]));
    stage.bench.engine.delayMs = 100;
    for (const [i, person] of people.entries()) {
      stage.say(rooms[i]!, person, `question ${i}`);
      await until('it is taken', () => (i === 0 ? stage!.bench.engine.requests.length === 1 : stage!.bot().load.waiting === i));
    }
    await says(rooms[1]!, /I am busy; you are 1st in the queue/);
    await says(rooms[2]!, /I am busy; you are 2nd in the queue/);
    stage.bench.engine.delayMs = 0;
    for (const room of rooms) await until('the answer', () => answers(room).length === 1);
    await new Promise((resolve) => setTimeout(resolve, 300));
    for (const room of rooms) expect(stage.said(room).filter(({ text }) => text.includes('I am busy'))).toEqual([]);
  });
});
