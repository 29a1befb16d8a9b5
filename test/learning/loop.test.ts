// The whole loop on a tiny model: votes, consent, a run in its own process, the gate, promotion, rollback.
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Learning } from '../../src/learning/index.ts';
import { ended, openWorld, plantPreference, type World } from './world.ts';

let world: World;
let learning: Learning;
beforeAll(async () => {
  world = await openWorld();
  await plantPreference(world);
  learning = await world.learning();
}, 60_000);
afterAll(() => world.close());

const paraphrase = 'please let me see my cat';

test('votes become a better adapter that serves without a restart, and a rollback brings the old answer back', async () => {
  const [cat] = world.pictures;
  const before = await world.shownFor(paraphrase);
  expect(before).not.toBe(cat);
  const base = (await learning.adapters.list()).find(({ serving }) => serving)!;
  const seen: string[] = [];
  const started = await learning.jobs.start({ by: 'telegram:1', reason: 'people miss their cat' });
  if (!started.started) throw new Error(started.why);
  expect(started.job).toMatchObject({ examples: 60 });
  learning.jobs.watch?.(started.job.id, ({ state, summary }) => seen.push(`${state} ${summary}`), AbortSignal.timeout(60_000));
  expect(await learning.jobs.start({ by: 'telegram:1', reason: 'again' })).toMatchObject({ started: false, why: expect.stringContaining('under way') });

  const over = await ended(learning);
  expect(over).toMatchObject({ state: 'done', progress: 1 });
  expect(over.summary).toContain('serves from now on');
  expect(seen.some((line) => line.startsWith('running') && line.includes('Step'))).toBe(true);
  expect(seen.some((line) => line.startsWith('gating'))).toBe(true);
  console.log(over.summary);
  for (const w of ['show me my cat', 'I want to see my cat', 'my cat!', 'may I see my cat', 'please let me see my cat', 'show me a red square', 'show me a big wave', 'my cat', 'show my cat', 'give me my cat']) console.log(w, world.pictures.indexOf(await world.shownFor(w)));
  expect(await world.shownFor(paraphrase)).toBe(cat);

  const [newest] = await learning.adapters.list();
  expect(newest).toMatchObject({ serving: true, parent: base.id });
  const details = newest!.details.join('\n');
  for (const part of ['snapshot', 'examples of 12 people', 'people miss their cat', 'approved answers', 'promoted', 'by Person 1']) expect(details).toContain(part);
  const { runs, votes } = await learning.overview.facts();
  expect(votes.reduce((sum, { up, down }) => sum + up + down, 0)).toBe(60);
  expect((await learning.overview.curve(runs[0]!.runId!)).length).toBeGreaterThan(20);
  const [example] = await learning.overview.compare([base.id, newest!.id], [paraphrase]);
  expect(example!.answers).toHaveLength(2);

  expect(await learning.adapters.rollback('telegram:1')).toMatchObject({ id: base.id, serving: true });
  expect(await world.shownFor(paraphrase)).toBe(before);
  expect(await learning.adapters.rollback('telegram:1')).toBeNull();
  expect(await learning.jobs.start({ by: 'telegram:1', reason: 'nothing new' })).toMatchObject({ started: false, why: expect.stringContaining('0 new examples') });
}, 60_000);
