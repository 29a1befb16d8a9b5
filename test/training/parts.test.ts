// The small parts of training, each by itself: optimiser, schedules, sampling, forms of prompts, pictures
// and their cached features, recall, plots, settings.
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { pack } from 'tar-stream';
import { trainInput } from '../../src/cli/commands/train.ts';
import { adamWStep, clipGradients, createAdamW, gradientNorm } from '../../src/training/adamw.ts';
import { requestText, tidyCaption } from '../../src/model/index.ts';
import { createFeatureScale, foldScaleInto, foldScaleOutOf } from '../../src/training/feature-scale.ts';
import { parseTrainConfig, recallOf, settingsFrom, trainSettings } from '../../src/training/index.ts';
import { joinPairs, plainCaption, plainText } from '../../src/training/plain-form.ts';
import { readPictures } from '../../src/training/picture-files.ts';
import { drawPlot } from '../../src/training/plot.ts';
import { createRandom } from '../../src/training/random.ts';
import { Sampler } from '../../src/training/sampler.ts';
import { learningRate } from '../../src/training/schedule.ts';
import { pictureSlot } from '../../src/training/sequences.ts';

const adam = { betas: [0.9, 0.95], eps: 1e-8, weightDecay: 0 } as const;

describe('AdamW', () => {
  test('takes the steps worked out by hand', () => {
    const parameters = new Map([['w.weight', { shape: [1, 2], data: Float32Array.of(1, -2) }]]);
    const state = createAdamW(parameters);
    adamWStep(parameters, new Map([['w.weight', Float32Array.of(0.5, -4)]]), state, 0.1, { ...adam, weightDecay: 0.5 });
    // The first step moves by the rate against the sign, after decay by lr · weightDecay.
    expect(parameters.get('w.weight')!.data[0]).toBeCloseTo(1 * 0.95 - 0.1, 6);
    expect(parameters.get('w.weight')!.data[1]).toBeCloseTo(-2 * 0.95 + 0.1, 6);
    adamWStep(parameters, new Map([['w.weight', Float32Array.of(0, 0)]]), state, 0.1, adam);
    const m = (0.9 * 0.05) / (1 - 0.81);
    const v = Math.sqrt((0.95 * 0.05 * 0.25) / (1 - 0.9025));
    expect(parameters.get('w.weight')!.data[0]).toBeCloseTo(0.85 - (0.1 * m) / v, 5);
  });

  test('a parameter without gradient stays as it is', () => {
    const parameters = new Map([['a', { shape: [1], data: Float32Array.of(3) }]]);
    adamWStep(parameters, new Map(), createAdamW(parameters), 0.1, adam);
    expect(parameters.get('a')!.data[0]).toBe(3);
  });

  test('clipping holds the norm of all gradients together', () => {
    const gradients = new Map([['a', Float32Array.of(3)], ['b', Float32Array.of(0, 4)]]);
    expect(clipGradients(gradients, 1)).toBeCloseTo(5);
    expect(gradientNorm(gradients)).toBeCloseTo(1, 5);
    expect(clipGradients(gradients, 10)).toBeCloseTo(1, 5);
    expect(gradientNorm(gradients)).toBeCloseTo(1, 5);
  });
});

test('learning rates warm up and fall', () => {
  const options = { kind: 'step', lr: 1, warmupSteps: 4, stepSize: 10, gamma: 0.1, floor: 0.2 } as const;
  expect([0, 1, 3, 4, 13, 14, 24].map((step) => learningRate(options, step, 100))).toEqual([0.25, 0.5, 1, 1, 1, 0.1, 0.1 ** 2].map((rate) => expect.closeTo(rate, 9)));
  const cosine = { ...options, kind: 'cosine' } as const;
  expect(learningRate(cosine, 4, 104)).toBeCloseTo(1);
  expect(learningRate(cosine, 54, 104)).toBeCloseTo(0.6);
  expect(learningRate(cosine, 104, 104)).toBeCloseTo(0.2);
});

test('sampling keeps the weights, takes each example once an epoch, and goes on where it stopped', () => {
  const source = (name: string, weight: number, count: number) => ({ name, weight, captioning: true, retrieval: true, examples: Array.from({ length: count }, (_, i) => ({ kind: 'talk' as const, user: `${name}${i}`, assistant: '' })) });
  const sources = [source('a', 3, 6), source('b', 1, 5)];
  const textsOf = (sampler: Sampler, count: number) => sampler.take(count).map(({ example }) => (example.kind === 'talk' ? example.user : ''));
  const drawn = textsOf(new Sampler('s', sources, 1), 40);
  expect(drawn.filter((text) => text.startsWith('a'))).toHaveLength(30);
  expect(new Set(drawn.filter((text) => text.startsWith('a')).slice(0, 6)).size).toBe(6);
  const first = new Sampler('s', sources, 1);
  const begun = textsOf(first, 17);
  expect([...begun, ...textsOf(new Sampler('s', sources, 1, first.drawn), 23)]).toEqual(drawn);
  expect(textsOf(new Sampler('s', sources, 2), 40)).not.toEqual(drawn);
});

