// Writes tiny random language models as folders in the layout of Hugging Face: config, weights and a
// byte-level tokenizer (one token per byte). Small enough that tests run them through the real engine.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { normal, normals } from './random.ts';
import { type TinyDType, type TinyTensor, writeCheckpoint } from './safetensors.ts';

export interface TinyStorage {
  readonly dtype?: TinyDType;
  readonly shards?: number;
}

/** What was written: Hugging Face's config.json and the tensors by their names, before rounding. */
export interface TinyModel {
  readonly config: Readonly<Record<string, unknown>>;
  readonly tensors: ReadonlyMap<string, TinyTensor>;
}

/** Special tokens of the tiny Llama; the 256 bytes follow. */
export const tinyLlamaTokens = ['<|endoftext|>', '<|im_start|>', '<|im_end|>'] as const;
/** Special tokens of the tiny OPT; the 256 bytes follow. */
export const tinyOptTokens = ['<s>', '<pad>', '</s>', '<unk>'] as const;

const chatTemplate =
  "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

/**
 * A Llama with 2 layers, width 32, 4 heads over 2 key/value heads, tied head, 259 tokens.
 *
 * @param overrides keys of config.json to change; tensor shapes follow them
 */
export function writeTinyLlama(folder: string, seed: number, overrides: Readonly<Record<string, unknown>> = {}, storage: TinyStorage = {}): TinyModel {
  const config = {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    hidden_size: 32,
    intermediate_size: 64,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    head_dim: 8,
    hidden_act: 'silu',
    attention_bias: false,
    mlp_bias: false,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    max_position_embeddings: 512,
    vocab_size: tinyLlamaTokens.length + 256,
    tie_word_embeddings: true,
    bos_token_id: 1,
    eos_token_id: 2,
    ...overrides,
  };
  const { hidden_size: width, intermediate_size: inner, head_dim: headDim, vocab_size: vocab } = config;
  const queries = config.num_attention_heads * headDim;
  const keys = config.num_key_value_heads * headDim;
  const make = tensorMaker(seed);
  make.matrix('model.embed_tokens.weight', vocab, width, 1);
  for (let i = 0; i < config.num_hidden_layers; i++) {
    const at = `model.layers.${i}`;
    const qkvBias = config.attention_bias || config.model_type === 'qwen2';
    make.scale(`${at}.input_layernorm.weight`, width);
    for (const [name, rows] of [['q_proj', queries], ['k_proj', keys], ['v_proj', keys]] as const) {
      make.matrix(`${at}.self_attn.${name}.weight`, rows, width);
      if (qkvBias) make.bias(`${at}.self_attn.${name}.bias`, rows);
    }
    make.matrix(`${at}.self_attn.o_proj.weight`, width, queries);
    if (config.attention_bias) make.bias(`${at}.self_attn.o_proj.bias`, width);
    make.scale(`${at}.post_attention_layernorm.weight`, width);
    for (const [name, rows, columns] of [['gate_proj', inner, width], ['up_proj', inner, width], ['down_proj', width, inner]] as const) {
      make.matrix(`${at}.mlp.${name}.weight`, rows, columns);
      if (config.mlp_bias) make.bias(`${at}.mlp.${name}.bias`, rows);
    }
  }
  make.scale('model.norm.weight', width);
  if (!config.tie_word_embeddings) make.matrix('lm_head.weight', vocab, width);
  write(folder, config, make.tensors, storage);
  writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify(byteTokenizer(tinyLlamaTokens)));
  writeFileSync(
    join(folder, 'tokenizer_config.json'),
    JSON.stringify({ tokenizer_class: 'GPT2Tokenizer', bos_token: '<|im_start|>', eos_token: '<|im_end|>', unk_token: '<|endoftext|>', pad_token: '<|im_end|>', add_bos_token: false, chat_template: chatTemplate }),
  );
  return { config, tensors: make.tensors };
}

/**
 * An OPT with 2 pre-norm layers, width 32, 4 heads, 260 tokens; `word_embed_proj_dim` and
 * `do_layer_norm_before: false` make the form of opt-350m.
 *
 * @param overrides keys of config.json to change; tensor shapes follow them
 */
