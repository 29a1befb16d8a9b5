// Ranks and values as the figures that are reported: percentages with their intervals, and comparisons.
import { meanInterval, pairedBootstrap } from './bootstrap.ts';
import { mean, medianRank, recallAtK } from './metrics/ranking.ts';
import type { Comparison, EvaluationOptions, Intervals, Recalls } from './types.ts';

/** Ranks of queries with the group (picture, story, dialogue) that each belongs to. */
export interface Ranks {
  readonly ranks: readonly number[];
  readonly groups: readonly number[];
}

const places = [1, 5, 10] as const;

export function recalls({ ranks }: Ranks): Recalls {
  const [r1, r5, r10] = places.map((k) => percent(recallAtK(ranks, k)));
  return { r1: r1!, r5: r5!, r10: r10!, median_rank: medianRank(ranks) };
}

export function recallIntervals({ ranks, groups }: Ranks, options: EvaluationOptions): Intervals {
  return Object.fromEntries(places.map((k) => [`r${k}`, intervalOf(hits(ranks, k), groups, options)]));
}

export function compareRanks(first: Ranks, second: Ranks, options: EvaluationOptions): Readonly<Record<string, Comparison>> {
  return Object.fromEntries(places.map((k) => [`r${k}`, compareValues(hits(first.ranks, k), hits(second.ranks, k), first.groups, options)]));
}

/** @param values in [0, 1] (CIDEr up to 10); the interval is in percent, 0 to 100 where a single group tells nothing */
export function intervalOf(values: readonly number[], groups: readonly number[] | undefined, options: EvaluationOptions): readonly [number, number] {
  const { low, high } = meanInterval(values, { ...resampling(options), ...(groups ? { groups } : {}) });
  return [percent(Math.max(0, low)), Number.isFinite(high) ? percent(high) : 100];
}

/** @param a values in [0, 1] of the first adapter, `b` of the second, query by query */
export function compareValues(a: readonly number[], b: readonly number[], groups: readonly number[] | undefined, options: EvaluationOptions): Comparison {
  const { difference, plusMinus, low, high, significant } = pairedBootstrap(a, b, { ...resampling(options), ...(groups ? { groups } : {}) });
  return { first: meanPercent(a), second: meanPercent(b), difference: percent(difference), plus_minus: percent(plusMinus), low: percent(low), high: percent(high), significant };
}

export function meanPercent(values: readonly number[]): number {
  return percent(mean(values));
}

/** Percent with two decimals: more would be noise. */
export function percent(share: number): number {
  return Math.round(share * 10_000) / 100;
}

export function rounded(value: number, decimals = 3): number {
  return Math.round(value * 10 ** decimals) / 10 ** decimals;
}

export function resampling({ samples, seed }: EvaluationOptions): { readonly samples?: number; readonly seed?: number } {
  return { ...(samples === undefined ? {} : { samples }), ...(seed === undefined ? {} : { seed }) };
}

function hits(ranks: readonly number[], k: number): number[] {
  return ranks.map((rank) => (rank <= k ? 1 : 0));
}