describe('the paper’s form', () => {
  const [a, b] = [Float32Array.of(1), Float32Array.of(2)];

  test('labels stand one position ahead, begin token and [RET] as in the reference', () => {
    expect(plainCaption([2, 7, 8, 99], a!, 2)).toMatchObject({ tokenIds: [pictureSlot, pictureSlot, 2, 7, 8], labelAt: [1, 2, 3], labels: [2, 7, 8] });
    expect(plainText([2, 7, 8, 99], a!, null)).toMatchObject({ tokenIds: [2, 7, 8], labelAt: [0, 1, 2], labels: [7, 8, 99] });
  });

  test('pairs are joined without what lies between, an odd one stays alone', () => {
    const joined = joinPairs([plainCaption([2, 7, 99], a!, 1), plainCaption([2, 8, 9, 99], b!, 1), plainCaption([2, 99], a!, 1)]);
    expect(joined).toHaveLength(2);
    expect(joined[0]).toMatchObject({ tokenIds: [pictureSlot, 2, 7, pictureSlot, 2, 8, 9], labelAt: [0, 1, 3, 4, 5], labels: [2, 7, 2, 8, 9], pictures: [a, b] });
  });
});

test('captions are tidied and become the object of a request', () => {
  expect(tidyCaption(' two dogs ,  one " big "  run .')).toBe('Two dogs, one "big" run.');
  expect(tidyCaption('')).toBe('');
  expect(requestText('Show me {}', 'A black dog runs .')).toBe('Show me a black dog runs');
  expect(requestText('Can you show me {}?', 'NASA rocket')).toBe('Can you show me NASA rocket?');
  expect(requestText('Show me {}', 'a $& b')).toBe('Show me a $& b');
});

test('pictures come from a folder or an archive by name, and never from outside', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'fromage-pictures-'));
  mkdirSync(join(folder, 'images', 'sub'), { recursive: true });
  writeFileSync(join(folder, 'secret'), 'secret');
  writeFileSync(join(folder, 'images', 'sub', 'a.png'), 'A');
  const archive = pack();
  archive.entry({ name: './sub/a.png' }, 'A');
  archive.entry({ name: 'other.png' }, 'B');
  archive.finalize();
  const chunks: Uint8Array[] = [];
  for await (const chunk of archive) chunks.push(chunk as Uint8Array);
  writeFileSync(join(folder, 'images.tar'), Buffer.concat(chunks));
  for (const place of ['images', 'images.tar']) {
    const found = new Map<string, string | null>();
    for await (const { name, bytes } of readPictures(join(folder, place), new Set(['sub/a.png', '../secret', 'none.png']))) found.set(name, bytes && Buffer.from(bytes).toString());
    expect(Object.fromEntries(found)).toEqual({ 'sub/a.png': 'A', '../secret': null, 'none.png': null });
  }
  writeFileSync(join(folder, 'torn.tar'), Buffer.concat(chunks).subarray(0, 700));
  await expect((async () => { for await (const _ of readPictures(join(folder, 'torn.tar'), new Set(['sub/a.png', 'other.png']))); })()).rejects.toMatchObject({ code: 'TRAINING_IMAGES' });
});

test('scaled features give the same maps as raw ones', () => {
  const random = createRandom(1, 'features');
  const rows = Array.from({ length: 50 }, () => Float32Array.from({ length: 3 }, (_, i) => random.normal() * (i + 1) + 10 * i));
  const scale = createFeatureScale(rows, 3);
  const scaled = rows.map((row) => scale.apply(row));
  for (let i = 0; i < 3; i++) {
    expect(scaled.reduce((sum, row) => sum + row[i]!, 0) / 50).toBeCloseTo(0, 5);
    expect(scaled.reduce((sum, row) => sum + row[i]! ** 2, 0) / 50).toBeCloseTo(1, 4);
  }
  const map = () => new Map<string, { shape: number[]; data: Float32Array }>(['visual_embeddings', 'visual_fc'].flatMap((name): [string, { shape: number[]; data: Float32Array }][] => [[`${name}.weight`, { shape: [1, 3], data: Float32Array.of(0.5, -1, 2) }], [`${name}.bias`, { shape: [1], data: Float32Array.of(0.3) }]]));
  const apply = (parameters: ReturnType<typeof map>, x: Float32Array) => x.reduce((sum, value, i) => sum + value * parameters.get('visual_fc.weight')!.data[i]!, parameters.get('visual_fc.bias')!.data[0]!);
  const folded = map();
  foldScaleInto(folded, scale);
  rows.forEach((row, i) => expect(apply(folded, scaled[i]!)).toBeCloseTo(apply(map(), row), 4));
  foldScaleOutOf(folded, scale);
  rows.forEach((row) => expect(apply(folded, row)).toBeCloseTo(apply(map(), row), 4));
});

