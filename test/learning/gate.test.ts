// The gate on a tiny model: each figure with its interval, from what neither adapter was trained on, told in
// both languages; and what each threshold refuses.
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { sayAll } from '../../src/chat/index.ts';
import { featuresOf } from '../../src/learning/features.ts';
import { type GateFigure, judge, type Verdict } from '../../src/learning/gate.ts';
import { galleryName, type Lessons, picturesOf, sentName } from '../../src/learning/materials.ts';
import { verdictPhrases } from '../../src/learning/records.ts';
import { type LearningSettingsInput, parseLearningSettings } from '../../src/learning/settings.ts';
import { tinyVisionHiddenSize } from '../tiny/fromage.ts';
import { normal, normals } from '../tiny/random.ts';
import { captions, openWorld, type World } from './world.ts';

let world: World;
let lessons: Lessons;
let features: Map<string, Float32Array>;
beforeAll(async () => {
  world = await openWorld(undefined, [1, -1]);
  await world.engine.loadAdapter(join(world.folder, 'model', 'adapter-b'), 'b');
  const [first] = world.pictures;
  const held = { split: 'held-out', weight: 1 } as const;
  lessons = {
    // What serves now is approved, whatever it is: the other adapter can only lose.
    asked: await Promise.all(captions.slice(0, 6).map(async (caption) => ({ ...held, request: `show me ${caption}`, verbatim: true, pictureId: await world.shownFor(`show me ${caption}`), rejected: [] }))),
    refused: [{ ...held, request: 'zq', verbatim: true, pictureId: first!, rejected: [] }],
    described: [{ ...held, imageHash: 'sent', question: 'What is this?', text: 'a red square', right: true }],
    talk: [],
    captions: captions.map((text, i) => ({ kind: 'dev', text, pictureId: world.pictures[i]!, weight: 1 })),
  };
  features = await featuresOf(picturesOf(lessons), { store: world.store, engine: world.engine, gallery: () => world.gallery });
  features.set(sentName('sent'), normals(normal(3), tinyVisionHiddenSize, 1));
}, 120_000);
afterAll(async () => {
  await world.close();
  world.cleanUp();
});

async function judged(candidate: string, gate: LearningSettingsInput['gate']): Promise<Verdict> {
  const { servingAdapter: serving } = await world.engine.info();
  return judge({ engine: world.engine, candidate, serving, lessons, features, settings: parseLearningSettings({ gate }) });
}

test('approval, recall and caption loss are computed with intervals, and told in both languages', async () => {
  expect(features.has(galleryName(world.pictures[0]!))).toBe(true);
  const verdict = await judged('b', {});
  for (const [name, count] of [['approval', 7], ['recall', 12], ['captionLoss', 13]] as const) {
    const figure = verdict[name] as GateFigure;
    expect([name, figure.count]).toEqual([name, count]);
    expect(figure.difference).toBeCloseTo(figure.candidate - figure.serving, 5);
    expect(figure.low).toBeLessThanOrEqual(figure.difference);
    expect(figure.high).toBeGreaterThanOrEqual(figure.difference);
    expect(figure.high).toBeGreaterThan(figure.low);
  }
  expect(verdict.approval!.difference).toBeLessThan(0);
  expect(verdict.passed).toBe(false);
  expect(sayAll('en', verdictPhrases(verdict))).toMatch(/^Approved answers: \d\.\d{3} → .*interval.*7 held out\)\. Pictures found by caption, mean reciprocal rank: .*12 held out\)\. Caption loss in nats: .*13 held out\)\. Not good enough: a gain of 0\.020/);
  const inRussian = sayAll('ru', verdictPhrases(verdict));
  for (const part of ['Одобренные ответы: ', 'средний обратный ранг: ', 'Потери описания в натах: ', 'отложено 13', 'Недостаточно хорошо: доля одобренных ответов должна вырасти на 0,020']) expect(inRussian).toContain(part);
});

test('an adapter held against itself loses nothing: only the gain that is asked for is missing', async () => {
  const { servingAdapter } = await world.engine.info();
  const verdict = await judged(servingAdapter, {});
  for (const figure of [verdict.approval, verdict.recall, verdict.captionLoss]) expect(figure).toMatchObject({ difference: 0, low: 0, high: 0 });
  expect(verdict.reasons.map(({ key }) => key)).toEqual(['gate.approvalGain']);
  expect(await judged(servingAdapter, { minApprovalGain: 0 })).toMatchObject({ passed: true, reasons: [] });
});

test('each threshold refuses by its own figure', async () => {
  const { approval, recall, captionLoss } = await judged('b', {});
  // Ends of the bootstrap intervals are the same each time.
  const lenient = { minApprovalGain: -1, approvalLoss: 1, recallLoss: 1, captionLoss: 100 };
  expect((await judged('b', lenient)).passed).toBe(true);
  const reasons = async (change: object) => (await judged('b', { ...lenient, ...change })).reasons.map(({ key }) => key);
  expect(await reasons({ approvalLoss: Math.max(0, -approval!.low - 0.01) })).toEqual(['gate.approvalLoss']);
  expect(recall!.low).toBeLessThan(0);
  expect(await reasons({ recallLoss: Math.max(0, -recall!.low - 0.01) })).toEqual(['gate.recallLoss']);
  expect(captionLoss!.high).toBeGreaterThan(0);
  expect(await reasons({ captionLoss: captionLoss!.high / 2 })).toEqual(['gate.captionLoss']);
});
