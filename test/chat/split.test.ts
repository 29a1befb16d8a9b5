// The splitter: nothing over the limit, nothing lost, no grapheme cut, code blocks whole.
import { describe, expect, test } from '@jest/globals';
import fc from '../setup/seeded.ts';
import { findFences, splitText } from '../../src/chat/split.ts';

const graphemes = new Intl.Segmenter(undefined, { granularity: 'grapheme' });
const piece = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 30 }),
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc.constantFrom('```js\n', '\n```\n', '\n```', '````\n', '\n\n', '\n', '. ', 'word ', '👩‍👩‍👧‍👦', '🇷🇺', 'e\u0301\u0301', '*_~|', 'Привет. ', '日本語。'),
  fc.integer({ min: 1, max: 120 }).map((n) => 'x'.repeat(n)),
);
const texts = fc.array(piece, { maxLength: 60 }).map((parts) => parts.join(''));
const cost = (unit: string): number => ('*_~|\\`<>#[]'.includes(unit) ? 2 : 1);

function borders(text: string): Set<number> {
  return new Set([...graphemes.segment(text)].map(({ index }) => index)).add(text.length);
}

describe('splitText', () => {
  test('bodies joined are the text and no piece is over the limit', () => {
    fc.assert(fc.property(texts, fc.integer({ min: 64, max: 300 }), fc.boolean(), (text, limit, escaped) => {
      const pieces = splitText(text, { limit, ...(escaped ? { cost } : {}) });
      expect(pieces.map(({ body }) => body).join('')).toBe(text);
      for (const { open, body, close } of pieces) {
        expect(body.length).toBeGreaterThan(0);
        expect((open + body + close).length).toBeLessThanOrEqual(limit);
      }
    }), { numRuns: 1500 });
  });

  test('never cuts inside a grapheme that fits', () => {
    fc.assert(fc.property(texts, fc.integer({ min: 64, max: 200 }), (text, limit) => {
      const longest = Math.max(0, ...[...graphemes.segment(text)].map(({ segment }) => segment.length));
      fc.pre(longest < 20);
      const all = borders(text);
      let at = 0;
      for (const { body } of splitText(text, { limit })) {
        at += body.length;
        expect(all.has(at)).toBe(true);
      }
    }), { numRuns: 1000 });
  });

  test('every piece has its code blocks closed', () => {
    fc.assert(fc.property(texts, fc.integer({ min: 64, max: 200 }), (text, limit) => {
      for (const { open, body, close } of splitText(text, { limit })) {
        const sent = open + body + close;
        for (const fence of findFences(sent)) expect(fence.stop).toBeGreaterThan(fence.end);
      }
    }), { numRuns: 1000 });
  });

  test('prefers paragraphs, then lines, then sentences, then words', () => {
    const limit = 64;
    const pad = 'a'.repeat(38);
    const first = (text: string): string => splitText(text, { limit })[0]!.body;
    expect(first(`${pad} one. two\n\nthree. ${pad}`)).toBe(`${pad} one. two\n\n`);
    expect(first(`${pad} one. two\nthree. ${pad}`)).toBe(`${pad} one. two\n`);
    expect(first(`${pad} one. Two three. ${pad.toUpperCase()}`)).toBe(`${pad} one. Two three. `);
    expect(first(`${pad} one two ${'b'.repeat(60)}`)).toBe(`${pad} one two `);
    expect(first('c'.repeat(100))).toBe('c'.repeat(64));
  });

  test('a long code block is closed and opened again', () => {
    const text = `Look:\n\`\`\`js\n${'let x = 1;\n'.repeat(20)}\`\`\`\nDone.`;
    const pieces = splitText(text, { limit: 100 });
    expect(pieces.length).toBeGreaterThan(2);
    expect(pieces[1]).toMatchObject({ open: '```js\n' });
    expect(pieces[1]!.close).toBe('```');
  });

  test('a grapheme longer than the limit is cut between code points', () => {
    const zalgo = `e${'\u0301'.repeat(500)}`;
    const pieces = splitText(zalgo, { limit: 100 });
    expect(pieces.map(({ body }) => body).join('')).toBe(zalgo);
    expect(pieces.every(({ body }) => body.length <= 100)).toBe(true);
  });

  test('a hundred thousand characters split in well under a second', () => {
    const started = performance.now();
    expect(splitText('Some words here. '.repeat(6000), { limit: 2000 }).length).toBeGreaterThan(50);
    expect(performance.now() - started).toBeLessThan(2000);
  });
});
