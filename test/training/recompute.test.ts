// Activation recomputation: captions in pieces of the language model give the loss and the gradients of
// the whole.
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { differentiateInSegments } from '../../src/autodiff/index.ts';
import { openLanguageModelWeights } from '../../src/model/index.ts';
import { GraphBuilder } from '../../src/onnx/graph/index.ts';
import { FrozenModel } from '../../src/training/frozen-model.ts';
import { captionGraph, captionSegments } from '../../src/training/graphs/caption-graph.ts';
import { initialParameters } from '../../src/training/parameters.ts';
import { plainCaption } from '../../src/training/plain-form.ts';
import { writeTinyLlama, writeTinyOpt } from '../tiny/language-model.ts';

const visionHiddenSize = 6;
const layers = { num_hidden_layers: 5 };

async function openTiny(family: string) {
  const folder = mkdtempSync(join(tmpdir(), 'fromage-recompute-'));
  const source = join(folder, 'lm');
  if (family === 'llama') writeTinyLlama(source, 7, layers);
  else writeTinyOpt(source, 7, family === 'opt after norm' ? { ...layers, do_layer_norm_before: false } : layers);
  return openLanguageModelWeights({ source, weights: 'fp32', cacheDir: join(folder, 'cache') });
}

test.each(['llama', 'opt', 'opt after norm'])('%s: two layers at a time give the gradients of the whole', async (family) => {
  const weights = await openTiny(family);
  const { embedSize, hiddenSize } = weights.config;
  const retTokenId = 20;
  const parameters = initialParameters({ visualTokens: 2, retrievalDim: 4, visionHiddenSize, embedSize, textWidths: [hiddenSize] }, 3, 1);
  const captions = [[3, 5, 8, 9, retTokenId], [4, 6, retTokenId]].map((ids, row) => plainCaption(ids, Float32Array.from({ length: visionHiddenSize }, (_, i) => Math.sin(3 * row + i)), 2));
  const computed = async (recomputeLayers: number, unlikely: boolean) => {
    const model = new FrozenModel({ weights, visionHiddenSize, visualTokens: 2, textLayers: [-1], retTokenId, threads: 1, recomputeLayers });
    const gradients = new Map<string, Float32Array>();
    const { lossSum } = await model.captions(captions, parameters, 0.5, gradients, unlikely);
    await model.close();
    return { lossSum, gradients };
  };
  for (const unlikely of [false, true]) {
    const whole = await computed(0, unlikely);
    const pieces = await computed(2, unlikely);
    expect(pieces.lossSum).toBeCloseTo(whole.lossSum, 5);
    expect([...pieces.gradients.keys()].sort()).toEqual(['ret_embedding', 'visual_embeddings.bias', 'visual_embeddings.weight']);
    for (const [name, gradient] of whole.gradients) {
      const largest = Math.max(...gradient.map(Math.abs));
      expect(largest).toBeGreaterThan(0);
      expect(Math.max(...gradient.map((value, i) => Math.abs(value - pieces.gradients.get(name)![i]!)))).toBeLessThan(1e-5 * largest);
    }
  }
  weights.close();
});

test('a piece holds its own layers alone, the head is one of its own', async () => {
  const weights = await openTiny('llama');
  const sizes = { visionHiddenSize, visualTokens: 1, headRows: 20, addedRows: 0 };
  const segments = captionSegments(weights, sizes, 2);
  const layersIn = (names: Iterable<string>) => [...new Set([...names].flatMap((name) => /^layers\.(\d+)\.down/.exec(name)?.[1] ?? []))];
  expect(segments.map(({ backward }) => layersIn(backward.initializers.keys()))).toEqual([['0', '1'], ['2', '3'], ['4'], []]);
  expect(segments.at(-1)!.backward.nodes.length).toBeLessThan(captionGraph(weights, sizes, true).nodes.length / 5);
  weights.close();
});

test('a cut that is not in the graph is an error with a code', () => {
  const graph = new GraphBuilder('none');
  graph.output(graph.op('Neg', [graph.input('x', 'float32', [2])]), 'y', 'float32', [2]);
  expect(() => differentiateInSegments(graph.build(), ['z'], { cotangents: { y: 'g' }, wrt: ['x'] })).toThrow(expect.objectContaining({ code: 'AUTODIFF_VALUE' }));
});
