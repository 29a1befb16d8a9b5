// Reads what a language model is from Hugging Face's config.json or from GGUF metadata. Differences
// inside the Llama family are configuration; what the graphs cannot do is refused in words.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { FromageError } from '../errors.ts';
import type { WeightStore } from '../formats/types.ts';
import type { LanguageModelConfig } from './types.ts';

export interface LlamaConfig extends LanguageModelConfig {
  readonly family: 'llama';
  readonly intermediateSize: number;
  readonly rmsNormEpsilon: number;
  readonly ropeTheta: number;
  /** Biases of the q, k and v projections. */
  readonly qkvBias: boolean;
  readonly outputBias: boolean;
  readonly mlpBias: boolean;
  readonly tiedHead: boolean;
  /** GGUF spells tensors its own way and interleaves the rows of q and k. */
  readonly layout: 'huggingface' | 'gguf';
}

export interface OptConfig extends LanguageModelConfig {
  readonly family: 'opt';
  /** Width inside the layers; hiddenSize where there is no project_out. */
  readonly innerSize: number;
  readonly ffnSize: number;
  readonly activation: 'relu' | 'gelu' | 'gelu_new';
  /** False: norms come after the residual sums and there is no final norm (opt-350m). */
  readonly preNorm: boolean;
  readonly finalNorm: boolean;
  readonly bias: boolean;
  readonly normAffine: boolean;
  readonly tiedHead: boolean;
}

export type ModelConfig = LlamaConfig | OptConfig;

/** Rotary tables are kept in the graph; this many positions are 16 MB at a head width of 128. */
const longestContext = 32_768;

const size = z.number().int().positive();
/** Layers are listed before any tensor is looked for; a hostile number must not fill the memory. */
const mostLayers = 1024;
const layers = size.max(mostLayers);
const tokenIds = z.union([z.number().int().nonnegative(), z.array(z.number().int().nonnegative())]).nullish();
const ropeSchema = z.object({ rope_type: z.string().nullish(), type: z.string().nullish(), rope_theta: z.number().positive().nullish() });

const llamaSchema = z.object({
  model_type: z.enum(['llama', 'mistral', 'qwen2']),
  hidden_size: size,
  intermediate_size: size,
  num_hidden_layers: layers,
  num_attention_heads: size,
  num_key_value_heads: size.nullish(),
  head_dim: size.nullish(),
  hidden_act: z.string().default('silu'),
  attention_bias: z.boolean().nullish(),
  mlp_bias: z.boolean().nullish(),
  rms_norm_eps: z.number().positive().default(1e-6),
  rope_theta: z.number().positive().nullish(),
  rope_parameters: ropeSchema.nullish(),
  rope_scaling: ropeSchema.nullish(),
  max_position_embeddings: size.default(2048),
  sliding_window: size.nullish(),
  use_sliding_window: z.boolean().nullish(),
  vocab_size: size,
  tie_word_embeddings: z.boolean().nullish(),
  bos_token_id: z.number().int().nullish(),
  eos_token_id: tokenIds,
});

const optSchema = z.object({
  model_type: z.literal('opt'),
  hidden_size: size,
  ffn_dim: size,
  num_hidden_layers: layers,
  num_attention_heads: size,
  activation_function: z.string().default('relu'),
  do_layer_norm_before: z.boolean().default(true),
  _remove_final_layer_norm: z.boolean().default(false),
  enable_bias: z.boolean().default(true),
  layer_norm_elementwise_affine: z.boolean().default(true),
  max_position_embeddings: size.default(2048),
  word_embed_proj_dim: size.nullish(),
  vocab_size: size,
  tie_word_embeddings: z.boolean().nullish(),
  bos_token_id: z.number().int().nullish(),
  eos_token_id: tokenIds,
});

const generationSchema = z.object({ eos_token_id: tokenIds });

/**
 * Reads the configuration of a language model.
 *
 * @param source a folder with config.json (and perhaps generation_config.json), or a GGUF file
 * @param store the opened weights; needed for a GGUF, whose metadata are the configuration
 * @throws FromageError `MODEL_CONFIG_MISSING`, `MODEL_CONFIG_INVALID`, `MODEL_UNSUPPORTED`
 */
export function readLanguageModelConfig(source: string, store?: WeightStore): ModelConfig {
  if (store !== undefined && 'general.architecture' in store.metadata) return configFromGguf(store, source);
  const config = readJson(join(source, 'config.json'));
  const generationFile = join(source, 'generation_config.json');
  const generation = existsSync(generationFile) ? parse(generationSchema, readJson(generationFile), generationFile) : {};
  return configFromHuggingFace(config, generation.eos_token_id ?? null, source);
}

