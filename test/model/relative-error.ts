// The tolerance of all golden numbers: the largest difference over the largest expected entry.

/** @throws when lengths differ: nothing may go uncompared */
export function relativeError(found: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (found.length !== expected.length) throw new Error(`${found.length} numbers were found, ${expected.length} expected`);
  let difference = 0;
  let largest = 0;
  for (let i = 0; i < expected.length; i++) {
    difference = Math.max(difference, Math.abs(found[i]! - expected[i]!));
    largest = Math.max(largest, Math.abs(expected[i]!));
    if (Number.isNaN(found[i]!)) return NaN;
  }
  return difference / largest;
}
