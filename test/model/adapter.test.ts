// Adapters from both kinds of folder: the same maps, checked shapes, our own form written and read back.
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { openTorch, writeTorchArchive } from '../../src/formats/index.ts';
import { createAdapter, openAdapter, readAdapterFolder, saveAdapter, type AdapterTensors } from '../../src/model/index.ts';

const starter = resolve(import.meta.dirname, '../../models/starter/adapter');
const golden = resolve(import.meta.dirname, '../../../shared/golden/fromage-k4-postnorm');
const withGolden = existsSync(golden) ? test : test.skip; // skipped where ../shared is not there
const starterSizes = { hiddenSize: 576, embedSize: 576, visionHiddenSize: 1280, numLayers: 30 };

let scratch = '';
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'fromage-adapter-'));
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** A small adapter over two layers of different widths, its numbers counted up. */
function small(): AdapterTensors {
  let next = 0;
  const numbers = (count: number): Float32Array => Float32Array.from({ length: count }, () => (next++ % 7) - 3);
  const map = (outputs: number, inputs: number) => ({ weight: numbers(outputs * inputs), bias: numbers(outputs), inputs, outputs });
  return { visualTokens: 2, textLayers: [-1, 1], retTokenId: 11, visualEmbeddings: map(8, 3), visualFc: map(5, 3), textFcs: [map(5, 4), map(5, 6)], retEmbedding: numbers(4), logitScale: 2.5 };
}
const smallSizes = { hiddenSize: 4, embedSize: 4, innerSize: 6, visionHiddenSize: 3, numLayers: 2 };

test('the starter adapter opens with its shapes, and its maps are products worked out by hand', () => {
  const adapter = openAdapter(starter, starterSizes, 'starter');
  expect(adapter).toMatchObject({ id: 'starter', visualTokens: 4, retrievalDim: 256, textLayers: [-1], ret: { id: 49_152 } });
  const { tensors } = readAdapterFolder(starter);
  const pooled = Float32Array.from({ length: 2560 }, (_, i) => Math.sin(i));
  const prefix = adapter.visualPrefix(pooled, 2);
  expect(prefix.length).toBe(2 * 4 * 576);
  let sum = tensors.visualEmbeddings.bias[1000]!;
  for (let i = 0; i < 1280; i++) sum += pooled[1280 + i]! * tensors.visualEmbeddings.weight[1000 * 1280 + i]!;
  expect(prefix[4 * 576 + 1000]).toBeCloseTo(sum, 3);
});

test('several layers are mapped one by one and summed; [RET] is scored by its own row', () => {
  const tensors = small();
  const adapter = createAdapter('small', tensors);
  const last = Float32Array.of(1, 0, 2, 0);
  const inner = Float32Array.of(0, 1, 0, 0, 0, 3);
  const sum = adapter.projectText(new Map([[-1, last], [1, inner]]), 1);
  const [a, b] = tensors.textFcs;
  const expected = Array.from({ length: 5 }, (_, o) => a!.weight[o * 4]! + 2 * a!.weight[o * 4 + 2]! + a!.bias[o]! + b!.weight[o * 6 + 1]! + 3 * b!.weight[o * 6 + 5]! + b!.bias[o]!);
  expect(Array.from(sum)).toEqual(expected);
  expect(Array.from(adapter.retLogits(last, 1))).toEqual([tensors.retEmbedding[0]! + 2 * tensors.retEmbedding[2]!]);
  expect(() => adapter.projectText(new Map([[-1, last]]), 1)).toThrow(/layer 1.*ADAPTER_SHAPE/);
});

test('normalisation of features is folded into both maps', () => {
  const featureMean = Float32Array.of(1, -2, 0.5);
  const featureStd = Float32Array.of(2, 4, 0.5);
  const plain = createAdapter('plain', small());
  const folded = createAdapter('folded', { ...small(), featureMean, featureStd });
  const raw = Float32Array.of(3, 2, 1);
  const normalised = raw.map((value, i) => (value - featureMean[i]!) / featureStd[i]!);
  for (const map of ['visualPrefix', 'projectImages'] as const) {
    const [a, b] = [folded[map](raw, 1), plain[map](normalised, 1)];
    a.forEach((value, i) => expect(value).toBeCloseTo(b[i]!, 4));
  }
  expect(folded.visualHash).not.toBe(plain.visualHash);
});

test('our own form comes back bit for bit, with the same hashes, and is never overwritten', () => {
  const tensors = { ...small(), featureMean: Float32Array.of(1, 2, 3), featureStd: Float32Array.of(1, 2, 3) };
  const folder = join(scratch, 'mine');
  const card = saveAdapter(folder, tensors, { languageModel: { id: 'tiny', hash: 'aa' }, parent: null, metrics: { recallAt1: 0.5 } });
  expect(readdirSync(scratch)).toEqual(['mine']);
  expect(readAdapterFolder(folder).tensors).toEqual(tensors);
  const adapter = openAdapter(folder, smallSizes);
  expect(adapter).toMatchObject({ id: 'mine', hash: createAdapter('x', tensors).hash, metadata: { metrics: { recallAt1: 0.5 }, hash: card.hash } });
  expect(() => saveAdapter(folder, tensors, {})).toThrow(/ADAPTER_EXISTS/);
});