function configFromHuggingFace(config: unknown, generationEos: number | number[] | null, where: string): ModelConfig {
  const type = (config as { model_type?: unknown } | null)?.model_type;
  if (type === 'opt') return optConfig(parse(optSchema, config, where), generationEos, where);
  if (type === 'llama' || type === 'mistral' || type === 'qwen2') return llamaConfig(parse(llamaSchema, config, where), generationEos, where);
  throw unsupported(where, `its model_type is ${JSON.stringify(type)}`, 'opt, llama, mistral and qwen2 are supported');
}

function llamaConfig(raw: z.infer<typeof llamaSchema>, generationEos: number | number[] | null, where: string): LlamaConfig {
  if (raw.hidden_act !== 'silu' && raw.hidden_act !== 'swish') throw unsupported(where, `its hidden_act is ${raw.hidden_act}`, 'only silu is supported in this family');
  for (const rope of [raw.rope_parameters, raw.rope_scaling]) {
    const type = rope?.rope_type ?? rope?.type ?? 'default';
    if (type !== 'default') throw unsupported(where, `its rotary positions are scaled (rope type ${type})`, 'only the default type is supported');
  }
  const numKvHeads = raw.num_key_value_heads ?? raw.num_attention_heads;
  checkHeads(raw.num_attention_heads, numKvHeads, where);
  const headDim = raw.head_dim ?? raw.hidden_size / raw.num_attention_heads;
  if (!Number.isInteger(headDim) || headDim % 2 !== 0) throw unsupported(where, `its head width is ${headDim}`, 'an even whole number is needed');
  const sliding = raw.model_type === 'mistral' || (raw.model_type === 'qwen2' && raw.use_sliding_window === true) ? raw.sliding_window : null;
  return {
    family: 'llama',
    layout: 'huggingface',
    hiddenSize: raw.hidden_size,
    embedSize: raw.hidden_size,
    intermediateSize: raw.intermediate_size,
    numLayers: raw.num_hidden_layers,
    numHeads: raw.num_attention_heads,
    numKvHeads,
    headDim,
    vocabSize: raw.vocab_size,
    // Differs: within its first window a sliding-window model is an ordinary one, so the context ends there.
    contextWindow: Math.min(raw.max_position_embeddings, sliding ?? Infinity, longestContext),
    bosTokenId: raw.bos_token_id ?? null,
    eosTokenIds: eosIds(generationEos ?? raw.eos_token_id),
    rmsNormEpsilon: raw.rms_norm_eps,
    ropeTheta: raw.rope_parameters?.rope_theta ?? raw.rope_theta ?? 10_000,
    qkvBias: raw.model_type === 'qwen2' || raw.attention_bias === true,
    outputBias: raw.model_type !== 'qwen2' && raw.attention_bias === true,
    mlpBias: raw.mlp_bias === true,
    tiedHead: raw.tie_word_embeddings ?? false,
  };
}

function optConfig(raw: z.infer<typeof optSchema>, generationEos: number | number[] | null, where: string): OptConfig {
  const activation = raw.activation_function;
  if (activation !== 'relu' && activation !== 'gelu' && activation !== 'gelu_new') throw unsupported(where, `its activation_function is ${activation}`, 'relu, gelu and gelu_new are supported');
  const headDim = raw.hidden_size / raw.num_attention_heads;
  if (!Number.isInteger(headDim)) throw unsupported(where, `${raw.num_attention_heads} heads do not divide its width ${raw.hidden_size}`, 'check config.json');
  const embedSize = raw.word_embed_proj_dim ?? raw.hidden_size;
  return {
    family: 'opt',
    hiddenSize: embedSize,
    embedSize,
    innerSize: raw.hidden_size,
    ffnSize: raw.ffn_dim,
    numLayers: raw.num_hidden_layers,
    numHeads: raw.num_attention_heads,
    numKvHeads: raw.num_attention_heads,
    headDim,
    vocabSize: raw.vocab_size,
    contextWindow: raw.max_position_embeddings,
    bosTokenId: raw.bos_token_id ?? 2,
    eosTokenIds: eosIds(generationEos ?? raw.eos_token_id ?? 2),
    activation,
    preNorm: raw.do_layer_norm_before,
    finalNorm: raw.do_layer_norm_before && !raw._remove_final_layer_norm,
    bias: raw.enable_bias,
    normAffine: raw.layer_norm_elementwise_affine,
    tiedHead: raw.tie_word_embeddings ?? true,
  };
}

