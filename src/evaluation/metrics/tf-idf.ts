// TF-IDF over captions: the baseline that sees no picture, only other people's words for it.
import { contentWords } from './words.ts';

export interface TfIdf {
  /** Writes the cosine of a text with every document. */
  score(text: string, scores: Float32Array): void;
}

/** Smooth inverse document frequency, ln((1 + n) / (1 + df)) + 1, raw counts, unit length. */
export function createTfIdf(documents: readonly string[]): TfIdf {
  const counts = documents.map((text) => countWords(text));
  const frequency = new Map<string, number>();
  for (const words of counts) for (const word of words.keys()) frequency.set(word, (frequency.get(word) ?? 0) + 1);
  const weigh = (words: ReadonlyMap<string, number>): [string, number][] => {
    const weights = [...words].map(([word, count]): [string, number] => [word, count * (Math.log((1 + documents.length) / (1 + (frequency.get(word) ?? 0))) + 1)]);
    const norm = Math.hypot(...weights.map(([, weight]) => weight)) || 1;
    return weights.map(([word, weight]) => [word, weight / norm]);
  };
  const postings = new Map<string, [number, number][]>();
  counts.forEach((words, document) => {
    for (const [word, weight] of weigh(words)) {
      const entries = postings.get(word);
      if (entries) entries.push([document, weight]);
      else postings.set(word, [[document, weight]]);
    }
  });
  return {
    score(text, scores) {
      scores.fill(0);
      for (const [word, weight] of weigh(countWords(text))) for (const [document, own] of postings.get(word) ?? []) scores[document]! += weight * own;
    },
  };
}

function countWords(text: string): Map<string, number> {
  const counts = new Map<string, number>();
  for (const word of contentWords(text)) counts.set(word, (counts.get(word) ?? 0) + 1);
  return counts;
}
