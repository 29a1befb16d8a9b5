// What people read when something fails: words of the catalogue in their language, never the English text
// of an error; the code lets an operator find it.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { say } from '../../src/chat/i18n/index.ts';
import { errorWords } from '../../src/chat/apology.ts';
import type { AdapterVersions } from '../../src/chat/index.ts';
import { FromageError } from '../../src/errors.ts';
import { until } from './bench.ts';
import { colourPng } from './pictures.ts';
import { openDiscord, openTelegram, type Room, type Stage, type StageOptions } from './stages.ts';

let stage: Stage | null = null;
afterEach(async () => {
  expect(stage?.violations() ?? []).toEqual([]);
  await stage?.close();
  stage = null;
});

const failure = (code: string) => new FromageError({ code, what: 'Technical Detail 4711', why: '/srv/secret/path', todo: 'Look There', userMessage: 'English Words' });
const said = (room: Room) => until('a sentence', () => stage!.said(room).find(({ text }) => text !== '')?.text);
const failing = (code: string) => {
  stage!.bench.engine.generate = async function* () {
    throw failure(code);
  };
};

test('every code with words of its own is one that there is', () => {
  const catalogue = readFileSync(join(import.meta.dirname, '../../ERRORS.md'), 'utf8');
  expect(Object.keys(errorWords).filter((code) => !catalogue.includes(`| ${code} |`))).toEqual([]);
});

describe.each([['Telegram', openTelegram], ['Discord', openDiscord]] as const)('%s', (_name, open: (options: StageOptions) => Promise<Stage>) => {
  test('a failure has the words of its code, in the person’s language', async () => {
    stage = await open({});
    for (const [number, locale] of [[1, 'en'], [2, 'ru']] as const) {
      const me = stage.person(number, { locale });
      const room = stage.direct(me);
      failing('MODEL_CONTEXT_FULL');
      // On Discord only interactions tell the person's language.
      stage.command(room, me, 'ask', { text: 'too long' });
      expect(await said(room)).toBe(say(locale, 'error.tooLong'));
    }
  });

  test('any other says in both languages that it failed, with code and number, and nothing else', async () => {
    stage = await open({});
    const me = stage.person(3, { locale: 'ru' });
    const room = stage.direct(me);
    failing('ENGINE_REQUEST');
    stage.command(room, me, 'ask', { text: 'break' });
    expect(await said(room)).toMatch(/^У меня что-то пошло не так\. Попробуйте, пожалуйста, ещё раз\. \(Ошибка ENGINE_REQUEST, [0-9a-f]{8}\)$/);
    expect(stage.bench.logged.join('')).toContain('Technical Detail 4711');
  });

  test('errors of other rooms speak the person’s language too; an operator alone reads the detail', async () => {
    const adapters = {
      list: async () => [], show: async (id: string) => ({ id, serving: false, parent: null, createdAt: 0, details: [] }),
      promote: async () => { throw failure('LEARNING_REFUSED'); }, rollback: async () => { throw failure('LEARNING_DAMAGED'); },
    } as unknown as AdapterVersions;
    const operators = ['telegram:1', `discord:${700_000_000_000_000_001n}`];
    stage = await open({ bot: { operators, services: { adapters, galleryAdmin: { learn: async () => { throw failure('RETRIEVAL_DENIED'); }, remove: async () => [], stats: async () => ({ total: 0, own: 0, index: '' }) } } } });
    const boss = stage.person(1, { locale: 'ru' });
    const office = stage.direct(boss);
    stage.command(office, boss, 'adapter', { action: 'promote', id: 'a1' });
    expect(await said(office)).toBe(`${say('ru', 'adapter.refused')}\nTechnical Detail 4711; /srv/secret/path; Look There [LEARNING_REFUSED]`);
    const hall = stage.group([boss]);
    stage.command(hall, boss, 'adapter', { action: 'rollback' });
    expect(await said(hall)).toBe(say('ru', 'adapter.damaged'));
    const me = stage.person(2, { locale: 'ru' });
    const room = stage.direct(me);
    stage.command(room, me, 'learn', { caption: 'a cat' }, { picture: colourPng(3) });
    expect(await said(room)).toBe(say('ru', 'learn.denied'));
  });
});