test('the hash names every tensor; the visual hash changes with visual_fc alone', () => {
  const tensors = small();
  const before = createAdapter('a', tensors);
  const movedRow = createAdapter('b', { ...tensors, retEmbedding: tensors.retEmbedding.map((value, i) => (i === 2 ? value + 1 : value)) });
  const movedFc = createAdapter('c', { ...tensors, visualFc: { ...tensors.visualFc, bias: tensors.visualFc.bias.map((value) => value + 1) } });
  expect(movedRow.hash).not.toBe(before.hash);
  expect(movedRow.visualHash).toBe(before.visualHash);
  expect(movedFc.visualHash).not.toBe(before.visualHash);
});

test.each([
  ['pooled width', { visionHiddenSize: 4 }, /visual_embeddings\.weight is \[8, 3\], expected \[8, 4\]/],
  ['embedding width', { embedSize: 5 }, /visual_embeddings\.weight is \[8, 3\], expected \[10, 3\]/],
  ['hidden width', { hiddenSize: 7 }, /text_hidden_fcs\.0\.weight is \[5, 4\], expected \[5, 7\]/],
  ['width inside', { innerSize: 4 }, /text_hidden_fcs\.1\.weight is \[5, 6\], expected \[5, 4\]/],
  ['number of layers', { numLayers: 0 }, /layer 1.*has 0/],
])('another %s is refused with both numbers', (_, difference, message) => {
  const folder = join(scratch, `sizes-${Object.keys(difference).join()}`);
  saveAdapter(folder, small(), {});
  expect(() => openAdapter(folder, { ...smallSizes, ...difference })).toThrow(message);
  expect(() => openAdapter(folder, { ...smallSizes, ...difference })).toThrow(/ADAPTER_SHAPE/);
});

withGolden('a whole training checkpoint gives the adapter of the released form', () => {
  const released = openAdapter(golden, { hiddenSize: 16, embedSize: 16, innerSize: 32, visionHiddenSize: 24 }, 'released');
  const folder = join(scratch, 'training');
  mkdirSync(folder);
  cpSync(join(golden, 'model_args.json'), join(folder, 'model_args.json'));
  const store = openTorch(join(golden, 'pretrained_ckpt.pth.tar'));
  const stateDict: Record<string, { shape: readonly number[]; data: Float32Array }> = {};
  for (const [name, { shape }] of store.tensors) {
    // Training keeps the whole table, with [RET] as its last row.
    if (name === 'ret_input_embeddings.weight') {
      const table = new Float32Array(402 * 16);
      table.set(store.readFloat32(name), 401 * 16);
      stateDict['module.model.input_embeddings.weight'] = { shape: [402, 16], data: table };
    } else stateDict[`module.${name}`] = { shape, data: store.readFloat32(name) };
  }
  store.close();
  writeTorchArchive(join(folder, 'ckpt_best.pth.tar'), { values: { epoch: 3, best_score: 1.5 }, state_dict: stateDict });
  expect(openAdapter(folder, { hiddenSize: 16, embedSize: 16, innerSize: 32, visionHiddenSize: 24 }, 'training').hash).toBe(released.hash);
});

test('missing and contradicting files are errors with a code', () => {
  expect(() => readAdapterFolder(scratch)).toThrow(/ADAPTER_MISSING/);
  const folder = join(scratch, 'broken');
  saveAdapter(folder, small(), {});
  const card = JSON.parse(readFileSync(join(folder, 'adapter.json'), 'utf8')) as Record<string, unknown>;
  writeFileSync(join(folder, 'adapter.json'), JSON.stringify({ ...card, retrievalDim: 9 }));
  expect(() => readAdapterFolder(folder)).toThrow(/width of 9, the tensors have 5.*ADAPTER_FILE/);
  writeFileSync(join(folder, 'adapter.json'), JSON.stringify({ ...card, visualTokens: -1 }));
  expect(() => readAdapterFolder(folder)).toThrow(/ADAPTER_FILE/);
  writeFileSync(join(folder, 'adapter.json'), JSON.stringify({ ...card, visualTokens: 3 }));
  expect(() => openAdapter(folder, smallSizes)).toThrow(/ADAPTER_SHAPE/);
  rmSync(join(folder, 'adapter.safetensors'));
  expect(() => readAdapterFolder(folder)).toThrow(/ADAPTER_/);
});

test('numbers that are not finite are refused', () => {
  const folder = join(scratch, 'nan');
  const tensors = small();
  tensors.visualFc.bias[0] = Number.NaN;
  saveAdapter(folder, tensors, {});
  expect(() => openAdapter(folder, smallSizes)).toThrow(/visual_fc\.bias.*not finite.*ADAPTER_SHAPE/);
});
