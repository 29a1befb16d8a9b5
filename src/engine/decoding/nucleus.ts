// The two filters that keep only the likeliest tokens. A vocabulary has some fifty thousand entries and
// a nucleus a few hundred, so only entries near the top are sorted, and more only where needed.

/** Widths (in logits below the best) in which candidates are looked for before all are taken. */
const windows = [6, 12, 24, Number.POSITIVE_INFINITY];

/** Bans all but the k largest entries; on ties the lower index stays. */
export function keepTopK(logits: Float32Array, k: number): void {
  if (k <= 0 || k >= logits.length) return;
  const top = largest(logits);
  for (const width of windows) {
    const candidates = within(logits, top - width);
    if (candidates.length < k && width !== Number.POSITIVE_INFINITY) continue;
    banAllBut(logits, sorted(logits, candidates).slice(0, k));
    return;
  }
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
  let total = 0;
  for (let i = 0; i < logits.length; i++) total += Math.exp(logits[i]! - top);
  for (const width of windows) {
    const order = sorted(logits, within(logits, top - width));
    let cumulated = 0;
    for (let rank = 0; rank < order.length; rank++) {
      cumulated += Math.exp(logits[order[rank]!]! - top) / total;
      if (cumulated > topP) {
        banAllBut(logits, order.slice(0, rank + 1));
        return;
      }
    }
  }
}

function largest(logits: Float32Array): number {
  let top = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < logits.length; i++) if (logits[i]! > top) top = logits[i]!;
  return top;
}

function within(logits: Float32Array, least: number): number[] {
  const found: number[] = [];
  for (let i = 0; i < logits.length; i++) if (logits[i]! >= least) found.push(i);
  return found;
}

function sorted(logits: Float32Array, indices: number[]): number[] {
  return indices.sort((a, b) => logits[b]! - logits[a]! || a - b);
}

function banAllBut(logits: Float32Array, kept: readonly number[]): void {
  const values = kept.map((index) => logits[index]!);
  logits.fill(Number.NEGATIVE_INFINITY);
  for (let i = 0; i < kept.length; i++) logits[kept[i]!] = values[i]!;
}
