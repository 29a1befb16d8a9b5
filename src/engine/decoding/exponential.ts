// exp() for sums over a whole vocabulary, where Math.exp is what costs most of a decode step outside the
// model: a power of two from a table times a short polynomial.

const offset = 160;
const powersOfTwo = Float64Array.from({ length: offset + 1 }, (_, i) => 2 ** (i - offset));

/**
 * exp(x) for x ≤ 0, accurate to 2e-7 of its value; 0 below −100.
 *
 * The polynomial is the series of 2^f on [−½, ½].
 */
export function expOfNegative(x: number): number {
  if (!(x > -100)) return 0;
  const y = x * 1.4426950408889634;
  // Math.round costs three times as much.
  const k = Math.floor(y + 0.5);
  const f = y - k;
  const series = 1 + f * (0.6931471805599453 + f * (0.2402265069591007 + f * (0.05550410866482158 + f * (0.009618129107628477 + f * (0.0013333558146428443 + f * 0.00015403530393381608)))));
  return series * powersOfTwo[k + offset]!;
}

/** Sum of exp(value − top) over all values, none of which is above `top`. */
export function sumOfExponentials(values: Float32Array, top: number): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += expOfNegative(values[i]! - top);
  return sum;
}

/** The largest value; −Infinity when empty. */
export function largest(values: Float32Array): number {
  let top = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < values.length; i++) if (values[i]! > top) top = values[i]!;
  return top;
}
