// The tokenizer that a GGUF file carries in its metadata: byte-level BPE with the pre-tokenizer named by
// `tokenizer.ggml.pre`.
import { FromageError } from '../errors.ts';
import type { AddedTokenSpec, TokenizerJson } from './spec.ts';
import { createTokenizer } from './tokenizer.ts';
import type { Tokenizer } from './types.ts';

const gpt2 = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };
// The library's own Digits step knows only ASCII digits; the original splits off every numeric character.
const digitsThenGpt2 = { type: 'Sequence', pretokenizers: [isolate(String.raw`\p{N}`), gpt2] };
const llama3 = splitThenBytes(String.raw`'(?:[sS]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`);
const qwen2 = splitThenBytes(String.raw`'(?:[sS]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`);

const preTokenizers: Readonly<Record<string, unknown>> = {
  'gpt-2': gpt2,
  mpt: gpt2,
  olmo: gpt2,
  jais: gpt2,
  smollm: digitsThenGpt2,
  starcoder: digitsThenGpt2,
  refact: digitsThenGpt2,
  'command-r': digitsThenGpt2,
  'llama-bpe': llama3,
  'llama-v3': llama3,
  llama3,
  qwen2,
  stablelm2: qwen2,
  'deepseek-r1-qwen': qwen2,
};

// llama.cpp's token types: 3 is a control token, 4 one that a user defined.
const control = 3;
const userDefined = 4;

/**
 * @param metadata keys and values of the GGUF header
 * @param origin named in errors
 * @throws FromageError `TOKENIZER_UNSUPPORTED` for another kind of vocabulary, `TOKENIZER_FILE` for missing or ill-typed keys
 */
export function tokenizerFromGguf(metadata: Readonly<Record<string, unknown>>, origin: string): Tokenizer {
  const kind = metadata['tokenizer.ggml.model'];
  const pre = metadata['tokenizer.ggml.pre'] ?? 'gpt-2';
  const preTokenizer = typeof pre === 'string' && Object.hasOwn(preTokenizers, pre) ? preTokenizers[pre] : undefined;
  if (kind !== 'gpt2' || preTokenizer === undefined) {
    throw new FromageError({
      code: 'TOKENIZER_UNSUPPORTED',
      what: `${origin} has a tokenizer of model ${JSON.stringify(kind)}, pre-tokenizer ${JSON.stringify(pre)}`,
      why: `only byte-level BPE ("gpt2") is read from GGUF, with one of ${Object.keys(preTokenizers).join(', ')}`,
      todo: 'put the tokenizer.json of the original model beside the file and open the folder',
    });
  }
  const tokens = strings(metadata, 'tokenizer.ggml.tokens', origin);
  const merges = strings(metadata, 'tokenizer.ggml.merges', origin);
  const types = numbers(metadata['tokenizer.ggml.token_type']);
  const added: AddedTokenSpec[] = [];
  const vocab: Record<string, number> = Object.create(null);
  for (const [id, token] of tokens.entries()) {
    if (types[id] === control || types[id] === userDefined) added.push({ id, content: token, special: types[id] === control, normalized: false });
    else vocab[token] = id;
  }
  const json: TokenizerJson = {
    added_tokens: added,
    normalizer: null,
    pre_tokenizer: preTokenizer,
    post_processor: null,
    decoder: gpt2,
    model: { type: 'BPE', vocab, merges, ignore_merges: preTokenizer === llama3 },
  };
  const tokenAt = (key: string): string | null => {
    const id = metadata[key];
    return typeof id === 'number' ? (tokens[id] ?? null) : null;
  };
  const template = metadata['tokenizer.chat_template'];
  return createTokenizer({
    json,
    bosToken: tokenAt('tokenizer.ggml.bos_token_id'),
    eosToken: tokenAt('tokenizer.ggml.eos_token_id'),
    padToken: tokenAt('tokenizer.ggml.padding_token_id'),
    addBosToken: metadata['tokenizer.ggml.add_bos_token'] === true,
    chatTemplate: typeof template === 'string' ? template : null,
    origin,
  });
}

function isolate(regex: string): unknown {
  return { type: 'Split', pattern: { Regex: regex }, behavior: 'Isolated', invert: false };
}

function splitThenBytes(regex: string): unknown {
  return { type: 'Sequence', pretokenizers: [isolate(regex), { ...gpt2, use_regex: false }] };
}

function strings(metadata: Readonly<Record<string, unknown>>, key: string, origin: string): readonly string[] {
  const value = metadata[key];
  if (Array.isArray(value) && value.every((entry) => typeof entry === 'string')) return value;
  throw new FromageError({ code: 'TOKENIZER_FILE', what: `${origin} has no list of strings under ${key}`, todo: 'use a GGUF file that carries its tokenizer' });
}

function numbers(value: unknown): ArrayLike<number> {
  return Array.isArray(value) || ArrayBuffer.isView(value) ? (value as unknown as ArrayLike<number>) : [];
}
