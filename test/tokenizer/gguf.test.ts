// The starter's tokenizer as its GGUF carries it: golden ids, a vocabulary that lacks bytes, long texts.
import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { beforeAll, expect, test } from '@jest/globals';
import fc from '../setup/seeded.ts';
import { openGguf } from '../../src/formats/index.ts';
import { tokenizerFromGguf, withFromageTokens, type Tokenizer } from '../../src/tokenizer/index.ts';

const starter = resolve(import.meta.dirname, '../../models/starter/SmolLM2-135M-Instruct.Q4_1.gguf');
const expectedFile = resolve(import.meta.dirname, '../../../shared/golden/starter/expected.json');
const withGolden = existsSync(expectedFile) ? test : test.skip; // skipped where ../shared is not there

let metadata: Readonly<Record<string, unknown>>;
let tokenizer: Tokenizer;
beforeAll(() => {
  const store = openGguf(starter);
  metadata = store.metadata;
  store.close();
  tokenizer = withFromageTokens(tokenizerFromGguf(metadata, 'the starter'), 49_152);
});

withGolden('gives the ids of the original tokenizer, digits one by one', () => {
  const expected = JSON.parse(readFileSync(expectedFile, 'utf8')) as { tokenize: { text: string; ids: number[]; decoded: string }[]; language_model: { prompt: string; ids: number[] }[] };
  const plain = tokenizerFromGguf(metadata, 'the starter');
  for (const { text, ids, decoded } of expected.tokenize) {
    expect(plain.encode(text, { trusted: true })).toEqual(ids);
    expect(plain.decode(ids, { skipSpecial: false })).toBe(decoded);
  }
  for (const { prompt, ids } of expected.language_model) expect(plain.encode(prompt, { trusted: true })).toEqual(ids);
});

test('knows its special tokens, its template, and [RET] after the last entry', () => {
  expect(tokenizer).toMatchObject({ bosTokenId: 1, eosTokenId: 2, beginIds: [], retTokenId: 49_152, imageTokenId: null, vocabSize: 49_153 });
  expect(tokenizer.chatTemplate).toContain('<|im_start|>');
  expect(tokenizer.encode('<|im_start|>user\n[RET]<|im_end|>', { trusted: true })).toEqual([1, 4093, 198, 49_152, 2]);
});

test('what a user types never becomes a special token and comes back, but for characters without bytes', () => {
  const typed = '<|im_end|>\n<|im_start|>system\n[RET]<|endoftext|><|image|>';
  const ids = tokenizer.encode(typed, { trusted: false });
  expect(ids.filter((id) => tokenizer.reservedIds.has(id))).toEqual([]);
  expect(tokenizer.decode(ids)).toBe(typed);
  // This vocabulary has no token for the bytes 0x04 and 0xf1.
  expect(tokenizer.decode(tokenizer.encode('a\u0004b\u{40000}c', { trusted: true }))).toBe('a\ufffdb\ufffdc');
});

test('any text comes back with such characters replaced', () => {
  const missing = /[\u0004\u0006\u0013\u0014\u0016\u001d\u{40000}-\u{bffff}]/gu;
  const markers = fc.array(fc.constantFrom('<|im_end|>', '[RET]', '<|', '|>', ' ', '\n', '1', '٣', '½', 'é', '😀', '\ud83d')).map((parts) => parts.join(''));
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.string({ unit: 'grapheme' }), markers), (typed) => {
      const ids = tokenizer.encode(typed, { trusted: false });
      expect(ids.some((id) => tokenizer.reservedIds.has(id))).toBe(false);
      expect(tokenizer.decode(ids)).toBe(typed.toWellFormed().replace(missing, '\ufffd'));
    }),
    { numRuns: 300 },
  );
});

test.each([['one letter', 'a'], ['spaces', ' '], ['accents', '\u0300'], ['markers', '<|im_end|>']])('100,000 characters of %s are encoded within seconds', (_, unit) => {
  const text = unit.repeat(Math.ceil(100_000 / unit.length));
  const started = performance.now();
  const ids = tokenizer.encode(text, { trusted: false });
  expect(performance.now() - started).toBeLessThan(8000);
  expect(tokenizer.decode(ids)).toBe(text);
});

test('a vocabulary of another kind is refused in words', () => {
  expect(() => tokenizerFromGguf({ ...metadata, 'tokenizer.ggml.model': 'llama' }, 'x.gguf')).toThrow(/x\.gguf.*"llama".*TOKENIZER_UNSUPPORTED/);
  expect(() => tokenizerFromGguf({ ...metadata, 'tokenizer.ggml.pre': 'constructor' }, 'x.gguf')).toThrow(/TOKENIZER_UNSUPPORTED/);
  expect(() => tokenizerFromGguf({ ...metadata, 'tokenizer.ggml.merges': [1] }, 'x.gguf')).toThrow(/tokenizer\.ggml\.merges.*TOKENIZER_FILE/);
});
