// Chooses the next token from processed logits, and tells how likely a token was before processing.
import { argmax } from '../../tensor/index.ts';

/**
 * @param logits `[vocabulary]`, processed: temperature is divided out, banned entries are −Infinity
 * @param random uniform in [0, 1); null is greedy (the first of equal entries, as torch.argmax)
 * @returns the token's id
 */
export function sampleToken(logits: Float32Array, random: (() => number) | null): number {
  const best = argmax(logits);
  if (random === null) return best;
  const top = logits[best]!;
  // Everything banned: nothing to weigh.
  if (top === Number.NEGATIVE_INFINITY) return best;
  let total = 0;
  for (let i = 0; i < logits.length; i++) total += Math.exp(logits[i]! - top);
  let left = random() * total;
  for (let i = 0; i < logits.length; i++) {
    const weight = Math.exp(logits[i]! - top);
    left -= weight;
    if (left < 0 && weight > 0) return i;
  }
  // Rounding ate the last crumb.
  return best;
}

/** Below this many logits under the best a token adds less than 1e-11 to the sum. */
const negligible = 25;

/** Softmax of `logits` `[vocabulary]` at one index; accurate to about 1e-6 of its value. */
export function probabilityOf(logits: Float32Array, index: number): number {
  const logit = logits[index];
  if (logit === undefined || logit === Number.NEGATIVE_INFINITY) return 0;
  let top = logit;
  for (let i = 0; i < logits.length; i++) if (logits[i]! > top) top = logits[i]!;
  let sum = 0;
  for (let i = 0; i < logits.length; i++) {
    const below = logits[i]! - top;
    if (below > -negligible) sum += Math.exp(below);
  }
  return Math.exp(logit - top) / sum;
}
