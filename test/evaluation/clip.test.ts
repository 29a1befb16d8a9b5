// CLIP's own similarity as a baseline, on the tiny CLIP whose numbers transformers has told.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { readVisdial } from '../../src/evaluation/data/visdial.ts';
import { evaluateRetrieval, evaluateVisdial, evaluateVist } from '../../src/evaluation/index.ts';
import { loadClipSimilarity, loadVisionEncoder } from '../../src/model/index.ts';
import { dot } from '../../src/tensor/index.ts';
import { colourEngine } from './colour-engine.ts';

const source = resolve(import.meta.dirname, '../model/clip-tiny');
const golden = JSON.parse(readFileSync(join(source, 'expected.json'), 'utf8')) as { readonly texts: string[]; readonly pixels: number[]; readonly cases: readonly { readonly similarity: number[][] }[] };
const similarity = golden.cases[0]!.similarity;
const cacheDir = mkdtempSync(join(tmpdir(), 'fromage-clip-baseline-'));
const clip = { source, threads: 1 };
const options = { clip, cacheDir, samples: 10 };
/** Features of the two pictures. */
let pooled: readonly [Float32Array, Float32Array];

beforeAll(async () => {
  const vision = await loadVisionEncoder(clip);
  const both = await vision.encode(Float32Array.from(golden.pixels), 2);
  await vision.close();
  pooled = [both.slice(0, both.length / 2), both.slice(both.length / 2)];
});
afterAll(() => rmSync(cacheDir, { recursive: true, force: true }));

/** Which of the two pictures a text is nearer to. */
const nearer = (text: number): number => (similarity[text]![0]! > similarity[text]![1]! ? 0 : 1);

test('caption to picture and back have the ranks of transformers’ similarities, and texts are read once', async () => {
  // Every other text belongs to each picture.
  const own = (picture: number) => golden.texts.map((_, i) => i).filter((i) => i % 2 === picture);
  const pictures = pooled.map((features, i) => ({ id: String(i), image: { pooled: features }, captions: own(i).map((text) => golden.texts[text]!) }));
  const right = golden.texts.filter((_, i) => nearer(i) === i % 2).length;
  const stages = new Set<string>();
  const { figures } = await evaluateRetrieval(colourEngine(), pictures, { ...options, onProgress: ({ stage }) => stages.add(stage) });
  expect(figures.baselines?.clip_absent).toBeNull();
  expect(figures.baselines?.clip?.text_to_image.r1).toBeCloseTo((100 * right) / golden.texts.length, 1);
  // Texts of one picture never stand in each other's way; equal texts' scores are ties, which go against it.
  const rankOf = (picture: number) => {
    const best = Math.max(...own(picture).map((text) => similarity[text]![picture]!));
    return 1 + own(1 - picture).filter((text) => similarity[text]![picture]! >= best).length;
  };
  expect(figures.baselines?.clip?.image_to_text.median_rank).toBe((rankOf(0) + rankOf(1)) / 2);
  expect(stages).toContain('reading with CLIP’s text tower');
  const again: number[] = [];
  await evaluateRetrieval(colourEngine(), pictures, { ...options, onProgress: ({ stage, done }) => (stage === 'reading with CLIP’s text tower' ? again.push(done) : undefined) });
  expect(again).toEqual([new Set(golden.texts).size]);
});

test('a story asks with its last captions', async () => {
  const [first, second] = [2, 4];
  const story = (id: string, last: number, image: string, before: string) => ({ id, steps: [...Array.from({ length: 4 }, () => ({ caption: '', image: before })), { caption: golden.texts[last]!, image }] });
  const stories = [story('a', first, '0', '1'), story('b', second, '0', '1')];
  const { figures } = await evaluateVist(colourEngine(), stories, new Map([['0', pooled[0]], ['1', pooled[1]]]), options);
  const r1 = 50 * [first, second].filter((text) => nearer(text) === 0).length;
  // Captions without words add nothing, and there is one unseen picture.
  for (const context of ['1_caption', '5_captions']) expect(figures.baselines?.clip?.[context]).toMatchObject({ all: { r1 }, unseen: { r1: 100 } });
  expect(figures.baselines?.clip?.['5_captions_4_images']).toBeUndefined();
});

test('a dialogue asks with its questions and answers', async () => {
  const dialogues = await readVisdial(join(import.meta.dirname, 'fixtures', 'visdial_1.0_val.json'), undefined);
  const { figures } = await evaluateVisdial(colourEngine(), dialogues, new Map([[11, pooled[0]], [12, pooled[1]]]), options);
  const tower = await loadClipSimilarity(clip);
  const texts = await tower.embedTexts(['Q: what colour is the wall? A: it is red. Q: is it a bright day? A: yes.', 'Q: what colour is the door? A: it is green. Q: is it a bright day? A: no.']);
  const pictures = tower.projectPictures(pooled);
  await tower.close();
  const right = texts.filter((text, i) => dot(text, 0, pictures[i]!, 0, text.length) > dot(text, 0, pictures[1 - i]!, 0, text.length)).length;
  expect(figures.baselines?.clip).toMatchObject({ text_to_image: { r1: 50 * right } });
});

test('an encoder without a text tower is told with its reason', async () => {
  const pictures = [{ id: '0', image: { pooled: pooled[0] }, captions: ['a'] }];
  const starter = resolve(import.meta.dirname, '../../models/starter/efficientnet-lite0.pth');
  const { figures } = await evaluateRetrieval(colourEngine(), pictures, { ...options, clip: { source: starter } });
  expect(figures.baselines).toMatchObject({ clip: null, clip_absent: 'its weights are a vision tower alone' });
});