function configFromGguf(store: WeightStore, where: string): LlamaConfig {
  const meta = store.metadata;
  const architecture = meta['general.architecture'];
  if (architecture !== 'llama') throw unsupported(where, `its general.architecture is ${JSON.stringify(architecture)}`, 'GGUF files of the llama architecture are supported');
  if (store.tensors.has('rope_freqs.weight')) throw unsupported(where, 'its rotary positions are scaled (rope_freqs.weight)', 'only the default type is supported');
  const scaling = meta['llama.rope.scaling.type'] ?? 'none';
  if (scaling !== 'none') throw unsupported(where, `its rotary positions are scaled (${JSON.stringify(scaling)})`, 'only the default type is supported');
  const number = (key: string, fallback?: number): number => {
    const value = meta[key] ?? fallback;
    const result = typeof value === 'bigint' ? Number(value) : value;
    if (typeof result !== 'number' || !(result > 0)) throw new FromageError({ code: 'MODEL_CONFIG_INVALID', what: `${where}: ${key} is ${JSON.stringify(result ?? null)}`, why: 'a positive number is needed' });
    return result;
  };
  const whole = (key: string, fallback?: number): number => {
    const value = number(key, fallback);
    if (!Number.isSafeInteger(value)) throw new FromageError({ code: 'MODEL_CONFIG_INVALID', what: `${where}: ${key} is ${value}`, why: 'a whole number is needed' });
    return value;
  };
  const token = (key: string): number | null => {
    const value = meta[key];
    return typeof value === 'number' || typeof value === 'bigint' ? Number(value) : null;
  };
  const hiddenSize = whole('llama.embedding_length');
  const numHeads = whole('llama.attention.head_count');
  const numKvHeads = whole('llama.attention.head_count_kv', numHeads);
  checkHeads(numHeads, numKvHeads, where);
  const headDim = whole('llama.attention.key_length', hiddenSize / numHeads);
  if (whole('llama.rope.dimension_count', headDim) !== headDim || !Number.isInteger(headDim) || headDim % 2 !== 0) {
    throw unsupported(where, `it rotates ${String(meta['llama.rope.dimension_count'])} of ${headDim} numbers of a head`, 'rotation of whole heads of even width is supported');
  }
  const blockCount = whole('llama.block_count');
  if (blockCount > mostLayers) throw new FromageError({ code: 'MODEL_CONFIG_INVALID', what: `${where}: llama.block_count is ${blockCount}`, why: `at most ${mostLayers} layers are taken` });
  const table = store.locate('token_embd.weight');
  const eos = token('tokenizer.ggml.eos_token_id');
  return {
    family: 'llama',
    layout: 'gguf',
    hiddenSize,
    embedSize: hiddenSize,
    intermediateSize: whole('llama.feed_forward_length'),
    numLayers: blockCount,
    numHeads,
    numKvHeads,
    headDim,
    vocabSize: table.shape[0] ?? whole('llama.vocab_size'),
    contextWindow: Math.min(whole('llama.context_length'), longestContext),
    bosTokenId: token('tokenizer.ggml.bos_token_id'),
    eosTokenIds: eosIds(eos),
    rmsNormEpsilon: number('llama.attention.layer_norm_rms_epsilon'),
    ropeTheta: number('llama.rope.freq_base', 10_000),
    qkvBias: store.tensors.has('blk.0.attn_q.bias'),
    outputBias: store.tensors.has('blk.0.attn_output.bias'),
    mlpBias: store.tensors.has('blk.0.ffn_up.bias'),
    tiedHead: !store.tensors.has('output.weight'),
  };
}

function checkHeads(heads: number, kvHeads: number, where: string): void {
  if (heads % kvHeads !== 0) throw unsupported(where, `${kvHeads} key/value heads do not divide ${heads} heads`, 'check its configuration');
}

function eosIds(ids: number | readonly number[] | null | undefined): number[] {
  return ids === null || ids === undefined ? [] : typeof ids === 'number' ? [ids] : [...ids];
}

function parse<T>(schema: z.ZodType<T>, value: unknown, where: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new FromageError({ code: 'MODEL_CONFIG_INVALID', what: `${where}: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'is not a configuration'}`, todo: 'check config.json' });
}

function readJson(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw new FromageError({ code: 'MODEL_CONFIG_MISSING', what: `${file} cannot be read as JSON`, todo: "name a folder in Hugging Face's layout, or a GGUF file", cause });
  }
}

function unsupported(where: string, what: string, todo: string): FromageError {
  return new FromageError({ code: 'MODEL_UNSUPPORTED', what: `${where}: ${what}`, todo });
}
