// Requests after a picture that was shown: who is asked for after whom, how it stands in the text, and that
// the model reads the picture there.
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { openLanguageModelWeights } from '../../src/model/index.ts';
import { pictureKey, type PairExample } from '../../src/training/examples.ts';
import { followUps } from '../../src/training/follow-ups.ts';
import { FrozenModel } from '../../src/training/frozen-model.ts';
import { initialParameters } from '../../src/training/parameters.ts';
import { parseTrainConfig, type TrainInput } from '../../src/training/index.ts';
import { createRandom } from '../../src/training/random.ts';
import { prepareRetStates } from '../../src/training/retrieval-maps.ts';
import { type CaptionSequence, pictureSlot, type TextSequence } from '../../src/training/sequences.ts';
import { openSetting } from '../../src/training/setting.ts';
import { placeShown } from '../../src/training/shown-pictures.ts';
import { writeTinyLlama } from '../tiny/language-model.ts';
import { writeTinyRun } from './tiny-run.ts';

const named = (caption: string, file: string): PairExample => ({ kind: 'pair', caption, isName: true, picture: { images: 'icons', name: file } });
const pairs = [named('dog', '1'), named('dog face', '2'), named('puppy', '2'), named('guide dog', '3'), named('violin', '4'), named('blue heart', '5'), named('red heart', '6')];
const form = { request: ({ caption, request }: PairExample) => request ?? `Show me ${caption}` };

test('a follow-up asks for something else, or for another of the kind that was shown', () => {
  const found = followUps(pairs, 400, form, createRandom(1, 'x'));
  expect(found).toHaveLength(400);
  const others = found.filter(({ request }) => request !== undefined);
  for (const { before, picture, request, caption } of found) {
    expect(before).toHaveLength(2);
    const [said, shown] = before as [string, { images: string; name: string }];
    expect(said).toMatch(/^Show me /);
    expect(pictureKey(shown)).not.toBe(pictureKey(picture));
    if (request === undefined) continue;
    // A violin has no other of its kind, and a dog is not followed by a heart.
    expect(caption).not.toBe('violin');
    const kind = ['1', '2', '3'].includes(picture.name) ? ['1', '2', '3'] : ['5', '6'];
    expect(kind).toContain(shown.name);
    expect(request).not.toContain('{}');
  }
  expect(others.length).toBeGreaterThan(100);
  expect(others.some(({ request }) => /\bdog\b/.test(request!))).toBe(true);
  expect(others.some(({ request }) => !/dog|heart/.test(request!))).toBe(true);
  expect(followUps(pairs, 400, form, createRandom(1, 'x'))).toEqual(found);
});

test('without a second picture there is nothing to come after', () => {
  expect(followUps([named('dog', '1'), named('hound', '1')], 5, form, createRandom(0, 'x'))).toEqual([]);
  // Words of people's own and wrong pictures are not shown first.
  expect(followUps([named('dog', '1'), { ...named('cat', '2'), unlikely: true }], 5, form, createRandom(0, 'x'))).toEqual([]);
});

