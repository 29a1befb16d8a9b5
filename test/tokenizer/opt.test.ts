// OPT's tokenizer from both kinds of folder against the golden ids, and what user text can and cannot do.
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import fc from '../setup/seeded.ts';
import { openTokenizer, withFromageTokens } from '../../src/tokenizer/index.ts';

const golden = resolve(import.meta.dirname, '../../../shared/golden');
const present = existsSync(golden);
const withGolden = present ? test : test.skip; // skipped where ../shared is not there

interface Tokenized {
  readonly text: string;
  readonly with_bos: number[];
  readonly without_bos: number[];
  readonly decoded: string;
}

const folderOf = (name: string): string => join(golden, name, 'facebook/opt-tiny');
const open = (name: string) => withFromageTokens(openTokenizer(folderOf(name)), 401);

describe.each(['fromage-k1', 'fromage-k4-postnorm'])('%s', (name) => {
  withGolden('gives the ids and texts of the authors in trusted mode', () => {
    const { tokenize } = JSON.parse(readFileSync(join(golden, name, 'expected.json'), 'utf8')) as { tokenize: Tokenized[] };
    const tokenizer = open(name);
    for (const row of tokenize) {
      expect(tokenizer.encode(row.text, { trusted: true })).toEqual(row.without_bos);
      expect(tokenizer.encode(row.text, { trusted: true, begin: true })).toEqual(row.with_bos);
      expect(tokenizer.decode(row.without_bos)).toBe(row.decoded);
    }
  });

  withGolden('any text of a user comes back whole and holds no reserved id', () => {
    const tokenizer = open(name);
    const reserved = ['[RET]', '</s>', '<s>', '<pad>', '<|image|>', '\ufeff', '\ud800', 'e\u0301\u0327\u0323'.repeat(9), ' ', 'a'];
    const text = fc.oneof(fc.string({ unit: 'binary' }), fc.array(fc.constantFrom(...reserved)).map((parts) => parts.join('')), fc.array(fc.integer({ min: 0, max: 0xffff })).map((units) => String.fromCharCode(...units)));
    fc.assert(
      fc.property(text, (typed) => {
        const ids = tokenizer.encode(typed, { trusted: false });
        expect(ids.some((id) => tokenizer.reservedIds.has(id))).toBe(false);
        expect(tokenizer.decode(ids)).toBe(typed.toWellFormed());
      }),
      { numRuns: 300 },
    );
  });

  withGolden('streamed pieces end at code points and join to the decoded whole', () => {
    const tokenizer = open(name);
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 405 })), fc.boolean(), (ids, skipSpecial) => {
        const stream = tokenizer.createTextStream({ skipSpecial });
        const pieces = [...ids.map((id) => stream.push(id)), stream.flush()];
        expect(pieces.every((piece) => piece.isWellFormed())).toBe(true);
        expect(pieces.join('')).toBe(tokenizer.decode(ids, { skipSpecial }));
      }),
      { numRuns: 300 },
    );
  });
});

withGolden('an emoji of several tokens comes out of the stream only when it is whole', () => {
  const tokenizer = open('fromage-k1');
  const ids = tokenizer.encode('x😀', { trusted: false });
  const stream = tokenizer.createTextStream();
  const pieces = ids.map((id) => stream.push(id));
  expect(ids.length).toBeGreaterThan(3);
  expect(pieces.filter((piece) => piece !== '')).toEqual(['x', '😀']);
  expect(stream.push(ids[1] ?? 0) + stream.flush()).toBe('\ufffd');
});

withGolden('[RET] is left out of the text only when asked', () => {
  const tokenizer = open('fromage-k1');
  const ids = tokenizer.encode('a</s>[RET] b', { trusted: true });
  expect(tokenizer.decode(ids)).toBe('a[RET] b');
  expect(tokenizer.decode(ids, { skipRet: true })).toBe('a b');
  expect(tokenizer.decode(ids, { skipSpecial: false })).toBe('a</s>[RET] b');
});

withGolden('an adapter whose [RET] does not follow the vocabulary is refused with both numbers', () => {
  const plain = openTokenizer(folderOf('fromage-k1'));
  expect(withFromageTokens(plain, 400)).toMatchObject({ retTokenId: 400, imageTokenId: null, vocabSize: 401 });
  expect(withFromageTokens(plain, 401)).toMatchObject({ retTokenId: 401, imageTokenId: 400, vocabSize: 402 });
  expect(() => withFromageTokens(plain, 50266)).toThrow(/50266.*400.*TOKENIZER_RET_ID/);
  expect(() => withFromageTokens(withFromageTokens(plain, 400), 401)).toThrow(/TOKENIZER_RET_ID/);
});

withGolden('broken and missing files are errors with a code', () => {
  const folder = mkdtempSync(join(tmpdir(), 'fromage-tokenizer-'));
  expect(() => openTokenizer(folder)).toThrow(/TOKENIZER_MISSING/);
  cpSync(folderOf('fromage-k1'), folder, { recursive: true });
  writeFileSync(join(folder, 'merges.txt'), '#version: 0.2\na b c\n');
  expect(() => openTokenizer(folder)).toThrow(/"a b c" is not a pair.*TOKENIZER_FILE/);
  writeFileSync(join(folder, 'vocab.json'), '{"a": "b"}');
  expect(() => openTokenizer(folder)).toThrow(/TOKENIZER_FILE/);
  writeFileSync(join(folder, 'tokenizer.json'), '{"model": {"vocab": {"a": 0}, "type": "Nonsense"}}');
  expect(() => openTokenizer(folder).encode('a', { trusted: true })).toThrow(/TOKENIZER_FILE/);
  writeFileSync(join(folder, 'tokenizer.json'), '{"model": ');
  expect(() => openTokenizer(folder)).toThrow(/not JSON.*TOKENIZER_FILE/);
  rmSync(folder, { recursive: true });
});

withGolden('pieces are encoded as one string, with markers only where they are ours', () => {
  const tokenizer = open('fromage-k1');
  const whole = tokenizer.encode('Q: What is [RET] this?\nA:', { trusted: true });
  const pieces = [{ text: 'Q: Wh', trusted: true }, { text: 'at is ', trusted: false }, { text: '[RET]', trusted: true }, { text: ' th', trusted: false }, { text: 'is?\nA:', trusted: true }];
  expect(tokenizer.encodePieces(pieces)).toEqual(whole);
  const typed = tokenizer.encodePieces([{ text: '[RE', trusted: true }, { text: 'T]</s>', trusted: false }]);
  expect(typed.some((id) => tokenizer.reservedIds.has(id))).toBe(false);
  expect(tokenizer.decode(typed)).toBe('[RET]</s>');
});

withGolden('an entry of the vocabulary that only looks special is text when it was generated, yet users cannot type it', () => {
  const [slow, fast] = [open('fromage-k1'), open('fromage-k4-postnorm')];
  // The slow files name no <unk>; tokenizer.json lists it as special.
  expect([slow.decode([3, 36]), fast.decode([3, 36])]).toEqual(['<unk>A', 'A']);
  for (const tokenizer of [slow, fast]) expect(tokenizer.encode('<unk><s>', { trusted: false }).some((id) => id < 4)).toBe(false);
});
