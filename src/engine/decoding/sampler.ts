// Chooses the next token from processed logits, and tells how likely a token was before processing.
import { argmax } from '../../tensor/index.ts';
import { expOfNegative, largest, sumOfExponentials } from './exponential.ts';

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
  let left = random() * sumOfExponentials(logits, top);
  for (let i = 0; i < logits.length; i++) {
    const weight = expOfNegative(logits[i]! - top);
    left -= weight;
    if (left < 0 && weight > 0) return i;
  }
  // Rounding ate the last crumb.
  return best;
}

/** Softmax of `logits` `[vocabulary]` at one index; accurate to about 1e-6 of its value. */
export function probabilityOf(logits: Float32Array, index: number): number {
  const logit = logits[index];
  if (logit === undefined || logit === Number.NEGATIVE_INFINITY) return 0;
  const top = largest(logits);
  return Math.exp(logit - top) / sumOfExponentials(logits, top);
}
