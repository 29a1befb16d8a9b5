import { describe, expect, test } from '@jest/globals';
import fc from '../../setup/seeded.ts';
import { expOfNegative } from '../../../src/engine/decoding/exponential.ts';
import { banRet, createProcessors, createRandom, defaultDecoding, limitToNucleus, limitToTopK, penaliseRepetition, probabilityOf, resolveDecoding, sampleToken, scaleRet, StopStrings } from '../../../src/engine/decoding/index.ts';

const start = { step: 0, tokenIds: [], rets: 0 };
const banned = Number.NEGATIVE_INFINITY;
const logitsArbitrary = fc.array(fc.integer({ min: -3000, max: 3000 }), { minLength: 2, maxLength: 60 }).map((values) => Float32Array.from(values, (value) => value / 100));

function apply(processor: (logits: Float32Array, state: typeof start) => void, logits: readonly number[], state = start): number[] {
  const row = Float32Array.from(logits);
  processor(row, state);
  return Array.from(row);
}

describe('[RET] processors', () => {
  test('the reference multiplies the logit whatever its sign', () => {
    expect(apply(scaleRet(1, 2, 'reference'), [5, 3, 1])).toEqual([5, 6, 1]);
    expect(apply(scaleRet(1, 2, 'reference'), [5, -3, 1])).toEqual([5, -6, 1]);
  });

  test('the signed mode favours [RET] above 1 and hinders it below 1, for either sign', () => {
    fc.assert(
      fc.property(fc.integer({ min: -1000, max: 1000 }).filter((value) => value !== 0), fc.integer({ min: 1, max: 400 }), (logit, percent) => {
        const [, scaled] = apply(scaleRet(1, percent / 100, 'signed'), [0, logit]);
        expect(Math.sign(scaled! - logit)).toBe(Math.sign(percent - 100));
      }),
    );
  });

  test('a factor of zero in signed mode bans a negative [RET]', () => {
    expect(apply(scaleRet(0, 0, 'signed'), [-2, 1])).toEqual([banned, 1]);
  });

  test('[RET] is banned before the minimum of words and after the last allowed one', () => {
    const processor = banRet(1, 3, 2);
    expect(apply(processor, [0, 9], { step: 2, tokenIds: [], rets: 0 })[1]).toBe(banned);
    expect(apply(processor, [0, 9], { step: 3, tokenIds: [], rets: 1 })[1]).toBe(9);
    expect(apply(processor, [0, 9], { step: 3, tokenIds: [], rets: 2 })[1]).toBe(banned);
  });
});

test('the repetition penalty lowers each token that stands in the text once, whatever the sign', () => {
  expect(apply(penaliseRepetition(2), [4, -4, 4], { step: 2, tokenIds: [0, 1, 0], rets: 0 } as never)).toEqual([2, -8, 4]);
});

describe('filters', () => {
  test('top-k keeps the k best, the lower index on ties', () => {
    expect(apply(limitToTopK(2), [1, 3, 3, 3])).toEqual([banned, 3, 3, banned]);
  });

  test('the nucleus keeps tokens up to and with the first that exceeds p, as the reference sorts and shifts', () => {
    fc.assert(
      fc.property(logitsArbitrary, fc.integer({ min: 1, max: 99 }), (logits, percent) => {
        const topP = percent / 100;
        // The reference's own steps, written out.
        const order = Array.from(logits.keys()).sort((a, b) => logits[b]! - logits[a]! || a - b);
        const top = logits[order[0]!]!;
        const weights = order.map((index) => Math.exp(logits[index]! - top));
        const total = Array.from(logits, (value) => Math.exp(value - top)).reduce((a, b) => a + b, 0);
        let cumulated = 0;
        const exceeds = weights.map((weight) => (cumulated += weight / total) > topP);
        const removed = new Set(order.filter((_, rank) => rank > 0 && exceeds[rank - 1]));
        const row = logits.slice();
        limitToNucleus(topP)(row, start);
        expect(Array.from(row)).toEqual(Array.from(logits, (value, index) => (removed.has(index) ? banned : value)));
      }),
    );
  });
});

