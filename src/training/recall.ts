// Recall over a held-out set: how often the right partner is among the best k by cosine.
import { dot, l2Normalize } from '../tensor/index.ts';

export interface Recall {
  readonly recallAt1: number;
  readonly recallAt5: number;
  readonly recallAt10: number;
  readonly medianRank: number;
}

/**
 * @param queries `[n, width]`
 * @param keys `[n, width]`; the right one has the query's row
 */
export function recallOf(queries: Float32Array, keys: Float32Array, n: number): Recall {
  const width = n === 0 ? 0 : queries.length / n;
  const unit = (values: Float32Array) => Array.from({ length: n }, (_, i) => l2Normalize(values.subarray(i * width, (i + 1) * width)));
  const units = unit(keys);
  const ranks = unit(queries).map((query, i) => {
    const own = dot(query, 0, units[i]!, 0, width);
    return 1 + units.filter((key, j) => j !== i && dot(query, 0, key, 0, width) > own).length;
  });
  const at = (k: number) => ranks.filter((rank) => rank <= k).length / n;
  const sorted = [...ranks].sort((a, b) => a - b);
  return { recallAt1: at(1), recallAt5: at(5), recallAt10: at(10), medianRank: sorted[Math.floor((n - 1) / 2)] ?? Number.NaN };
}
