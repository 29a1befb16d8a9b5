import { describe, expect, test } from '@jest/globals';
import { bootstrapInterval, meanInterval, pairedBootstrap } from '../../src/evaluation/bootstrap.ts';
import { bleu, bleuCounts } from '../../src/evaluation/metrics/bleu.ts';
import { ciderD } from '../../src/evaluation/metrics/cider.ts';
import { wordOverlap } from '../../src/evaluation/metrics/overlap.ts';
import { meanReciprocalRank, medianRank, ndcg, rankAmong, recallAtK } from '../../src/evaluation/metrics/ranking.ts';
import { repetition } from '../../src/evaluation/metrics/repetition.ts';
import { rougeL } from '../../src/evaluation/metrics/rouge.ts';
import { createTfIdf } from '../../src/evaluation/metrics/tf-idf.ts';
import { ptbWords } from '../../src/evaluation/metrics/ptb-words.ts';
import { contentWords, wordsOf } from '../../src/evaluation/metrics/words.ts';

const words = (text: string) => text.split(' ');

describe('ranks', () => {
  test('a right candidate stands behind the wrong ones of its score', () => {
    expect(rankAmong([0.9, 0.5, 0.5, 0.5, 0.1], [0])).toBe(1);
    expect(rankAmong([0.9, 0.5, 0.5, 0.5, 0.1], [2])).toBe(4);
    expect(rankAmong([7, 7, 7], [1])).toBe(3);
  });

  test('of several right ones the best counts, and they do not stand in each other’s way', () => {
    expect(rankAmong([0.9, 0.8, 0.7, 0.6], [1, 3])).toBe(2);
    expect(rankAmong([0.5, 0.5, 0.5], [0, 2])).toBe(2);
  });

  test('scores that are no numbers never help', () => {
    expect(rankAmong([Number.NaN, 0.5, 0.4], [0])).toBe(3);
    expect(rankAmong([Number.NaN, 0.5, 0.4], [1])).toBe(2);
    expect(rankAmong([0.1, Number.NEGATIVE_INFINITY], [0])).toBe(1);
  });

  test('a single candidate is first whatever its score, and several right ones of one score wait for the wrong ones', () => {
    expect([rankAmong([0.3], [0]), rankAmong([Number.NaN], [0]), medianRank([1])]).toEqual([1, 1, 1]);
    expect([ndcg([0.3], [1]), ndcg([0.3], [0])]).toEqual([1, 0]);
    expect(rankAmong([1, 1, 1, 1], [0, 1])).toBe(3);
  });

  test('recall, median and mean reciprocal rank of ranks 1, 2, 5, 10', () => {
    const ranks = [5, 1, 10, 2];
    expect([1, 5, 10].map((k) => recallAtK(ranks, k))).toEqual([0.25, 0.75, 1]);
    expect(medianRank(ranks)).toBe(3.5);
    expect(medianRank([5, 1, 10])).toBe(5);
    expect(meanReciprocalRank(ranks)).toBeCloseTo((0.2 + 1 + 0.1 + 0.5) / 4, 12);
  });

  test('NDCG over as many places as there are relevant candidates', () => {
    // Two are relevant; first place has gain 0, second 1: (1 / log2 3) / (1 + 0.5 / log2 3).
    expect(ndcg([0.9, 0.8, 0.7, 0.1], [0, 1, 0, 0.5])).toBeCloseTo(0.6309 / 1.31546, 4);
    expect(ndcg([4, 3, 2, 1], [1, 0.5, 0, 0])).toBe(1);
    expect(ndcg([1, 1], [0, 1])).toBe(0);
    expect(ndcg([1, 2], [0, 0])).toBe(0);
    // Tied: the less relevant first.
    expect(ndcg([1, 1, 1], [1, 0.5, 0])).toBeCloseTo(0.5 / Math.log2(3) / (1 + 0.5 / Math.log2(3)), 10);
  });
});

