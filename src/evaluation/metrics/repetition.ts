// How much a text says again what it has said: the complaint that reviewers of FROMAGe had.
import { wordsOf } from './words.ts';

/** Share of the three-word pieces that came earlier in the same text, in [0, 1]; 0 for fewer than two pieces. */
export function repetition(text: string): number {
  const words = wordsOf(text);
  const pieces = Array.from({ length: Math.max(0, words.length - 2) }, (_, i) => words.slice(i, i + 3).join(' '));
  return pieces.length < 2 ? 0 : 1 - new Set(pieces).size / pieces.length;
}
