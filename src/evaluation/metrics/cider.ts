// CIDEr-D as pycocoevalcap counts it: cosine of TF-IDF weighted n-grams, clipped at the reference's counts,
// with a penalty for differing lengths. Document frequencies come from the set's own references.
import { countGrams } from './words.ts';

const orders = [1, 2, 3, 4] as const;
const sigma = 6;

interface Weighted {
  readonly grams: readonly ReadonlyMap<string, number>[];
  readonly norms: readonly number[];
  /** Number of bigrams, as the original measures length. */
  readonly length: number;
}

/**
 * @param captions words of each caption
 * @param references for each caption the words of its references
 * @returns a score for each caption; their mean is the set's CIDEr-D (1 is good, 10 is identical)
 */
export function ciderD(captions: readonly (readonly string[])[], references: readonly (readonly (readonly string[])[])[]): number[] {
  const frequency = new Map<string, number>();
  for (const own of references) {
    const present = new Set(own.flatMap((words) => orders.flatMap((n) => [...countGrams(words, n).keys()])));
    for (const gram of present) frequency.set(gram, (frequency.get(gram) ?? 0) + 1);
  }
  const logPictures = Math.log(references.length);
  const weigh = (words: readonly string[]): Weighted => {
    const grams = orders.map((n) => new Map([...countGrams(words, n)].map(([gram, count]) => [gram, count * (logPictures - Math.log(Math.max(1, frequency.get(gram) ?? 0)))] as const)));
    return { grams, norms: grams.map((weights) => Math.sqrt([...weights.values()].reduce((sum, weight) => sum + weight ** 2, 0))), length: Math.max(0, words.length - 1) };
  };
  return captions.map((words, i) => {
    const caption = weigh(words);
    const own = references[i] ?? [];
    const total = own.reduce((sum, reference) => sum + similarity(caption, weigh(reference)), 0);
    return own.length === 0 ? 0 : (10 * total) / own.length;
  });
}

/** Mean over the four orders. */
function similarity(caption: Weighted, reference: Weighted): number {
  const penalty = Math.exp(-((caption.length - reference.length) ** 2) / (2 * sigma ** 2));
  const cosines = orders.map((_, n) => {
    const norms = caption.norms[n]! * reference.norms[n]!;
    if (norms === 0) return 0;
    let product = 0;
    for (const [gram, weight] of caption.grams[n]!) {
      const other = reference.grams[n]!.get(gram) ?? 0;
      product += Math.min(weight, other) * other;
    }
    return product / norms;
  });
  return (penalty * cosines.reduce((sum, cosine) => sum + cosine, 0)) / orders.length;
}