test('a picture that was shown, and its [RET], stand in a text as the parameters have them', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'fromage-shown-'));
  writeTinyLlama(folder, 2);
  const weights = await openLanguageModelWeights({ source: folder, weights: 'fp32', cacheDir: join(folder, 'cache') });
  const { embedSize, hiddenSize, vocabSize } = weights.config;
  const parameters = initialParameters({ visualTokens: 2, retrievalDim: 4, visionHiddenSize: 3, embedSize, textWidths: [hiddenSize] }, 5, 1);
  const model = new FrozenModel({ weights, visionHiddenSize: 3, visualTokens: 2, textLayers: [-1], retTokenId: vocabSize, threads: 1 });
  try {
    const [first, second] = [Float32Array.of(0.5, -1, 2), Float32Array.of(3, 0.25, -0.5)];
    const tokenIds = [3, 4, pictureSlot, pictureSlot, 5, pictureSlot, pictureSlot, 6, 7];
    const labels = { labelAt: [7, 8], labels: [7, 8] };
    // A caption's loss goes through its own graph, which puts pictures into their places by itself.
    const caption: CaptionSequence = { kind: 'caption', tokenIds, pictures: [first, second], ...labels };
    const text: TextSequence = { kind: 'text', tokenIds, shown: [first, second], ...labels, picture: null, pictureKey: null };
    const { lossSum } = await model.captions([caption], parameters, 1, null);
    const loss = async (sequence: TextSequence) => model.textLoss(await model.texts([sequence, { ...text, tokenIds: [1, 2, 3], shown: [], labelAt: [], labels: [] }], parameters), parameters, 1, null);
    expect(await loss(text)).toBeCloseTo(lossSum, 4);
    expect(Math.abs((await loss({ ...text, shown: [second, first] })) - lossSum)).toBeGreaterThan(1e-4);

    const embeds = new Float32Array(2 * 3 * embedSize);
    placeShown(embeds, 3, [{ ...text, tokenIds: [1] }, { ...text, tokenIds: [1, vocabSize, 2] }], parameters, vocabSize);
    const { data: row } = parameters.get('ret_embedding')!;
    expect([...embeds]).toEqual([...new Float32Array(4 * embedSize), ...row, ...new Float32Array(embedSize)]);
  } finally {
    await model.close();
    await weights.close();
  }
});

test('states of follow-ups belong to the visual tokens as much as to the [RET] row; talk about a picture that cannot be read is left out', async () => {
  const { folder, config } = await writeTinyRun('llama', { form: 'chat' });
  const [captions] = config.data as [Extract<TrainInput['data'], readonly unknown[]>[number] & { images: string }];
  const [file, names] = [join(folder, 'shown.jsonl'), join(folder, 'names.json')];
  writeFileSync(file, '{"before":["Show me {}","[RET]"],"user":"Why?","assistant":"You asked."}\n{"user":"hi","assistant":"hello"}\n');
  writeFileSync(names, JSON.stringify([{ file: 'red-0.png', name: 'red' }, { file: 'broken.png', name: 'broken' }]));
  const setting = await openSetting(parseTrainConfig({ ...config, data: [captions, { kind: 'talk', file, names, images: captions.images }] }));
  try {
    expect(setting.sources[1]!.examples.map((example) => example.kind === 'talk' && example.user)).toEqual(['Why?', 'hi']);
    const parameters = setting.initial(true);
    const maps = parseTrainConfig({ run: 'r', retrievalMaps: { steps: 1, followUpsPerSource: 5 } }).retrievalMaps!;
    const states = async (options = maps) => {
      let computed = 0;
      const result = await prepareRetStates(setting, parameters, { file: join(folder, 'states.safetensors'), maps: options, onProgress: () => computed++ });
      return { ...result, computed };
    };
    const first = await states();
    expect(first.pairs).toHaveLength(24 + 5);
    expect(first.pairs.slice(24).every(({ before }) => before?.length === 2)).toBe(true);
    expect((await states()).computed).toBe(0);
    parameters.get('visual_embeddings.bias')!.data[0]! += 1;
    const moved = await states();
    expect(moved.computed).toBeGreaterThan(0);
    const width = first.hidden.get(-1)!.length / first.pairs.length;
    const distance = (row: number) => Math.hypot(...first.scales.get(-1)!.mean.map((mean, i) => mean + first.scales.get(-1)!.std[i]! * first.hidden.get(-1)![row * width + i]! - moved.scales.get(-1)!.mean[i]! - moved.scales.get(-1)!.std[i]! * moved.hidden.get(-1)![row * width + i]!));
    expect(distance(0)).toBeLessThan(1e-4);
    expect(distance(24)).toBeGreaterThan(1e-3);
    // Without follow-ups the visual tokens do not matter.
    await states({ ...maps, followUpsPerSource: 0 });
    parameters.get('visual_embeddings.bias')!.data[0]! += 1;
    expect((await states({ ...maps, followUpsPerSource: 0 })).computed).toBe(0);
  } finally {
    await setting.close();
  }
});