describe('sampler', () => {
  test('greedy takes the first of equal entries', () => {
    expect(sampleToken(Float32Array.of(1, 7, 7), null)).toBe(1);
  });

  test('a seed gives the same tokens again and another seed others', () => {
    const logits = new Float32Array(50);
    const draw = (seed: number) => {
      const random = createRandom(seed);
      return Array.from({ length: 40 }, () => sampleToken(logits, random));
    };
    expect(draw(7)).toEqual(draw(7));
    expect(draw(7)).not.toEqual(draw(8));
    expect(draw(1)).not.toEqual(draw(1 + 2 ** 32));
  });

  test('frequencies follow the probabilities and banned tokens never come', () => {
    const logits = Float32Array.of(Math.log(0.5), banned, Math.log(0.2), Math.log(0.3));
    const random = createRandom(1);
    const counts = [0, 0, 0, 0];
    for (let i = 0; i < 20000; i++) counts[sampleToken(logits, random)]!++;
    expect(counts[1]).toBe(0);
    // Four standard deviations of a binomial count.
    for (const [index, p] of [[0, 0.5], [2, 0.2], [3, 0.3]] as const) expect(Math.abs(counts[index]! - 20000 * p)).toBeLessThan(4 * Math.sqrt(20000 * p * (1 - p)));
  });

  test('the quick exponential is accurate over its whole range', () => {
    for (let x = -99.9; x <= 0; x += 0.0137) expect(Math.abs(expOfNegative(x) / Math.exp(x) - 1)).toBeLessThan(2e-7);
    expect([expOfNegative(0), expOfNegative(-200), expOfNegative(banned)]).toEqual([1, 0, 0]);
  });

  test('the probability of a token is its softmax', () => {
    fc.assert(
      fc.property(logitsArbitrary, (logits) => {
        const top = Math.max(...logits);
        const sum = logits.reduce((total, value) => total + Math.exp(value - top), 0);
        const expected = Math.exp(logits[1]! - top) / sum;
        expect(Math.abs(probabilityOf(logits, 1) - expected)).toBeLessThanOrEqual(1e-6 * expected + 1e-12);
      }),
    );
    expect(probabilityOf(Float32Array.of(1, banned), 1)).toBe(0);
  });
});

describe('options', () => {
  test('defaults are filled in, undefined counts as absent', () => {
    expect(resolveDecoding({ topP: undefined as never, maxNewTokens: 3 })).toEqual({ ...defaultDecoding, maxNewTokens: 3 });
  });

  test.each([{ maxNewTokens: -1 }, { topP: 0 }, { topP: 1.5 }, { temperature: Number.NaN }, { stop: [''] }, { stop: 'x' }, { repetitionPenalty: 0 }, { topK: 1.5 }, { retScaleMode: 'loud' }])('refuses %j', (options) => {
    expect(() => resolveDecoding(options as never)).toThrow(expect.objectContaining({ code: 'ENGINE_OPTION' }));
  });

  test('processors stand in the order of the reference: scale, ban, temperature, filters', () => {
    const list = createProcessors({ ...defaultDecoding, retScaleFactor: 3, minWordTokens: 1, temperature: 2, topK: 2 }, 2);
    const row = Float32Array.of(8, 4, 2, 1);
    for (const processor of list) processor(row, { step: 1, tokenIds: [], rets: 0 });
    expect(Array.from(row)).toEqual([4, banned, 3, banned]);
  });
});

describe('stop texts', () => {
  test('a stop text cut anywhere into pieces is never shown, not even in part', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'b', '\n'), maxLength: 30 });
    const stops = fc.array(fc.string({ unit: fc.constantFrom('a', 'b', '\n'), minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(text, stops, fc.array(fc.nat(30), { maxLength: 6 }), (whole, list, cuts) => {
        const found = list.map((stop) => ({ at: whole.indexOf(stop), end: whole.indexOf(stop) + stop.length })).filter(({ at }) => at >= 0);
        const first = found.sort((a, b) => a.end - b.end || a.at - b.at)[0];
        const expected = first === undefined ? whole : whole.slice(0, first.at);
        const watcher = new StopStrings(list);
        const borders = [0, ...cuts.filter((cut) => cut < whole.length).sort((a, b) => a - b), whole.length];
        let shown = '';
        let stopped = false;
        for (let i = 1; i < borders.length && !stopped; i++) {
          const result = watcher.push(whole.slice(borders[i - 1], borders[i]));
          shown += result.text;
          stopped = result.stopped;
          expect(expected.startsWith(shown)).toBe(true);
        }
        if (!stopped) shown += watcher.flush();
        expect(stopped).toBe(first !== undefined);
        expect(shown).toBe(expected);
      }),
      { numRuns: 2000, examples: [['abbb', ['abbb', 'b'], [1, 2]]] },
    );
  });
});