export function writeTinyOpt(folder: string, seed: number, overrides: Readonly<Record<string, unknown>> = {}, storage: TinyStorage = {}): TinyModel {
  const width = (overrides['hidden_size'] as number | undefined) ?? 32;
  const config = {
    _remove_final_layer_norm: false,
    activation_function: 'relu',
    architectures: ['OPTForCausalLM'],
    model_type: 'opt',
    do_layer_norm_before: true,
    enable_bias: true,
    layer_norm_elementwise_affine: true,
    ffn_dim: 64,
    hidden_size: width,
    max_position_embeddings: 512,
    num_attention_heads: 4,
    num_hidden_layers: 2,
    vocab_size: tinyOptTokens.length + 256,
    word_embed_proj_dim: width,
    tie_word_embeddings: true,
    bos_token_id: 2,
    eos_token_id: 2,
    pad_token_id: 1,
    ...overrides,
  };
  const make = tensorMaker(seed);
  const at = 'model.decoder';
  const norm = (name: string) => {
    if (!config.layer_norm_elementwise_affine) return;
    make.scale(`${name}.weight`, width);
    make.bias(`${name}.bias`, width);
  };
  const linear = (name: string, rows: number, columns: number) => {
    make.matrix(`${name}.weight`, rows, columns);
    if (config.enable_bias) make.bias(`${name}.bias`, rows);
  };
  make.matrix(`${at}.embed_tokens.weight`, config.vocab_size, config.word_embed_proj_dim, 1);
  make.matrix(`${at}.embed_positions.weight`, config.max_position_embeddings + 2, width, 0.3);
  if (config.word_embed_proj_dim !== width) {
    make.matrix(`${at}.project_in.weight`, width, config.word_embed_proj_dim);
    make.matrix(`${at}.project_out.weight`, config.word_embed_proj_dim, width);
  }
  for (let i = 0; i < config.num_hidden_layers; i++) {
    const layer = `${at}.layers.${i}`;
    for (const name of ['q_proj', 'k_proj', 'v_proj', 'out_proj']) linear(`${layer}.self_attn.${name}`, width, width);
    norm(`${layer}.self_attn_layer_norm`);
    linear(`${layer}.fc1`, config.ffn_dim, width);
    linear(`${layer}.fc2`, width, config.ffn_dim);
    norm(`${layer}.final_layer_norm`);
  }
  if (config.do_layer_norm_before && !config._remove_final_layer_norm) norm(`${at}.final_layer_norm`);
  if (!config.tie_word_embeddings) make.matrix('lm_head.weight', config.vocab_size, config.word_embed_proj_dim);
  write(folder, config, make.tensors, storage);
  const { vocab } = byteTokenizer(tinyOptTokens).model;
  writeFileSync(join(folder, 'vocab.json'), JSON.stringify(vocab));
  writeFileSync(join(folder, 'merges.txt'), '#version: 0.2\n');
  writeFileSync(
    join(folder, 'tokenizer_config.json'),
    JSON.stringify({ tokenizer_class: 'GPT2Tokenizer', add_prefix_space: false, add_bos_token: true, bos_token: '</s>', eos_token: '</s>', unk_token: '<unk>', pad_token: '<pad>', errors: 'replace' }),
  );
  writeFileSync(join(folder, 'special_tokens_map.json'), JSON.stringify({ bos_token: '</s>', eos_token: '</s>', unk_token: '<unk>', pad_token: '<pad>' }));
  return { config, tensors: make.tensors };
}

function write(folder: string, config: Readonly<Record<string, unknown>>, tensors: ReadonlyMap<string, TinyTensor>, storage: TinyStorage): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config, null, 2));
  writeCheckpoint(folder, tensors, storage.dtype, storage.shards);
}

/** Random tensors of a seed, in the order they are asked for. */
function tensorMaker(seed: number) {
  const next = normal(seed);
  const tensors = new Map<string, TinyTensor>();
  return {
    tensors,
    matrix(name: string, rows: number, columns: number, deviation = 1.5 / Math.sqrt(columns)) {
      tensors.set(name, { shape: [rows, columns], data: normals(next, rows * columns, deviation) });
    },
    scale(name: string, length: number) {
      tensors.set(name, { shape: [length], data: normals(next, length, 0.1, 1) });
    },
    bias(name: string, length: number) {
      tensors.set(name, { shape: [length], data: normals(next, length, 0.1) });
    },
  };
}

/** A tokenizer.json whose tokens are the special ones and then one per byte, without merges. */
function byteTokenizer(special: readonly string[]) {
  const vocab: Record<string, number> = {};
  special.forEach((token, id) => (vocab[token] = id));
  byteSymbols().forEach((symbol, byte) => (vocab[symbol] = special.length + byte));
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: special.map((content, id) => ({ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true })),
    normalizer: null,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
    post_processor: null,
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: { type: 'BPE', dropout: null, unk_token: null, continuing_subword_prefix: '', end_of_word_suffix: '', fuse_unk: false, byte_fallback: false, vocab, merges: [] as string[] },
  };
}

/** GPT-2's printable stand-in for each byte. */
function byteSymbols(): string[] {
  const printable = (byte: number) => (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  let stand = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(printable(byte) ? byte : stand++));
}
