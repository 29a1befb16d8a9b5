// The tokenizer over @huggingface/tokenizers: two library instances of one vocabulary (one parses special
// tokens, one does not know them), decoding by bytes, and FROMAGe's own tokens.
import { Tokenizer as LibraryTokenizer } from '@huggingface/tokenizers';
import { FromageError } from '../errors.ts';
import { byteCharacters, bytesOfToken } from './byte-alphabet.ts';
import { encodePieces } from './encode-pieces.ts';
import type { AddedTokenSpec, TokenizerJson, TokenizerSpec } from './spec.ts';
import { createByteStream, createPrefixStream, newDecoder } from './text-stream.ts';
import type { DecodeOptions, Tokenizer } from './types.ts';

const classicSpecials = ['<s>', '</s>', '<pad>', '<unk>', '<mask>'];

/** Which tokens are FROMAGe's; contents as the authors spell them. */
export const retToken = '[RET]';
export const imageToken = '<|image|>';

const specs = new WeakMap<Tokenizer, TokenizerSpec>();

/**
 * Makes a tokenizer from a tokenizer.json object and what stands around it.
 *
 * @throws FromageError `TOKENIZER_FILE` when the library refuses the description
 */
export function createTokenizer(spec: TokenizerSpec): Tokenizer {
  const { json } = spec;
  const entries = vocabularyEntries(json);
  const added = new Map(json.added_tokens.map((token) => [token.id, token]));
  const contents: (string | undefined)[] = [];
  for (const [token, id] of entries) contents[id] = token;
  for (const token of json.added_tokens) contents[token.id] = token.content;
  const idByContent = new Map(contents.flatMap((content, id) => (content === undefined ? [] : [[content, id] as const])));

  const reserved = reservedTokens(json, spec, idByContent);
  // Opened at first use: an instance of a large vocabulary takes a hundred milliseconds.
  const trusted = lazily(() => openLibrary(json, spec.origin));
  const user = lazily(() => openLibrary(withoutTokens(json, reserved), spec.origin));
  const roles = [spec.bosToken, spec.eosToken, spec.padToken].flatMap((content) => (content === null ? [] : [idByContent.get(content)]));
  const special = new Set([...json.added_tokens.filter((token) => token.special).map((token) => token.id), ...roles]);

  const byteLevel = isByteLevel(json.decoder);
  const makeEncodable = byteLevel ? replaceMissingBytes(idByContent) : (text: string) => text;
  const bytes: (Uint8Array | undefined)[] = [];
  const tokenBytes = (id: number): Uint8Array => {
    const token = contents[id];
    if (token === undefined) return new Uint8Array(0);
    return (bytes[id] ??= added.has(id) ? new TextEncoder().encode(token) : bytesOfToken(token));
  };
  const idOf = (content: string | null): number | null => (content === null ? null : (idByContent.get(content) ?? null));
  const retId = added.get(idByContent.get(retToken) ?? -1)?.id ?? null;
  const keep = ({ skipSpecial = true, skipRet = false }: DecodeOptions) => (id: number): boolean =>
    contents[id] !== undefined && !(skipSpecial && special.has(id)) && !(skipRet && id === retId);
  const decodeAny = (ids: readonly number[]): string => (ids.length === 0 ? '' : trusted().decode([...ids], { skip_special_tokens: false, clean_up_tokenization_spaces: false }));

  const tokenizer: Tokenizer = {
    vocabSize: contents.length,
    bosTokenId: idOf(spec.bosToken),
    eosTokenId: idOf(spec.eosToken),
    padTokenId: idOf(spec.padToken),
    beginIds: beginIds(spec, trusted, idOf(spec.bosToken)),
    retTokenId: retId,
    imageTokenId: added.get(idByContent.get(imageToken) ?? -1)?.id ?? null,
    reservedIds: new Set(reserved.values()),
    chatTemplate: spec.chatTemplate,
    encode(text, { trusted: parse, begin = false }) {
      const library = parse ? trusted() : user();
      const ids = library.encode(makeEncodable(text.toWellFormed()), { add_special_tokens: false }).ids;
      return begin ? [...this.beginIds, ...ids] : ids;
    },
    encodePieces: (pieces) => encodePieces(tokenizer, pieces, json.added_tokens),
    decode(ids, options = {}) {
      const kept = ids.filter(keep(options));
      if (!byteLevel) return decodeAny(kept);
      return newDecoder().decode(Buffer.concat(kept.map(tokenBytes)));
    },
    createTextStream(options = {}) {
      const kept = keep(options);
      if (byteLevel) return createByteStream((id) => (kept(id) ? tokenBytes(id) : null));
      return createPrefixStream((ids) => decodeAny(ids.filter(kept)));
    },
    tokenId: (token) => idOf(token),
    token: (id) => contents[id] ?? null,
  };
  specs.set(tokenizer, spec);
  return tokenizer;
}

