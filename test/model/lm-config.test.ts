// What is read from config.json, generation_config.json and GGUF metadata, and what is refused in words.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import type { TensorLocation, WeightStore } from '../../src/formats/types.ts';
import { readLanguageModelConfig } from '../../src/model/language-model-config.ts';
import { loadLanguageModel } from '../../src/model/language-model.ts';
import { writeTinyLlama, writeTinyOpt } from '../tiny/language-model.ts';

const root = mkdtempSync(join(tmpdir(), 'fromage-lm-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let folders = 0;

function llama(overrides: Record<string, unknown> = {}): string {
  const folder = join(root, String(folders++));
  writeTinyLlama(folder, 1, overrides);
  return folder;
}

test('a Llama is read with its rotary base from either spelling', () => {
  expect(readLanguageModelConfig(llama())).toMatchObject({ family: 'llama', hiddenSize: 32, embedSize: 32, numHeads: 4, numKvHeads: 2, headDim: 8, contextWindow: 512, ropeTheta: 10_000, bosTokenId: 1, eosTokenIds: [2], tiedHead: true });
  expect(readLanguageModelConfig(llama({ rope_parameters: { rope_type: 'default', rope_theta: 5e5 } }))).toMatchObject({ ropeTheta: 5e5 });
});

test('the end of generation comes from generation_config.json where it is there', () => {
  const folder = llama();
  writeFileSync(join(folder, 'generation_config.json'), JSON.stringify({ eos_token_id: [2, 7] }));
  expect(readLanguageModelConfig(folder).eosTokenIds).toEqual([2, 7]);
});

test('OPT is read with its inner width and form', () => {
  const folder = join(root, 'opt');
  writeTinyOpt(folder, 1, { word_embed_proj_dim: 16, do_layer_norm_before: false });
  expect(readLanguageModelConfig(folder)).toMatchObject({ family: 'opt', hiddenSize: 16, embedSize: 16, innerSize: 32, preNorm: false, finalNorm: false, contextWindow: 512, eosTokenIds: [2] });
});

test('a sliding window ends the context, where it is in use', () => {
  expect(readLanguageModelConfig(llama({ model_type: 'mistral', sliding_window: 128 })).contextWindow).toBe(128);
  expect(readLanguageModelConfig(llama({ model_type: 'qwen2', sliding_window: 128, use_sliding_window: false })).contextWindow).toBe(512);
});

test.each([
  [{ model_type: 'bert' }, 'MODEL_UNSUPPORTED', /model_type is "bert"/],
  [{ rope_scaling: { rope_type: 'llama3', factor: 8 } }, 'MODEL_UNSUPPORTED', /llama3/],
  [{ rope_parameters: { type: 'linear', factor: 2 } }, 'MODEL_UNSUPPORTED', /linear/],
  [{ hidden_act: 'gelu' }, 'MODEL_UNSUPPORTED', /gelu/],
  [{ num_key_value_heads: 3 }, 'MODEL_UNSUPPORTED', /3 key\/value heads/],
  [{ hidden_size: -1 }, 'MODEL_CONFIG_INVALID', /hidden_size/],
  [{ num_hidden_layers: 'many' }, 'MODEL_CONFIG_INVALID', /num_hidden_layers/],
  [{ num_hidden_layers: 2 ** 40 }, 'MODEL_CONFIG_INVALID', /num_hidden_layers/],
])('%j is refused in words', (overrides, code, words) => {
  const folder = llama();
  const config = { model_type: 'llama', hidden_size: 32, intermediate_size: 64, num_hidden_layers: 2, num_attention_heads: 4, vocab_size: 259, ...overrides };
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
  expect(() => readLanguageModelConfig(folder)).toThrow(expect.objectContaining({ code, message: expect.stringMatching(words) }));
});

test('a folder without a configuration, and one that is not JSON, are refused', () => {
  const folder = llama();
  writeFileSync(join(folder, 'config.json'), '{');
  expect(() => readLanguageModelConfig(folder)).toThrow(expect.objectContaining({ code: 'MODEL_CONFIG_MISSING' }));
  expect(() => readLanguageModelConfig(root)).toThrow(expect.objectContaining({ code: 'MODEL_CONFIG_MISSING' }));
});

test('a configuration that does not fit the weights is refused with both shapes', async () => {
  const folder = llama();
  const written = readLanguageModelConfig(folder);
  writeFileSync(join(folder, 'config.json'), JSON.stringify({ model_type: 'llama', hidden_size: 32, intermediate_size: 48, num_hidden_layers: written.numLayers, num_attention_heads: 4, num_key_value_heads: 2, head_dim: 8, vocab_size: 259, tie_word_embeddings: true }));
  await expect(loadLanguageModel({ source: folder, weights: 'fp32', cacheDir: root })).rejects.toMatchObject({ code: 'MODEL_WEIGHT_SHAPE', message: expect.stringContaining('[64, 32], expected [48, 32]') });
});

test('GGUF metadata are a configuration; scaled rotary positions are refused', () => {
  const metadata = { 'general.architecture': 'llama', 'llama.block_count': 2, 'llama.context_length': 4096, 'llama.embedding_length': 64, 'llama.feed_forward_length': 128, 'llama.attention.head_count': 4, 'llama.attention.head_count_kv': 2, 'llama.attention.layer_norm_rms_epsilon': 1e-5, 'llama.rope.freq_base': 1e5, 'tokenizer.ggml.eos_token_id': 2 };
  const store = (extra: Record<string, unknown>): WeightStore => {
    const table: TensorLocation = { name: 'token_embd.weight', dtype: 'F32', shape: [100, 64], file: '/model.gguf', offset: 0, byteLength: 25_600 };
    const unread = (): never => {
      throw new Error('only headers are needed');
    };
    return { tensors: new Map([[table.name, table]]), metadata: { ...metadata, ...extra }, locate: () => table, readBytes: unread, readFloat32: unread, readRowsFloat32: unread, close: () => undefined };
  };
  expect(readLanguageModelConfig('model.gguf', store({}))).toMatchObject({ layout: 'gguf', vocabSize: 100, headDim: 16, numKvHeads: 2, ropeTheta: 1e5, eosTokenIds: [2], bosTokenId: null, tiedHead: true, contextWindow: 4096 });
  expect(() => readLanguageModelConfig('model.gguf', store({ 'llama.rope.scaling.type': 'yarn' }))).toThrow(expect.objectContaining({ code: 'MODEL_UNSUPPORTED' }));
  expect(() => readLanguageModelConfig('model.gguf', store({ 'llama.block_count': 'two' }))).toThrow(expect.objectContaining({ code: 'MODEL_CONFIG_INVALID' }));
  expect(() => readLanguageModelConfig('model.gguf', store({ 'llama.block_count': 2 ** 40 }))).toThrow(expect.objectContaining({ code: 'MODEL_CONFIG_INVALID' }));
  expect(() => readLanguageModelConfig('model.gguf', store({ 'general.architecture': 'falcon' }))).toThrow(expect.objectContaining({ code: 'MODEL_UNSUPPORTED' }));
});
