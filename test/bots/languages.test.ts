// Every command with every action, as somebody types it on Telegram: each is answered in the person's language.
import { afterEach, expect, test } from '@jest/globals';
import { commandTable } from '../../src/chat/commands.ts';
import { type AdapterVersion, type ChatServices, type JobStatus, settingNames, settingRules } from '../../src/chat/index.ts';
import { until } from './bench.ts';
import { colourPng } from './pictures.ts';
import { openTelegram, type Stage } from './stages.ts';

let stage: Stage | null = null;
afterEach(async () => {
  expect(stage?.violations()).toEqual([]);
  await stage?.close();
  stage = null;
});

const job: JobStatus = { id: '1', state: 'running', startedAt: 0, endedAt: null, progress: 0.5, examples: 60, summary: '…' };
const version: AdapterVersion = { id: '2', serving: true, parent: '1', createdAt: 0, details: [] };
const pictureId = '01234567-89ab-4def-8123-456789abcdef';
const services: ChatServices = {
  jobs: { start: async () => ({ started: true, job }), status: async () => job, cancel: async () => true, history: async () => [job] },
  adapters: { list: async () => [version], show: async () => version, promote: async () => version, rollback: async () => version, pin: async (_chat, id) => id, pinned: async () => '2' },
  galleryAdmin: { learn: async () => ({ outcome: 'added', id: pictureId, total: 5 }), remove: async ({ ids }) => ids, stats: async () => ({ total: 12, own: 1, index: '…' }) },
};

/** What is typed; `*` comes with a picture, `?` is answered by the model in whatever language, `+` in two messages. */
const typed = [
  'help', 'status', 'privacy', 'stop', 'undo', '?ask what is this', '?show a dog', '?*similar', 'wrong 1', 'right 1', 'shows a dog', 'undo', 'reset',
  'settings', 'settings temperature 0.5', 'settings nonsense', 'settings temperature hot', 'learn', '*learn a cat', `unlearn ${pictureId}`, 'unlearn',
  'consent', 'consent give all', 'consent withdraw votes', '+mydata', 'retrain start', 'retrain status', 'retrain cancel', 'retrain history', 'retrain', 'retrain dance',
  'adapter list', 'adapter show 2', 'adapter promote 2', 'adapter rollback', 'adapter pin 2', 'adapter pin none', 'gallery stats', '*gallery add a cat', `gallery remove ${pictureId}`,
  'ban 12345', 'ban 12345 lift', 'limits', 'limits user 30', 'limits user -1', 'forget', 'dance',
];

/** Words that stand for themselves in every language: what one types, and names. */
const literals = new Set([
  ...commandTable.flatMap(({ name, options }) => [name, ...options.flatMap((option) => [option.name, ...(option.choices ?? [])])]),
  ...settingNames, ...Object.values(settingRules).flatMap((rule) => (rule.kind === 'choice' ? rule.values : [])),
  'on', 'off', 'nonsense', 'hot', 'dance', 'dog', 'cat', 'Discord', 'Telegram', 'tiny', 'cpu', 'wasm',
]);

test.each(['en', 'ru'])('%s', async (locale) => {
  const names = new Set(typed.map((line) => /\w+/.exec(line)![0]));
  expect(commandTable.filter(({ name }) => !names.has(name))).toEqual([]);
  stage = await openTelegram({ bot: { operators: ['telegram:1'], services } });
  const me = stage.person(1, { locale });
  const room = stage.direct(me);
  const { model, servingAdapter } = await stage.bench.engine.info();
  const foreign = (text: string): string[] => {
    const own = text.replaceAll(model, '').replaceAll(servingAdapter, '').replace(/[0-9a-f-]{30,}/g, '').replace(/\/[a-z]+/g, '');
    if (locale === 'en') return own.match(/\p{Script=Cyrillic}+/gu) ?? [];
    return (own.match(/[A-Za-z]{2,}/g) ?? []).filter((word) => !literals.has(word));
  };
  for (const line of typed) {
    const [, marks = '', name = '', rest = ''] = /^([?*+]*)(\w+) ?(.*)$/.exec(line)!;
    const before = new Set(stage.said(room).map(({ id }) => id));
    stage.command(room, me, name, rest === '' ? {} : { rest }, marks.includes('*') ? { picture: colourPng(3) } : {});
    const said = await until(`an answer to /${line}`, () => {
      const fresh = stage!.said(room).filter(({ id }) => !before.has(id));
      const whole = marks.includes('?') ? fresh.some(({ buttons }) => buttons.length > 0) : fresh.length === (marks.includes('+') ? 2 : 1);
      return whole && fresh;
    });
    if (!marks.includes('?')) expect([line, said.flatMap(({ text }) => foreign(text))]).toEqual([line, []]);
  }
});
