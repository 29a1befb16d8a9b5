// Opens the tokenizer of a Hugging Face model folder: tokenizer.json, or GPT-2's vocab.json + merges.txt
// as OPT's repositories have it, with tokenizer_config.json and special_tokens_map.json beside it.
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { FromageError } from '../errors.ts';
import type { AddedTokenSpec, TokenizerJson } from './spec.ts';
import { createTokenizer } from './tokenizer.ts';
import type { Tokenizer } from './types.ts';

const byteLimit = 256 * 1024 * 1024;

const content = z.union([z.string(), z.object({ content: z.string() }).transform((token) => token.content)]).nullish();
const id = z.number().int().nonnegative().max(0xffffff);
const addedToken = z.object({ content: z.string(), special: z.boolean().default(false), lstrip: z.boolean().default(false), rstrip: z.boolean().default(false), normalized: z.boolean().default(false), single_word: z.boolean().default(false) });

const configSchema = z.object({
  bos_token: content,
  eos_token: content,
  pad_token: content,
  unk_token: content,
  add_bos_token: z.boolean().nullish(),
  add_prefix_space: z.boolean().nullish(),
  tokenizer_class: z.string().nullish(),
  chat_template: z.union([z.string(), z.array(z.object({ name: z.string(), template: z.string() }))]).nullish(),
  added_tokens_decoder: z.record(z.string().regex(/^\d+$/), addedToken).nullish(),
});
type TokenizerConfig = z.infer<typeof configSchema>;

const jsonSchema = z.looseObject({
  added_tokens: z.array(z.looseObject({ id, ...addedToken.shape })).default([]),
  normalizer: z.unknown().default(null),
  pre_tokenizer: z.unknown().default(null),
  post_processor: z.unknown().default(null),
  decoder: z.unknown().default(null),
  model: z.looseObject({ type: z.enum(['BPE', 'Unigram', 'WordPiece']).optional(), vocab: z.union([z.record(z.string(), id), z.array(z.tuple([z.string(), z.number()]))]), merges: z.array(z.union([z.string(), z.tuple([z.string(), z.string()])])).optional() }),
});
const vocabSchema = z.record(z.string(), id);

/**
 * @param folder holds tokenizer.json, or vocab.json and merges.txt
 * @throws FromageError `TOKENIZER_MISSING` without either, `TOKENIZER_FILE` when a file is not what it should be
 */
export function openTokenizer(folder: string): Tokenizer {
  const config: TokenizerConfig = { ...read(folder, 'special_tokens_map.json', configSchema), ...read(folder, 'tokenizer_config.json', configSchema) };
  const json = existsSync(join(folder, 'tokenizer.json')) ? (read(folder, 'tokenizer.json', jsonSchema) as TokenizerJson) : gpt2Json(folder, config);
  return createTokenizer({
    json,
    bosToken: config.bos_token ?? null,
    eosToken: config.eos_token ?? null,
    padToken: config.pad_token ?? null,
    addBosToken: config.add_bos_token ?? null,
    chatTemplate: chatTemplate(folder, config),
    origin: folder,
  });
}

function gpt2Json(folder: string, config: TokenizerConfig): TokenizerJson {
  const { vocab, merges } = readVocabAndMerges(folder);
  return {
    added_tokens: addedTokens(vocab, config, read(folder, 'added_tokens.json', vocabSchema) ?? {}),
    normalizer: null,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: config.add_prefix_space ?? false, trim_offsets: true, use_regex: true },
    post_processor: null,
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: { type: 'BPE', vocab, merges },
  };
}

export interface PairEncoding {
  readonly vocab: Readonly<Record<string, number>>;
  readonly merges: readonly (string | readonly [string, string])[];
}

/**
 * Vocabulary (added tokens among it) and merges of byte-pair encoding, from whichever files hold them.
 *
 * @throws FromageError as `openTokenizer`
 */
export function readPairEncoding(folder: string): PairEncoding {
  const json = read(folder, 'tokenizer.json', jsonSchema);
  if (json === undefined) return readVocabAndMerges(folder);
  const { vocab, merges } = json.model;
  if (Array.isArray(vocab) || merges === undefined) throw badFile(join(folder, 'tokenizer.json'), 'it is no byte-pair encoding');
  return { vocab: { ...vocab, ...Object.fromEntries(json.added_tokens.map((token) => [token.content, token.id])) }, merges };
}

function readVocabAndMerges(folder: string): { readonly vocab: Readonly<Record<string, number>>; readonly merges: readonly string[] } {
  const vocab = read(folder, 'vocab.json', vocabSchema);
  const mergesFile = join(folder, 'merges.txt');
  if (vocab === undefined || !existsSync(mergesFile)) {
    throw new FromageError({ code: 'TOKENIZER_MISSING', what: `${folder} has no tokenizer.json and no vocab.json with merges.txt`, todo: 'download the tokenizer files of the model into this folder' });
  }
  const lines = readText(mergesFile).split(/\r?\n/);
  const merges = (lines[0]?.startsWith('#version') ? lines.slice(1) : lines).filter((line) => line !== '');
  const broken = merges.find((line) => line.split(' ').length !== 2);
  if (broken !== undefined) throw badFile(mergesFile, `the line ${JSON.stringify(broken.slice(0, 80))} is not a pair`);
  return { vocab, merges };
}

/** The roles of the configuration (bos, eos, pad, unk) and whatever it lists by id. */
function addedTokens(vocab: Readonly<Record<string, number>>, config: TokenizerConfig, more: Readonly<Record<string, number>>): AddedTokenSpec[] {
  const byId = new Map<number, AddedTokenSpec>();
  for (const [token, number] of Object.entries(more)) byId.set(number, { id: number, content: token, special: false, normalized: false });
  for (const [number, token] of Object.entries(config.added_tokens_decoder ?? {})) byId.set(Number(number), { id: Number(number), ...token });
  const listed = new Set([...byId.values()].map((token) => token.content));
  for (const token of [config.bos_token, config.eos_token, config.pad_token, config.unk_token]) {
    const number = token == null || !Object.hasOwn(vocab, token) ? undefined : vocab[token];
    if (token != null && number !== undefined && !listed.has(token)) byId.set(number, { id: number, content: token, special: true, normalized: false });
  }
  return [...byId.values()];
}

function chatTemplate(folder: string, config: TokenizerConfig): string | null {
  const file = join(folder, 'chat_template.jinja');
  if (existsSync(file)) return readText(file);
  const template = config.chat_template;
  if (typeof template === 'string') return template;
  return template?.find((entry) => entry.name === 'default')?.template ?? null;
}

function read<T>(folder: string, name: string, schema: z.ZodType<T>): T | undefined {
  const file = join(folder, name);
  if (!existsSync(file)) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(readText(file));
  } catch (cause) {
    if (cause instanceof FromageError) throw cause;
    throw badFile(file, 'it is not JSON');
  }
  const result = schema.safeParse(value);
  if (!result.success) throw badFile(file, z.prettifyError(result.error).slice(0, 300));
  return result.data;
}

function readText(file: string): string {
  const { size } = statSync(file);
  if (size > byteLimit) throw badFile(file, `it has ${size} bytes, more than ${byteLimit}`);
  return readFileSync(file, 'utf8');
}

function badFile(file: string, why: string): FromageError {
  return new FromageError({ code: 'TOKENIZER_FILE', what: `${file} cannot be read as a tokenizer file`, why, todo: 'download it again' });
}
