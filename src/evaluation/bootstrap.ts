// How sure a figure is: percentile bootstrap, seeded, with whole groups drawn (all captions of a picture
// stand or fall together).
import { createRandom } from '../training/index.ts';

export interface BootstrapOptions {
  /** Default 1,000. */
  readonly samples?: number;
  readonly seed?: number;
  /** What each value belongs to; values of a group are drawn together. Absent: each is its own. */
  readonly groups?: readonly number[];
}

export interface Interval {
  readonly low: number;
  readonly high: number;
}

export interface PairedDifference extends Interval {
  /** Mean of b less mean of a: above 0, b is better. */
  readonly difference: number;
  /** Half of the 95 % interval: "better by difference ± plusMinus". */
  readonly plusMinus: number;
  /** Share of resamples in which b was not better than a. */
  readonly notBetter: number;
  /** The interval does not hold 0. */
  readonly significant: boolean;
}

/** The middle 95 % of a statistic under resampling. @param statistic of drawn group numbers, repetitions among them */
export function bootstrapInterval(groups: number, statistic: (drawn: Int32Array) => number, options: Omit<BootstrapOptions, 'groups'> = {}): Interval {
  const values = resample(groups, statistic, options);
  return { low: quantile(values, 0.025), high: quantile(values, 0.975) };
}

/** One group tells nothing of how much groups differ. */
const anything: Interval = { low: Number.NEGATIVE_INFINITY, high: Number.POSITIVE_INFINITY };

/** 95 % interval of the mean; infinite for a single group. */
export function meanInterval(values: readonly number[], options: BootstrapOptions = {}): Interval {
  const { sums, counts } = byGroup(values, options.groups);
  if (sums.length < 2) return anything;
  return bootstrapInterval(sums.length, (drawn) => groupMean(sums, counts, drawn), options);
}

/**
 * Compares two sets of values of the same queries in the same order; both are resampled alike, so that
 * queries that are hard for both do not blur the difference. A single group never shows a difference.
 *
 * @param a of the first adapter, e.g. 1 for a hit and 0 for a miss
 * @param b of the second one
 */
export function pairedBootstrap(a: readonly number[], b: readonly number[], options: BootstrapOptions = {}): PairedDifference {
  if (a.length !== b.length || a.length === 0) throw new RangeError(`a pair needs values of the same queries: ${a.length} and ${b.length}`);
  const differences = b.map((value, i) => value - a[i]!);
  const { sums, counts } = byGroup(differences, options.groups);
  const difference = differences.reduce((sum, value) => sum + value, 0) / differences.length;
  if (sums.length < 2) return { difference, ...anything, plusMinus: Number.POSITIVE_INFINITY, notBetter: 0.5, significant: false };
  const drawn = resample(sums.length, (groups) => groupMean(sums, counts, groups), options);
  const low = quantile(drawn, 0.025);
  const high = quantile(drawn, 0.975);
  return { difference, low, high, plusMinus: (high - low) / 2, notBetter: drawn.filter((value) => value <= 0).length / drawn.length, significant: low > 0 || high < 0 };
}

/** @returns sorted */
function resample(groups: number, statistic: (drawn: Int32Array) => number, { samples = 1000, seed = 1 }: Omit<BootstrapOptions, 'groups'>): number[] {
  const all = draws(groups, samples, seed);
  return Array.from({ length: samples }, (_, i) => statistic(all.subarray(i * groups, (i + 1) * groups))).sort((a, b) => a - b);
}

/** The last draws: the figures of a run are resampled over the same queries, and drawing costs most of it. */
let lastDraws: { readonly key: string; readonly values: Int32Array } | null = null;

/** `[samples, groups]`; the same for the same numbers. */
function draws(groups: number, samples: number, seed: number): Int32Array {
  const key = `${groups}/${samples}/${seed}`;
  if (lastDraws?.key === key) return lastDraws.values;
  const random = createRandom(seed, 'bootstrap');
  const values = new Int32Array(samples * groups);
  for (let i = 0; i < values.length; i++) values[i] = random.integer(groups);
  lastDraws = { key, values };
  return values;
}

function byGroup(values: readonly number[], groups: readonly number[] | undefined): { readonly sums: number[]; readonly counts: number[] } {
  if (groups === undefined) return { sums: [...values], counts: values.map(() => 1) };
  const places = new Map<number, number>();
  const sums: number[] = [];
  const counts: number[] = [];
  values.forEach((value, i) => {
    const place = places.get(groups[i]!) ?? places.size;
    places.set(groups[i]!, place);
    sums[place] = (sums[place] ?? 0) + value;
    counts[place] = (counts[place] ?? 0) + 1;
  });
  return { sums, counts };
}

function groupMean(sums: readonly number[], counts: readonly number[], drawn: Int32Array): number {
  let sum = 0;
  let count = 0;
  for (let i = 0; i < drawn.length; i++) {
    sum += sums[drawn[i]!]!;
    count += counts[drawn[i]!]!;
  }
  return sum / count;
}

function quantile(sorted: readonly number[], share: number): number {
  const place = share * (sorted.length - 1);
  const below = sorted[Math.floor(place)] ?? Number.NaN;
  const above = sorted[Math.ceil(place)] ?? Number.NaN;
  // Infinite values lie side by side without a middle.
  return below === above ? below : below + (above - below) * (place - Math.floor(place));
}
