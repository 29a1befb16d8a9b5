// The whole loop on a tiny model: votes, consent, a run in its own process, the gate, promotion, rollback.
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Learning } from '../../src/learning/index.ts';
import { ended, openWorld, plantPreference, type World } from './world.ts';

let world: World;
let learning: Learning;
beforeAll(async () => {
  // Two layers, as the starter's adapter reads several.
  world = await openWorld(undefined, [1, -1]);
  await plantPreference(world);
  learning = await world.learning();
}, 240_000);
afterAll(async () => {
  await world.close();
  world.cleanUp();
});

const paraphrase = 'give me my cat';

test('votes become a better adapter that serves without a restart, and a rollback brings the old answer back', async () => {
  const [cat] = world.pictures;
  const before = await world.shownFor(paraphrase);
  expect(before).not.toBe(cat);
  const base = (await learning.adapters.list()).find(({ serving }) => serving)!;
  const seen: string[] = [];
  const started = await learning.jobs.start({ by: 'telegram:1', reason: 'people miss their cat' });
  if (!started.started) throw new Error(started.why);
  expect(started.job).toMatchObject({ examples: 60 });
  learning.jobs.watch?.(started.job.id, ({ state, summary }) => seen.push(`${state} ${summary}`), AbortSignal.timeout(240_000));
  expect(await learning.jobs.start({ by: 'telegram:1', reason: 'again' })).toMatchObject({ started: false, why: expect.stringContaining('under way') });
  expect(await learning.jobs.start({ by: 'telegram:1', reason: 'again', locale: 'ru' })).toMatchObject({ started: false, why: expect.stringContaining('Обучение уже идёт') });

  const over = await ended(learning);
  expect(over).toMatchObject({ state: 'done', progress: 1 });
  expect(over.summary).toContain('serves from now on');
  expect(seen.some((line) => line.startsWith('running') && line.includes('Step'))).toBe(true);
  expect(seen.some((line) => line.startsWith('gating'))).toBe(true);
  expect((await learning.jobs.status('ru'))!.summary).toMatch(/^«people miss their cat» Теперь работает a-\w+\. Одобренные ответы: \d,\d{3} → \d,\d{3} \(\+\d,\d{3}, 95-процентный интервал/);
  expect(await world.shownFor(paraphrase)).toBe(cat);

  const [newest] = await learning.adapters.list();
  expect(newest).toMatchObject({ serving: true, parent: base.id });
  const details = newest!.details.join('\n');
  for (const part of ['snapshot', 'examples of 12 people', 'people miss their cat', 'Approved answers', 'promoted', 'by Person 1']) expect(details).toContain(part);
  const inRussian = (await learning.adapters.show(newest!.id, 'ru'))!.details.join('\n');
  for (const part of ['набор', 'от 12 человек', 'включён', 'кто: Person 1']) expect(inRussian).toContain(part);
  expect(inRussian).not.toMatch(/snapshot|trained|promoted|interval/);
  const { runs, votes } = await learning.overview.facts();
  expect(votes.reduce((sum, { up, down }) => sum + up + down, 0)).toBe(60);
  expect((await learning.overview.curve(runs[0]!.runId!)).length).toBeGreaterThan(20);
  const [asked, shown] = await learning.overview.compare([base.id, newest!.id], [paraphrase, `/show my cat`]);
  expect(asked!.answers).toHaveLength(2);
  expect(shown!.answers.map(({ adapter, picture }) => [adapter, picture !== null])).toEqual([[base.id, true], [newest!.id, true]]);

  expect(await learning.adapters.rollback('telegram:1')).toMatchObject({ id: base.id, serving: true });
  expect(await world.shownFor(paraphrase)).toBe(before);
  expect(await learning.adapters.rollback('telegram:1')).toBeNull();
  expect(await learning.jobs.start({ by: 'telegram:1', reason: 'nothing new' })).toMatchObject({ started: false, why: expect.stringContaining('0 new examples') });
  expect(await learning.jobs.start({ by: 'telegram:1', reason: 'nothing new', locale: 'ru' })).toMatchObject({ started: false, why: expect.stringMatching(/^Учиться пока не на чем\. 0 новых примеров, нужно 20\./) });
}, 240_000);

test('a candidate that was made worse on purpose is kept, refused by the gate, and cannot be promoted by hand', async () => {
  const good = (await learning.adapters.list()).find(({ id }) => id.startsWith('a-'))!;
  await learning.adapters.promote(good.id, 'telegram:1');
  const answer = await world.shownFor(paraphrase);
  // The operator's settings in the store stand above those of the program.
  await world.store.settings.set('global', 'learning', { minNewExamples: 0, schedule: { everyHours: 1 }, training: { steps: 1, lr: 1, threads: 1, schedule: 'constant', warmupSteps: 0, retrievalMaps: { steps: 3, batchSize: 64, lr: 1, schedule: 'constant', warmupSteps: 0, dropout: 0.9 } } });
  // The last run was just now; an hour later the schedule starts one by itself.
  expect(await learning.jobs.startIfDue()).toBe(false);
  expect(await learning.jobs.startIfDue(Date.now() + 3_600_000)).toBe(true);
  const over = await ended(learning);
  expect(over).toMatchObject({ state: 'refused', summary: expect.stringMatching(/the schedule.*Not good enough/) });
  expect((await learning.jobs.history(1, 'ru'))[0]!.summary).toMatch(/^«по расписанию» Кандидат .* не включён\..*Недостаточно хорошо/);
  const [worse] = await learning.adapters.list();
  expect(worse!.serving).toBe(false);
  await expect(learning.adapters.promote(worse!.id, 'telegram:1')).rejects.toMatchObject({ code: 'LEARNING_REFUSED' });
  expect(await world.shownFor(paraphrase)).toBe(answer);
}, 240_000);

test('a chat is pinned to an adapter while others follow the one that serves; both answer side by side', async () => {
  const [base, good] = [(await learning.adapters.list()).find(({ id }) => id.startsWith('base-'))!, (await learning.adapters.list()).find(({ serving }) => serving)!];
  const { chatId } = await world.person(1);
  const other = await world.person(2);
  await learning.adapters.pin(chatId, base.id);
  expect(await learning.adapterFor(chatId)).toBe(base.id);
  expect(await learning.adapterFor(other.chatId)).toBe(good.id);
  const [old, now] = await Promise.all([world.shownFor(paraphrase, base.id), world.shownFor(paraphrase, good.id)]);
  expect(now).toBe(world.pictures[0]);
  expect(old).not.toBe(now);
  const refused = (await learning.adapters.list()).find(({ details }) => details.join().includes('state refused'))!;
  await expect(learning.adapters.pin(chatId, refused.id)).rejects.toMatchObject({ code: 'LEARNING_REFUSED' });
  expect(await learning.adapters.pinned(chatId)).toBe(base.id);
  expect(await learning.adapters.pin(chatId, null)).toBeNull();
  expect(await learning.adapterFor(chatId)).toBe(good.id);
});

test('forgetting a person marks the adapters that saw their rows, and a run begins before them and leaves them out', async () => {
  await world.store.settings.unset('global', 'learning');
  const { user } = await world.person(3);
  const report = await world.store.userData.forget(user.id);
  const good = (await learning.adapters.list()).find(({ serving }) => serving)!;
  expect(report.adapters).toContain(good.id);
  expect(good.details.join('\n')).toContain('asked to be forgotten: /retrain start');
  // There is nothing new to learn; to leave somebody out is reason enough.
  const started = await learning.jobs.start({ by: 'telegram:1', reason: '' });
  if (!started.started) throw new Error(started.why);
  expect(started.job).toMatchObject({ examples: 0, summary: expect.stringContaining('without the rows of people who asked to be forgotten') });
  expect(await ended(learning)).toMatchObject({ state: 'done', summary: expect.stringContaining('serves from now on') });
  const [clean] = await learning.adapters.list();
  expect(clean).toMatchObject({ serving: true, parent: expect.stringMatching(/^base-/) });
  expect(clean!.details.join('\n')).not.toContain('asked to be forgotten:');
  const [set] = await world.store.trainSets.list();
  expect(JSON.stringify(await world.store.trainSets.rows(set!.id))).not.toContain(user.id);
  expect(await world.shownFor('show me my cat')).toBe(world.pictures[0]);
}, 240_000);