describe('captions', () => {
  test('words are lower-case, without punctuation, clitics apart', () => {
    expect(wordsOf("A man's T-shirt isn't red, 'tis blue .")).toEqual(['a', 'man', "'s", 't-shirt', 'is', "n't", 'red', 'tis', 'blue']);
    expect(contentWords("A man's dog is on the grass")).toEqual(['man', 'dog', 'grass']);
  });

  // As pycocoevalcap 1.2 gives them with Java's PTBTokenizer.
  test.each([
    ["A man's T-shirt isn't red, 'tis blue .", "a man 's t-shirt is n't red 't is blue"],
    ['brown , white , and black ( respectively ) play', 'brown white and black -lrb- respectively -rrb- play'],
    ['in Washington D.C.', 'in washington d.c.'],
    ['10 a.m. and 5 p.m. with Mr. Potato, Jr.', '10 a.m. and 5 p.m. with mr. potato jr.'],
    ['he says no. Race dog # 2, no. 5', 'he says no race dog # 2 no. 5'],
    ['a avrovulcan.com hat at http://a.com/b?c=d', 'a avrovulcan.com hat at http://a.com/b?c=d'],
    ['pink , blue & black board of R&B at AT&T and b&w', 'pink blue & black board of r&b at at&t and b & w'],
    ["a slip 'n' slide of the '90s, the 90's", "a slip 'n' slide of the '90s the 90 's"],
    ["We cannot see the dogs' toys, an ant 's-eye-view and a dog's-eye one", "we can not see the dogs toys an ant 's eye-view and a dog 's eye one"],
    ['1,000 people at 5:30 for $ 5.00, 50% , 3/4 of a 10-year-old man/woman', '1,000 people at 5:30 for $ 5.00 50 % 3/4 of a 10-year-old man/woman'],
    ['what?! yes!! no! -- "hello" ... [x]; it’s – over', "what ?! yes !! no hello -lsb- x -rsb- it 's over"],
    ["o'brien ma'am y'all they've I'd don't", "o'brien ma'am y' all they 've i 'd do n't"],
  ])('%j has the words of the reference’s tokenizer', (caption, expected) => {
    expect(ptbWords(caption).join(' ')).toBe(expected);
  });

  test('BLEU of one caption with five, three and one matches', () => {
    const counts = bleuCounts(words('the cat sat on the mat'), [words('the cat is on the mat')]);
    expect(counts.matches).toEqual([5, 3, 1, 0]);
    const [one, two, three, four] = bleu([counts]);
    expect(one).toBeCloseTo(5 / 6, 12);
    expect(two).toBeCloseTo(Math.sqrt((5 / 6) * (3 / 5)), 12);
    expect(three).toBeCloseTo(((5 / 6) * (3 / 5) * (1 / 4)) ** (1 / 3), 12);
    expect(four).toBe(0);
  });

  test('BLEU clips repeated words, takes the closest length, and sums over the set', () => {
    const clipped = bleuCounts(words('the the the'), [words('the cat'), words('the dog and the cat')]);
    expect(clipped.matches[0]).toBe(2);
    // 2 and 5 words: 2 is closer to 3.
    expect(clipped.referenceLength).toBe(2);
    const short = bleuCounts(words('a dog'), [words('a dog runs'), words('a dog runs very far')]);
    expect(bleu([short])[0]).toBeCloseTo(Math.exp(1 - 3 / 2), 12);
    // 2 + 2 matches of 3 + 2 words, lengths 5 and 5.
    expect(bleu([clipped, short])[0]).toBeCloseTo(4 / 5, 12);
  });

  test('ROUGE-L takes precision and recall where they are best', () => {
    expect(rougeL(words('the cat sat on the mat'), [words('the cat is on the mat')])).toBeCloseTo(5 / 6, 12);
    // Precision 2/2 by the first, recall 1/1 by the second.
    expect(rougeL(words('a dog'), [words('a big dog runs'), words('dog')])).toBeCloseTo(1, 12);
    // Precision 2/2, recall 2/4, beta 1.2.
    expect(rougeL(words('a dog'), [words('a big dog runs')])).toBeCloseTo((2.44 * 1 * 0.5) / (0.5 + 1.44), 12);
    expect(rougeL([], [words('a')])).toBe(0);
  });

  test('a caption without words counts as nothing, and in a set its missing length counts', () => {
    expect(bleu([bleuCounts([], [words('a dog')])])).toEqual([0, 0, 0, 0]);
    // Both words and the one pair of the second are right; 2 words stand against 2 + 2.
    const [one, two, three] = bleu([bleuCounts([], [words('a dog')]), bleuCounts(words('a cat'), [words('a cat')])]);
    expect([one, two, three]).toEqual([expect.closeTo(Math.exp(-1), 12), expect.closeTo(Math.exp(-1), 12), 0]);
    // One word alone: 1 for words, nothing for longer pieces: 10 / 4.
    expect(ciderD([[], words('cat')], [[words('dog')], [words('cat')]])).toEqual([0, expect.closeTo(2.5, 12)]);
    // Of a single picture every word stands in every picture: nothing tells.
    expect(ciderD([words('a dog')], [[words('a dog')]])).toEqual([0]);
    expect([rougeL([], [[]]), rougeL(words('a'), [[]])]).toEqual([0, 0]);
  });

  test('CIDEr-D of three words worked out by hand', () => {
    const references = [[words('a red ball')], [words('a blue cube')]];
    // Identical: 1 for 1- to 3-grams, no 4-grams: 10 · 3 / 4.
    expect(ciderD([words('a red ball'), words('a blue cube')], references)).toEqual([expect.closeTo(7.5, 10), expect.closeTo(7.5, 10)]);
    // `a` stands everywhere and weighs nothing: 1/2 for words, 1/2 for pairs, 0 for triples: 10 · 1 / 4.
    expect(ciderD([words('a red cube'), words('a blue cube')], references)[0]).toBeCloseTo(2.5, 10);
    // Five bigrams against two: exp(−9 / 72).
    const long = ciderD([words('a red ball a red ball'), words('a blue cube')], references)[0]!;
    // Clipped at the reference's counts: words 2/(√8·√2) = 1/2; pairs: `a red` 2, `red ball` 2, `ball a` 1: 2/(3·√2); triples: `a red ball` 2, two others: 1/√6.
    expect(long).toBeCloseTo((10 * Math.exp(-9 / 72) * (1 / 2 + 2 / (3 * Math.SQRT2) + 1 / Math.sqrt(6))) / 4, 10);
  });

  test('word overlap against every other picture', () => {
    const references = [[words('dog grass')], [words('cat sofa')], [words('dog beach')]];
    const overlap = wordOverlap([words('dog grass'), words('cat bed'), words('dog dog')], references);
    expect(overlap.own).toBeCloseTo((1 + 0.5 + 1) / 3, 12);
    // First: 0 and 1/2; second: 0 and 0; third: 1 and 0.
    expect(overlap.shuffled).toBeCloseTo((0.25 + 0 + 0.5) / 3, 12);
    expect(overlap.ratio).toBeCloseTo(2.5 / 0.75, 12);
  });

  test('TF-IDF cosine', () => {
    const scores = new Float32Array(2);
    createTfIdf(['dog park', 'cat park']).score('A dog', scores);
    const rare = Math.log(3 / 2) + 1;
    expect(scores[0]).toBeCloseTo(rare / Math.hypot(rare, 1), 6);
    expect(scores[1]).toBe(0);
  });

  test('repetition counts pieces of three words that came before', () => {
    expect(repetition('one two three four')).toBe(0);
    // the dog runs | dog runs the | runs the dog | the dog runs
    expect(repetition('The dog runs. The dog runs.')).toBeCloseTo(1 / 4, 12);
    expect(repetition('yes')).toBe(0);
  });
});

