// A flat picture of a high space: the two directions in which vectors differ most, for a map of the gallery.
import { dot } from '../tensor/index.ts';

const iterations = 50;

export interface ProjectionPlot {
  /** One for each vector, in [−1, 1]. */
  readonly points: readonly { readonly x: number; readonly y: number }[];
  /** Share of all variance along x and along y. */
  readonly explained: readonly [number, number];
}

/** Principal components by power iteration, the second after the first has been taken out. Same input, same map. */
export function projectionPlot(vectors: readonly Float32Array[]): ProjectionPlot {
  const count = vectors.length;
  const dim = vectors[0]?.length ?? 0;
  const mean = new Float64Array(dim);
  for (const vector of vectors) for (let j = 0; j < dim; j++) mean[j]! += vector[j]! / count;
  const rows = vectors.map((vector) => vector.map((value, j) => value - mean[j]!));
  const total = rows.reduce((sum, row) => sum + dot(row, 0, row, 0, dim), 0);
  const axes: { readonly along: Float32Array; readonly variance: number }[] = [];
  for (let axis = 0; axis < 2; axis++) {
    const direction = leading(rows, dim);
    const along = Float32Array.from(rows, (row) => dot(row, 0, direction, 0, dim));
    axes.push({ along, variance: dot(along, 0, along, 0, count) });
    rows.forEach((row, i) => {
      for (let j = 0; j < dim; j++) row[j]! -= along[i]! * direction[j]!;
    });
  }
  const scaled = axes.map(({ along }) => {
    const most = along.reduce((max, value) => Math.max(max, Math.abs(value)), 0) || 1;
    return along.map((value) => value / most);
  });
  const share = (axis: number) => (total > 0 ? axes[axis]!.variance / total : 0);
  return { points: rows.map((_, i) => ({ x: scaled[0]![i]!, y: scaled[1]![i]! })), explained: [share(0), share(1)] };
}

/** The unit direction of most variance; zero when there is none. */
function leading(rows: readonly Float32Array[], dim: number): Float32Array {
  // Any start that is not at right angles to the answer; a fixed one keeps the map the same.
  let direction = Float32Array.from({ length: dim }, (_, j) => Math.sin(j + 1));
  for (let i = 0; i < iterations; i++) {
    const next = new Float32Array(dim);
    for (const row of rows) {
      const weight = dot(row, 0, direction, 0, dim);
      for (let j = 0; j < dim; j++) next[j]! += weight * row[j]!;
    }
    const norm = Math.sqrt(dot(next, 0, next, 0, dim));
    if (norm < 1e-12) return new Float32Array(dim);
    direction = next.map((value) => value / norm);
  }
  return direction;
}
