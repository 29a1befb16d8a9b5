import { expect, test } from '@jest/globals';
import fc from '../../setup/seeded.ts';
import { endsInLoop, scaleRet } from '../../../src/engine/decoding/index.ts';

test('three copies of a piece are a loop, two are not', () => {
  const piece = [5, 9, 2, 7, 7, 1, 3];
  expect(endsInLoop([4, 4, ...piece, ...piece])).toBe(false);
  expect(endsInLoop([4, 4, ...piece, ...piece, ...piece])).toBe(true);
  expect(endsInLoop([4, 4, ...piece, ...piece, ...piece.slice(0, 6)])).toBe(false);
});

test('a short piece may be said a few times more', () => {
  expect(endsInLoop([1, 2, 1, 2, 1, 2])).toBe(false);
  expect(endsInLoop(Array.from({ length: 18 }, (_, i) => i % 2))).toBe(true);
});

test('an answer whose tokens all differ is never one', () => {
  fc.assert(fc.property(fc.uniqueArray(fc.nat(), { maxLength: 200 }), (ids) => !endsInLoop(ids)));
});

test('odds mode multiplies the odds of [RET] wherever the logits lie', () => {
  fc.assert(
    fc.property(fc.float({ min: -30, max: 30, noNaN: true }), fc.integer({ min: 1, max: 400 }), (logit, percent) => {
      const logits = Float32Array.of(0, logit);
      scaleRet(1, percent / 100, 'odds')(logits, { step: 0, tokenIds: [], rets: 0 });
      expect(Math.exp(logits[1]! - logit)).toBeCloseTo(percent / 100, 3);
    }),
  );
  const none = Float32Array.of(0, 3);
  scaleRet(1, 0, 'odds')(none, { step: 0, tokenIds: [], rets: 0 });
  expect(none[1]).toBe(Number.NEGATIVE_INFINITY);
});
