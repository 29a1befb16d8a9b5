// Figures of rankings. Ties go against the model everywhere: what is right stands behind everything wrong
// of the same score, so that a model that tells nothing apart gets the last rank and not the first.

/**
 * Rank (from 1) of the best of the right ones.
 *
 * @param scores one per candidate, larger is better; a score that is no number counts as the best wrong
 *   one and as the worst right one
 * @param right indices of the right candidates; there may be several (a picture's five captions)
 */
export function rankAmong(scores: ArrayLike<number>, right: readonly number[]): number {
  let best = Number.NEGATIVE_INFINITY;
  for (const index of right) if (scores[index]! > best) best = scores[index]!;
  let before = 0;
  for (let i = 0; i < scores.length; i++) if (!(scores[i]! < best)) before++;
  // The right ones of that score were counted too.
  for (const index of right) if (!(scores[index]! < best)) before--;
  return before + 1;
}

/** Share of queries, in [0, 1], whose right answer is among the first k. */
export function recallAtK(ranks: readonly number[], k: number): number {
  return mean(ranks.map((rank) => (rank <= k ? 1 : 0)));
}

/** The middle rank; of an even number the mean of the two in the middle. */
export function medianRank(ranks: readonly number[]): number {
  const sorted = [...ranks].sort((a, b) => a - b);
  const upper = sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[sorted.length / 2 - 1] ?? Number.NaN)) / 2;
}

export function meanReciprocalRank(ranks: readonly number[]): number {
  return mean(ranks.map((rank) => 1 / rank));
}

/**
 * Normalised discounted cumulative gain over the first k places, k being the number of candidates with any
 * relevance, as Visual Dialog's evaluation counts it; of tied candidates the less relevant stand first.
 *
 * @param relevance one per candidate, not negative
 * @returns in [0, 1]; 0 where nothing is relevant
 */
export function ndcg(scores: readonly number[], relevance: readonly number[]): number {
  const places = relevance.filter((value) => value > 0).length;
  if (places === 0) return 0;
  const score = (index: number) => (Number.isNaN(scores[index]) ? Number.NEGATIVE_INFINITY : scores[index]!);
  const order = relevance.map((_, index) => index).sort((a, b) => (score(a) === score(b) ? relevance[a]! - relevance[b]! : score(b) > score(a) ? 1 : -1));
  const gain = (values: readonly number[]) => values.slice(0, places).reduce((sum, value, place) => sum + value / Math.log2(place + 2), 0);
  return gain(order.map((index) => relevance[index]!)) / gain([...relevance].sort((a, b) => b - a));
}

/** NaN of nothing. */
export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
