// Every form of the two families against a plain forward pass: grouped heads, biases, untied heads, norms
// before and after, projections, activations, element types, shards, and hidden states of any layer.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { openSession, float32, int64 } from '../../src/onnx/run/index.ts';
import { toModelBytes } from '../../src/onnx/graph/index.ts';
import { buildLanguageModelTrainingGraph } from '../../src/model/graphs/language-model.ts';
import { loadLanguageModel, openLanguageModelWeights } from '../../src/model/language-model.ts';
import { type TinyModel, type TinyStorage, writeTinyLlama, writeTinyOpt } from '../tiny/language-model.ts';
import { rounded } from '../tiny/safetensors.ts';
import { referenceForward } from './lm-reference.ts';
import { relativeError } from './relative-error.ts';

const folder = mkdtempSync(join(tmpdir(), 'fromage-lm-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** float32 against float64 through a few layers. */
const tolerance = 2e-5;
const ids = [5, 77, 130, 9, 200, 31, 64, 250];

interface Form {
  readonly name: string;
  readonly write: typeof writeTinyLlama;
  readonly overrides: Readonly<Record<string, unknown>>;
  readonly storage?: TinyStorage;
  readonly layers: readonly number[];
}

const forms: readonly Form[] = [
  { name: 'Llama, grouped heads', write: writeTinyLlama, overrides: {}, layers: [0, 1, 2, -1, -2] },
  { name: 'Llama, one key/value head, untied head, all biases', write: writeTinyLlama, overrides: { num_key_value_heads: 1, tie_word_embeddings: false, attention_bias: true, mlp_bias: true }, layers: [1, -1] },
  { name: 'Llama, heads wider than the model', write: writeTinyLlama, overrides: { head_dim: 16, num_key_value_heads: 4 }, layers: [-1] },
  { name: 'Qwen2: biases of q, k and v alone', write: writeTinyLlama, overrides: { model_type: 'qwen2', num_hidden_layers: 3 }, layers: [3, 2] },
  { name: 'Mistral with a sliding window', write: writeTinyLlama, overrides: { model_type: 'mistral', sliding_window: 128 }, layers: [-1] },
  { name: 'Llama in fp16 shards', write: writeTinyLlama, overrides: {}, storage: { dtype: 'F16', shards: 3 }, layers: [1] },
  { name: 'Llama in bf16', write: writeTinyLlama, overrides: {}, storage: { dtype: 'BF16' }, layers: [-1] },
  { name: 'OPT', write: writeTinyOpt, overrides: {}, layers: [0, 1, 2, -1] },
  { name: 'OPT, post-norm, narrow embeddings', write: writeTinyOpt, overrides: { do_layer_norm_before: false, word_embed_proj_dim: 16, num_hidden_layers: 3 }, layers: [0, 1, 2, 3, -1, -3] },
  { name: 'OPT, pre-norm, narrow embeddings, gelu', write: writeTinyOpt, overrides: { word_embed_proj_dim: 16, activation_function: 'gelu' }, layers: [1, -1] },
  { name: 'OPT without final norm, biases and norm weights', write: writeTinyOpt, overrides: { _remove_final_layer_norm: true, enable_bias: false, layer_norm_elementwise_affine: false, activation_function: 'gelu_new', tie_word_embeddings: false }, layers: [2, 1] },
  { name: 'OPT in fp16 shards', write: writeTinyOpt, overrides: {}, storage: { dtype: 'F16', shards: 2 }, layers: [-1] },
];

describe.each(forms)('$name', ({ name, write, overrides, storage, layers }) => {
  const source = join(folder, name.replace(/\W+/g, '-'));
  const written = write(source, 7, overrides, storage);
  const exact = asStored(written, storage);
  const options = { source, weights: 'fp32', cacheDir: join(folder, 'cache') } as const;

  test('running equals a plain forward pass', async () => {
    const model = await loadLanguageModel({ ...options, threads: 1, hiddenLayers: layers });
    const embeds = model.embed(ids);
    const expected = referenceForward(exact, embeds);
    const { logits, hidden } = await model.step(model.createCache(1), [{ slot: 0, embeds, select: [...ids.keys()] }]);
    expect(relativeError(logits, expected.logits.flat())).toBeLessThan(tolerance);
    expect([...hidden.keys()].sort()).toEqual([...new Set([...layers, -1])].sort());
    for (const [layer, states] of hidden) expect(relativeError(states, expected.hidden.at(layer)!.flat())).toBeLessThan(tolerance);
    await model.close();
  });

  test('the training graph equals a plain forward pass', async () => {
    const weights = await openLanguageModelWeights(options);
    const { graph } = buildLanguageModelTrainingGraph(weights, { hiddenLayers: layers });
    const session = await openSession(toModelBytes(graph), { threads: 1, prepack: false });
    const embeds = weights.embed(ids);
    const n = ids.length;
    const mask = Float32Array.from({ length: n * n }, (_, i) => (i % n > Math.floor(i / n) ? -1e30 : 0));
    const outputs = await session.run({
      inputs_embeds: float32(embeds, [1, n, weights.config.embedSize]),
      position_ids: int64([...ids.keys()], [1, n]),
      mask: float32(mask, [1, 1, n, n]),
    });
    const expected = referenceForward(exact, embeds);
    expect(relativeError(outputs['final_hidden']!.data as Float32Array, expected.hidden.at(-1)!.flat())).toBeLessThan(tolerance);
    for (const layer of layers) expect(relativeError(outputs[`hidden.${layer}`]!.data as Float32Array, expected.hidden.at(layer)!.flat())).toBeLessThan(tolerance);
    await session.close();
    weights.close();
  });
});

test('a layer that the model does not have is refused', async () => {
  const source = join(folder, 'few-layers');
  writeTinyLlama(source, 1);
  await expect(loadLanguageModel({ source, weights: 'fp32', cacheDir: folder, hiddenLayers: [3] })).rejects.toMatchObject({ code: 'MODEL_HIDDEN_LAYER' });
});

/** The tensors after rounding to the stored element type. */
function asStored(model: TinyModel, storage: TinyStorage = {}): TinyModel {
  const tensors = new Map([...model.tensors].map(([name, { shape, data }]) => [name, { shape, data: rounded(data, storage.dtype ?? 'F32') }]));
  return { ...model, tensors };
}
