// BLEU of a whole set of captions, as pycocoevalcap counts it: clipped n-gram matches and lengths are
// summed over the set, the reference length is the one closest to the caption's.
import { countGrams } from './words.ts';

/** What one caption adds to the sums. */
export interface BleuCounts {
  /** Clipped matches of 1- to 4-grams. */
  readonly matches: readonly number[];
  readonly guesses: readonly number[];
  readonly length: number;
  readonly referenceLength: number;
}

export function bleuCounts(caption: readonly string[], references: readonly (readonly string[])[]): BleuCounts {
  const orders = [1, 2, 3, 4];
  const matches = orders.map((n) => {
    const most = new Map<string, number>();
    for (const reference of references) for (const [gram, count] of countGrams(reference, n)) most.set(gram, Math.max(most.get(gram) ?? 0, count));
    return [...countGrams(caption, n)].reduce((sum, [gram, count]) => sum + Math.min(count, most.get(gram) ?? 0), 0);
  });
  const distance = (length: number) => Math.abs(length - caption.length);
  const referenceLength = references.map(({ length }) => length).sort((a, b) => distance(a) - distance(b) || a - b)[0] ?? 0;
  return { matches, guesses: orders.map((n) => Math.max(0, caption.length - n + 1)), length: caption.length, referenceLength };
}

/** @returns BLEU-1 to BLEU-4 in [0, 1] */
export function bleu(counts: readonly BleuCounts[]): readonly [number, number, number, number] {
  const sum = (value: (each: BleuCounts) => number) => counts.reduce((total, each) => total + value(each), 0);
  const length = sum((each) => each.length);
  const referenceLength = sum((each) => each.referenceLength);
  const brevity = length === 0 ? 0 : length < referenceLength ? Math.exp(1 - referenceLength / length) : 1;
  let product = 1;
  const scores = [0, 1, 2, 3].map((n) => {
    const guesses = sum((each) => each.guesses[n]!);
    product *= guesses === 0 ? 0 : sum((each) => each.matches[n]!) / guesses;
    return brevity * product ** (1 / (n + 1));
  });
  return scores as unknown as readonly [number, number, number, number];
}
