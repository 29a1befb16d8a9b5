// The two figures that survive a noisy machine.

/** The middle value; NaN of nothing. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length === 0 ? Number.NaN : sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** a/b pair by pair: of rounds that were measured side by side. */
export function ratios(a: readonly number[], b: readonly number[]): number[] {
  return a.flatMap((value, i) => (b[i] === undefined ? [] : [value / b[i]]));
}
