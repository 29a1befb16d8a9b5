// Whether captions depend on their pictures at all: words shared with a picture's own references against
// words shared with every other picture's.
import { mean } from './ranking.ts';

export interface Overlap {
  /** Share of a caption's distinct words that stand in any reference of its picture, in [0, 1]. */
  readonly own: number;
  /** The same with the references of another picture: the mean over all others, which is what shuffling gives on average. */
  readonly shuffled: number;
  /** Null where nothing is shared with others. */
  readonly ratio: number | null;
}

/** @param references for each caption the words of its picture's references; two pictures at least */
export function wordOverlap(captions: readonly (readonly string[])[], references: readonly (readonly (readonly string[])[])[]): Overlap {
  const vocabularies = references.map((own) => new Set(own.flat()));
  const share = (words: ReadonlySet<string>, vocabulary: ReadonlySet<string>) => (words.size === 0 ? 0 : [...words].filter((word) => vocabulary.has(word)).length / words.size);
  const sets = captions.map((words) => new Set(words));
  const own = mean(sets.map((words, i) => share(words, vocabularies[i]!)));
  const shuffled = mean(sets.map((words, i) => mean(vocabularies.filter((_, j) => j !== i).map((vocabulary) => share(words, vocabulary)))));
  return { own, shuffled, ratio: shuffled === 0 ? null : own / shuffled };
}
