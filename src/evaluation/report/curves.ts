// What the reports' plots show: recall against the number of places, and how values are spread.
import type { Plot } from '../../training/index.ts';

/** More places than this say nothing new. */
const mostPlaces = 100;
const steps = 20;

/** @param ranks of the queries, from 1, by the name of their line. @param candidates that each query chooses among */
export function recallPlot(ranks: Readonly<Record<string, readonly number[]>>, candidates: number): Plot {
  const places = Array.from({ length: Math.min(mostPlaces, candidates) }, (_, i) => i + 1);
  return {
    title: 'Recall against the number of places',
    x: 'k',
    y: 'recall@k in percent',
    lines: [
      ...Object.entries(ranks).map(([name, own]) => ({ name, points: places.map((k) => [k, (100 * own.filter((rank) => rank <= k).length) / own.length] as const) })),
      { name: 'chance', points: places.map((k) => [k, (100 * k) / candidates] as const) },
    ],
  };
}

/** Percent of each line's values that are at least x, from 0 to `top`. */
export function spread(values: Readonly<Record<string, readonly number[]>>, top: number): Plot['lines'] {
  const marks = Array.from({ length: steps + 1 }, (_, i) => (top * i) / steps);
  return Object.entries(values).flatMap(([name, own]) => (own.length === 0 ? [] : [{ name, points: marks.map((mark) => [mark, (100 * own.filter((value) => value >= mark).length) / own.length] as const) }]));
}