test('recall counts the rank of the right partner', () => {
  const result = recallOf(Float32Array.of(1, 0, 0, 1, 1, 0.9), Float32Array.of(2, 0, 0, 3, 0, 1), 3);
  // The third text is nearer to the first picture, and to the second as near as to its own.
  expect(result).toMatchObject({ recallAt1: 2 / 3, recallAt5: 1, medianRank: 1 });
});

test('plots escape names and leave out what is not a number', () => {
  const svg = drawPlot({ title: 'a < b', x: 'step', y: 'loss', lines: [{ name: '"x"', points: [[1, 2], [2, Number.NaN], [3, 1]] }, { name: 'empty', points: [] }] });
  expect(svg).toContain('a &#60; b');
  expect(svg).not.toMatch(/NaN|empty/);
  expect(drawPlot({ title: 't', x: 'x', y: 'y', lines: [] })).toContain('nothing measured yet');
});

describe('settings', () => {
  test('every constant of the paper is the default', () => {
    expect(parseTrainConfig({ run: 'r' })).toMatchObject({ lr: 3e-4, betas: [0.9, 0.95], eps: 1e-8, weightDecay: 0, clipNorm: 1, warmupSteps: 100, scheduleStepSize: 20_000, scheduleGamma: 0.1, steps: 18_000, batchSize: 180, concatProbability: 0.5, maxLength: 24, captionLossScale: 1, retrievalLossScale: 1, rescaleRet: true });
  });

  test('each setting is an option with its own words', () => {
    const settings = trainSettings();
    expect(settings.length).toBeGreaterThan(50);
    for (const { flag, description } of settings) expect({ flag, described: description.trim() !== '' }).toEqual({ flag, described: true });
    expect(settingsFrom({ lr: '0.01', betas: '[0.8,0.9]', 'retrieval-maps-steps': '5', form: 'chat', 'tidy-captions': 'true' })).toEqual({ lr: 0.01, betas: [0.8, 0.9], retrievalMaps: { steps: 5 }, form: 'chat', tidyCaptions: true });
  });

  test('options stand above a file of settings, that above a recipe; data stand beside one another', () => {
    const input = trainInput({ recipe: 'starter', run: 'runs/x', data: ['a.tsv'], images: ['a.tar'], steps: '7', retrievalMapsSteps: '3' });
    expect(parseTrainConfig(input)).toMatchObject({ form: 'chat', steps: 7, visualTokens: 4, retrievalMaps: { steps: 3, batchSize: 896, dropout: 0.1, pictureDropout: 0.4 } });
    expect(input.data!.map(({ kind }) => kind)).toEqual(['captions', 'named', 'talk']);
    const config = join(mkdtempSync(join(tmpdir(), 'config-')), 'config.json');
    writeFileSync(config, JSON.stringify({ run: 'runs/old', lr: 0.5, steps: 9, retrievalMaps: { dropout: 0 }, data: [{ kind: 'named', names: 'n.json', images: 'n', weight: 0.2 }] }));
    const from = trainInput({ recipe: 'starter', config, run: 'runs/y', steps: '7', data: ['a.tsv'], images: ['a.tar'] });
    expect(parseTrainConfig(from)).toMatchObject({ run: 'runs/y', lr: 0.5, steps: 7, visualTokens: 4, retrievalMaps: { dropout: 0, batchSize: 896 } });
    expect(from.data!.map(({ kind }) => kind)).toEqual(['captions', 'named', 'named', 'talk']);
    for (const text of ['{', '[]', '{"data":1}']) {
      writeFileSync(config, text);
      expect(() => trainInput({ recipe: 'paper', run: 'r', config })).toThrow(expect.objectContaining({ code: 'CLI_OPTION' }));
    }
    writeFileSync(config, '{"learningRate":1,"validation":7}');
    expect(() => parseTrainConfig(trainInput({ recipe: 'paper', run: 'r', config }))).toThrow(expect.objectContaining({ code: 'TRAINING_CONFIG', why: expect.stringMatching(/learningRate[^]*validation/) }));
    expect(() => trainInput({ recipe: 'paper' })).toThrow(expect.objectContaining({ code: 'CLI_OPTION' }));
    expect(() => trainInput({ recipe: 'paper', run: 'r', data: ['a.tsv'] })).toThrow(expect.objectContaining({ code: 'CLI_OPTION' }));
  });
});
