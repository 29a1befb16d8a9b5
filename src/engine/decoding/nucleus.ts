// The two filters that keep only the likeliest tokens. A vocabulary has some fifty thousand entries and
// the border runs between two of them, so only entries near the border are sorted.
import { expOfNegative, largest } from './exponential.ts';

/** Entries are counted into bins of 1/20 of a logit below the best; the last bin takes all the rest. */
const binsPerLogit = 20;
const bins = 24 * binsPerLogit;

/** Bans all but the k largest entries; on ties the lower index stays. */
export function keepTopK(logits: Float32Array, k: number): void {
  if (k <= 0 || k >= logits.length) return;
  const top = largest(logits);
  const counts = new Int32Array(bins + 1);
  for (let i = 0; i < logits.length; i++) counts[binOf(top - logits[i]!)]!++;
  let left = k;
  let border = 0;
  while (border < bins && counts[border]! <= left) left -= counts[border++]!;
  keepBins(logits, top, border, (inBorder) => inBorder.slice(0, left));
}

/**
 * Bans all but the nucleus: tokens in order of probability up to and with the first one whose cumulated
 * probability exceeds `topP`; the best one always stays.
 * Source: reference `fromage/models.py`, `generate` (cumulated > top_p, shifted by one).
 */
export function keepNucleus(logits: Float32Array, topP: number): void {
  if (topP >= 1) return;
  const top = largest(logits);
  if (top === Number.NEGATIVE_INFINITY) return;
  const masses = new Float64Array(bins + 1);
  let total = 0;
  for (let i = 0; i < logits.length; i++) {
    const mass = expOfNegative(logits[i]! - top);
    total += mass;
    masses[binOf(top - logits[i]!)]! += mass;
  }
  let cumulated = 0;
  let border = 0;
  while (border < bins && cumulated + masses[border]! <= topP * total) cumulated += masses[border++]!;
  keepBins(logits, top, border, (inBorder) => {
    let kept = 0;
    while (kept < inBorder.length && cumulated <= topP * total) cumulated += expOfNegative(logits[inBorder[kept++]!]! - top);
    return inBorder.slice(0, kept);
  });
}

function binOf(below: number): number {
  return below < 24 ? Math.floor(below * binsPerLogit) : bins;
}

/** Keeps all bins before `border`, of that one what `choose` takes of its indices in order, and bans the rest. */
function keepBins(logits: Float32Array, top: number, border: number, choose: (inBorder: readonly number[]) => readonly number[]): void {
  const inBorder: number[] = [];
  for (let i = 0; i < logits.length; i++) if (binOf(top - logits[i]!) === border) inBorder.push(i);
  inBorder.sort((a, b) => logits[b]! - logits[a]! || a - b);
  const kept = new Set(choose(inBorder));
  for (let i = 0; i < logits.length; i++) {
    const bin = binOf(top - logits[i]!);
    if (bin > border || (bin === border && !kept.has(i))) logits[i] = Number.NEGATIVE_INFINITY;
  }
}
