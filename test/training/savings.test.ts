// The benchmark of what knowing the frozen parts saves: it runs, and what it sets beside training computes
// the same gradients.
import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { openLanguageModelWeights } from '../../src/model/index.ts';
import { toModelBytes } from '../../src/onnx/graph/index.ts';
import { float32, int64, openSession } from '../../src/onnx/run/index.ts';
import { FrozenModel } from '../../src/training/frozen-model.ts';
import { wholeTextGraph } from '../../src/training/graphs/whole-text-graph.ts';
import { measureSavings } from '../../src/training/index.ts';
import { initialParameters } from '../../src/training/parameters.ts';
import { causalMask, padTokens, placeLabels, type TextSequence } from '../../src/training/sequences.ts';
import { writeTinyLlama } from '../tiny/language-model.ts';
import { writeTinyRun } from './tiny-run.ts';

test('every form is timed on a tiny model', async () => {
  const { folder, config } = await writeTinyRun('llama');
  const seen: number[] = [];
  const { shape, forms } = await measureSavings({ model: config.model!, cacheDir: config.cacheDir!, threads: 1, batchSize: 2, visualTokens: 2, rounds: 3, photo: readFileSync(join(folder, 'images/red-0.png')), onProgress: (done) => seen.push(done) });
  expect(seen).toEqual([1, 2, 3]);
  // Seven matrices of each layer and the head.
  expect(shape['frozenMatrices']).toBe(7 * shape['numLayers']! + 1);
  expect(Object.keys(forms)).toHaveLength(8);
  for (const { medianMs, medianCpuMs } of Object.values(forms)) {
    expect(medianMs).toBeGreaterThan(0);
    expect(medianCpuMs).toBeGreaterThan(0);
  }
});

test('a text whole in the graph gives the gradient of the cached way', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'fromage-savings-'));
  const source = join(folder, 'lm');
  writeTinyLlama(source, 7);
  const weights = await openLanguageModelWeights({ source, weights: 'fp32', cacheDir: join(folder, 'cache') });
  const { embedSize, hiddenSize, vocabSize } = weights.config;
  const layers = [1, -1];
  const parameters = initialParameters({ visualTokens: 1, retrievalDim: 4, visionHiddenSize: 4, embedSize, textWidths: [hiddenSize, hiddenSize] }, 3, 1);
  const texts = [[3, 5, 8, 9], [4, 6, 7, 2]].map((tokenIds): TextSequence => ({ kind: 'text', tokenIds, labelAt: [1, 3], labels: [tokenIds[2]!, vocabSize], picture: null, pictureKey: null }));
  const arriving = new Map(layers.map((layer) => [layer, Float32Array.from({ length: 2 * hiddenSize }, (_, i) => Math.sin(i + layer))]));

  const model = new FrozenModel({ weights, visionHiddenSize: 4, visualTokens: 1, textLayers: layers, retTokenId: vocabSize, threads: 1 });
  const cached = new Map<string, Float32Array>();
  const text = await model.texts(texts, parameters);
  const lossSum = await model.textLoss(text, parameters, 1 / 4, cached);
  await model.backToRet(text, arriving, parameters, cached);
  await model.close();

  const session = await openSession(toModelBytes(wholeTextGraph(weights, layers)), { threads: 1 });
  const { length, embeds, positions } = padTokens(weights, texts.map(({ tokenIds }) => ({ tokenIds: [...tokenIds, 0] })));
  const labels = placeLabels(texts);
  const row = parameters.get('ret_embedding')!;
  const result = await session.run({
    text_embeds: embeds, position_ids: positions, mask: causalMask(length), ret_at: int64([0, 4, 1, 4], [2, 2]), label_at: labels.at, labels: labels.ids, ret_embedding: float32(row.data, row.shape),
    ...Object.fromEntries([...arriving].map(([layer, data]) => [`hidden_gradient.${layer}`, float32(data, [2, hiddenSize])])),
  });
  await session.close();
  weights.close();
  expect((result['loss']!.data as Float32Array)[0]).toBeCloseTo(lossSum / 4, 5);
  const whole = [...(result['gradient/ret_embedding']!.data as Float32Array)];
  const ours = cached.get('ret_embedding')!;
  const largest = Math.max(...ours.map(Math.abs));
  expect(largest).toBeGreaterThan(0);
  expect(Math.max(...whole.map((value, i) => Math.abs(value - ours[i]!)))).toBeLessThan(1e-5 * largest);
});