describe('bootstrap', () => {
  const values = Array.from({ length: 400 }, (_, i) => (i % 4 === 0 ? 1 : 0));

  test('the interval of a share is the binomial one, and the same for the same seed', () => {
    const interval = meanInterval(values, { seed: 3 });
    // 0.25 ± 1.96 · √(0.25 · 0.75 / 400) = 0.25 ± 0.0424
    expect(interval.low).toBeGreaterThan(0.195);
    expect(interval.low).toBeLessThan(0.22);
    expect(interval.high).toBeGreaterThan(0.28);
    expect(interval.high).toBeLessThan(0.305);
    expect(meanInterval(values, { seed: 3 })).toEqual(interval);
    expect(meanInterval(values, { seed: 4 })).not.toEqual(interval);
    expect(meanInterval([1, 1, 1])).toEqual({ low: 1, high: 1 });
  });

  test('values of one group are drawn together, which widens the interval', () => {
    const alike = Array.from({ length: 400 }, (_, i) => (Math.floor(i / 40) % 2));
    const alone = meanInterval(alike);
    const grouped = meanInterval(alike, { groups: alike.map((_, i) => Math.floor(i / 40)) });
    expect(grouped.high - grouped.low).toBeGreaterThan(3 * (alone.high - alone.low));
  });

  test('a paired difference is sure where two separate intervals overlap', () => {
    const hard = Array.from({ length: 200 }, (_, i) => i / 200);
    const better = hard.map((value) => value + 0.02 + ((value * 7919) % 0.01));
    const { difference, low, plusMinus, significant, notBetter } = pairedBootstrap(hard, better);
    expect(difference).toBeCloseTo(better.reduce((sum, value, i) => sum + value - hard[i]!, 0) / 200, 10);
    expect(low).toBeGreaterThan(0.02);
    expect(plusMinus).toBeLessThan(0.002);
    expect(significant).toBe(true);
    expect(notBetter).toBe(0);
    expect(meanInterval(better).low).toBeLessThan(meanInterval(hard).high);
  });

  test('no difference is told between a thing and itself, nor from noise', () => {
    expect(pairedBootstrap(values, values)).toMatchObject({ difference: 0, significant: false, notBetter: 1 });
    const other = values.map((_, i) => (i % 4 === 1 ? 1 : 0));
    expect(pairedBootstrap(values, other).significant).toBe(false);
    expect(() => pairedBootstrap([1], [1, 2])).toThrow(RangeError);
  });

  test('a single group is never sure of anything', () => {
    expect(meanInterval([1, 1, 0], { groups: [7, 7, 7] })).toEqual({ low: Number.NEGATIVE_INFINITY, high: Number.POSITIVE_INFINITY });
    expect(pairedBootstrap([0, 0], [1, 1], { groups: [1, 1] })).toMatchObject({ difference: 1, significant: false });
  });

  test('any statistic of drawn groups can be resampled', () => {
    const { low, high } = bootstrapInterval(100, (drawn) => Math.max(...drawn), { samples: 200 });
    expect(high).toBe(99);
    expect(low).toBeGreaterThan(85);
  });
});