/**
 * The same tokenizer with the authors' two tokens appended: `<|image|>` (special) and then [RET], or
 * [RET] alone where the adapter was made without the first.
 *
 * @param retTokenId the adapter's `retrieval_token_idx`
 * @throws FromageError `TOKENIZER_RET_ID` when that id is neither the first nor the second free one
 */
export function withFromageTokens(tokenizer: Tokenizer, retTokenId: number): Tokenizer {
  if (tokenizer.retTokenId === retTokenId) return tokenizer;
  const spec = specs.get(tokenizer);
  const size = tokenizer.vocabSize;
  if (spec === undefined || tokenizer.retTokenId !== null || (retTokenId !== size && retTokenId !== size + 1)) {
    throw new FromageError({
      code: 'TOKENIZER_RET_ID',
      what: `the adapter has [RET] at id ${retTokenId}, the tokenizer has ${size} entries${tokenizer.retTokenId === null ? '' : ` and [RET] at ${tokenizer.retTokenId}`}`,
      why: '[RET] is appended after the vocabulary, after <|image|> where there is one',
      todo: 'use the adapter with the language model that it was trained for',
    });
  }
  const image: AddedTokenSpec[] = retTokenId === size ? [] : [{ id: size, content: imageToken, special: true, normalized: false }];
  const ret: AddedTokenSpec = { id: retTokenId, content: retToken, special: false, normalized: false };
  return createTokenizer({ ...spec, json: { ...spec.json, added_tokens: [...spec.json.added_tokens, ...image, ret] } });
}

function openLibrary(json: TokenizerJson, origin: string): LibraryTokenizer {
  try {
    return new LibraryTokenizer(json, {});
  } catch (cause) {
    throw new FromageError({ code: 'TOKENIZER_FILE', what: `the tokenizer of ${origin} cannot be used: ${cause instanceof Error ? cause.message : String(cause)}`, todo: 'check that its files are complete', cause });
  }
}

function lazily<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => (made ??= { value: make() }).value;
}

function vocabularyEntries(json: TokenizerJson): (readonly [string, number])[] {
  const { vocab } = json.model;
  // Unigram keeps [token, score] pairs whose place is the id.
  return Array.isArray(vocab) ? vocab.map(([token], id) => [token, id] as const) : Object.entries(vocab as Readonly<Record<string, number>>);
}

/** Every added token but runs of white space, and the classic markers where the vocabulary has them. */
function reservedTokens(json: TokenizerJson, spec: TokenizerSpec, idByContent: ReadonlyMap<string, number>): Map<string, number> {
  const reserved = new Map<string, number>();
  for (const token of json.added_tokens) if (token.content.trim() !== '') reserved.set(token.content, token.id);
  for (const content of [...classicSpecials, spec.bosToken, spec.eosToken, spec.padToken]) {
    const id = content === null ? undefined : idByContent.get(content);
    if (content !== null && id !== undefined) reserved.set(content, id);
  }
  return reserved;
}

/** The description without these tokens and without any merge that would build one: no text leads to them. */
function withoutTokens(json: TokenizerJson, reserved: ReadonlyMap<string, number>): TokenizerJson {
  const { vocab, merges } = json.model;
  const keptMerges = merges?.filter((merge) => !reserved.has(typeof merge === 'string' ? merge.replace(' ', '') : merge.join('')));
  const keptVocab = Array.isArray(vocab) ? vocab : Object.fromEntries(Object.entries(vocab as Readonly<Record<string, number>>).filter(([token]) => !reserved.has(token)));
  return {
    ...json,
    added_tokens: json.added_tokens.filter((token) => !reserved.has(token.content)),
    model: { ...json.model, vocab: keptVocab, ...(keptMerges === undefined ? {} : { merges: keptMerges }) },
  };
}

function beginIds(spec: TokenizerSpec, library: () => LibraryTokenizer, bos: number | null): readonly number[] {
  if (spec.addBosToken === true) return bos === null ? [] : [bos];
  if (spec.addBosToken === false || spec.json.post_processor === null) return [];
  return library().encode('', { add_special_tokens: true }).ids;
}

function isByteLevel(decoder: unknown): boolean {
  if (typeof decoder !== 'object' || decoder === null) return false;
  const { type, decoders } = decoder as { type?: unknown; decoders?: unknown };
  return type === 'ByteLevel' || (type === 'Sequence' && Array.isArray(decoders) && decoders.length === 1 && isByteLevel(decoders[0]));
}

/** Some vocabularies lack bytes (SmolLM2's lacks 0xf1 and a few control characters): their characters become U+FFFD. */
function replaceMissingBytes(idByContent: ReadonlyMap<string, number>): (text: string) => string {
  const missing = new Set(byteCharacters.flatMap((character, byte) => (idByContent.has(character) ? [] : [byte])));
  if (missing.size === 0) return (text) => text;
  const encoder = new TextEncoder();
  const lacks = (text: string): boolean => encoder.encode(text).some((byte) => missing.has(byte));
  return (text) => (lacks(text) ? Array.from(text, (character) => (lacks(character) ? '\ufffd' : character)).join('') : text);
}
