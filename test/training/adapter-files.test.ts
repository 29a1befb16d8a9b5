// Adapters out to the authors' form and back; the numbers stay the same, a normalisation is folded in.
import { existsSync, mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { expect, test } from '@jest/globals';
import { openTorch } from '../../src/formats/index.ts';
import { createAdapter, readAdapterFolder, saveAdapter } from '../../src/model/index.ts';
import { exportPytorchAdapter, importAdapter } from '../../src/training/index.ts';
import { randomAdapter, tinyVisionHiddenSize } from '../tiny/fromage.ts';

const golden = resolve(import.meta.dirname, '../../../shared/golden/fromage-k4-postnorm');
// The reference's checkpoints are not part of the repository.
const testWithGolden = existsSync(golden) ? test : test.skip;

test('an exported adapter computes the same, its normalisation folded into the maps', () => {
  const folder = mkdtempSync(join(tmpdir(), 'fromage-adapter-'));
  const tensors = { ...randomAdapter(4, 2, 259), featureMean: new Float32Array(tinyVisionHiddenSize).fill(0.4), featureStd: new Float32Array(tinyVisionHiddenSize).fill(3) };
  saveAdapter(join(folder, 'ours'), tensors, { languageModel: { id: 'lm' }, visionEncoder: { id: 'vision' } });
  exportPytorchAdapter(join(folder, 'ours'), join(folder, 'theirs'));
  const card = importAdapter(join(folder, 'theirs'), join(folder, 'again'));
  expect(card).toMatchObject({ visualTokens: 2, retTokenId: 259, languageModel: { id: 'lm' } });
  const pooled = Float32Array.from({ length: tinyVisionHiddenSize }, (_, i) => Math.sin(i));
  const expected = createAdapter('a', tensors);
  const actual = createAdapter('b', readAdapterFolder(join(folder, 'again')).tensors);
  for (const [got, wanted] of [[actual.visualPrefix(pooled, 1), expected.visualPrefix(pooled, 1)], [actual.projectImages(pooled, 1), expected.projectImages(pooled, 1)]] as const) {
    got.forEach((value, i) => expect(value).toBeCloseTo(wanted[i]!, 5));
  }
  expect(actual.ret.row).toEqual(expected.ret.row);
  expect(() => exportPytorchAdapter(join(folder, 'ours'), join(folder, 'theirs'))).toThrow(expect.objectContaining({ code: 'TRAINING_EXPORT' }));
});

testWithGolden('a checkpoint of the authors goes through our form and comes out with the same names, shapes and numbers', () => {
  const folder = mkdtempSync(join(tmpdir(), 'fromage-adapter-'));
  importAdapter(golden, join(folder, 'ours'));
  exportPytorchAdapter(join(folder, 'ours'), join(folder, 'theirs'));
  const [theirs, again] = [golden, join(folder, 'theirs')].map((place) => openTorch(join(place, 'pretrained_ckpt.pth.tar')));
  expect([...again!.tensors].map(([name, { shape, dtype }]) => [name, shape, dtype]).sort()).toEqual([...theirs!.tensors].map(([name, { shape, dtype }]) => [name, shape, dtype]).sort());
  for (const name of theirs!.tensors.keys()) expect(again!.readFloat32(name)).toEqual(theirs!.readFloat32(name));
  const args = (place: string) => JSON.parse(readFileSync(join(place, 'model_args.json'), 'utf8')) as Record<string, unknown>;
  expect(args(join(folder, 'theirs'))).toMatchObject({ n_visual_tokens: args(golden)['n_visual_tokens'], text_emb_layers: args(golden)['text_emb_layers'], retrieval_token_idx: args(golden)['retrieval_token_idx'], opt_version: args(golden)['opt_version'] });
});
