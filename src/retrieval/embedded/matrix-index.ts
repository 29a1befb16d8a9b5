// Exact search over a matrix of unit vectors, as the paper does it: scores = matrix · query, then the
// best k, both on ONNX Runtime. Rows are appended and removed at once. Runs on the calling thread:
// `worker.ts` keeps it off the main one.
import { GraphBuilder, toModelBytes } from '../../onnx/graph/index.ts';
import { float32, int64, type OnnxSession, openSession } from '../../onnx/run/index.ts';
import { l2Normalize } from '../../tensor/index.ts';
import { FromageError } from '../../errors.ts';
import type { ImageFilter, ImageHit, ImagePoint, ImageQuery, ImageVector } from '../types.ts';
import { visibleTo } from '../visible.ts';

type Payload = Omit<ImagePoint, 'vector'>;

/** Added to a row that a filter hides; below every cosine by far, and finite, so that TopK orders it. */
const hidden = -1e9;
const maxMasks = 8;

export class MatrixIndex {
  readonly dim: number;
  readonly #session: OnnxSession;
  #matrix: Float32Array;
  readonly #payloads: Payload[] = [];
  readonly #rowOf = new Map<string, number>();
  readonly #masks = new Map<string, Mask>();
  #sortedIds: readonly string[] | null = null;

  static async open(dim: number, threads?: number): Promise<MatrixIndex> {
    return new MatrixIndex(dim, await openSession(toModelBytes(scoringGraph(dim)), { ...(threads === undefined ? {} : { threads }), memoryPattern: false }));
  }

  private constructor(dim: number, session: OnnxSession) {
    this.dim = dim;
    this.#session = session;
    this.#matrix = new Float32Array(dim * 256);
  }

  get size(): number {
    return this.#payloads.length;
  }

  upsert(points: readonly ImagePoint[]): void {
    for (const point of points) checkVector(point.vector, this.dim, point.id);
    this.#changed();
    for (const { vector, ...payload } of points) {
      const row = this.#rowOf.get(payload.id) ?? this.#payloads.length;
      this.#reserve(row + 1);
      this.#matrix.set(l2Normalize(vector), row * this.dim);
      this.#payloads[row] = payload;
      this.#rowOf.set(payload.id, row);
    }
  }

  /** The last row takes the place of a removed one; the order of rows means nothing. */
  delete(ids: readonly string[]): void {
    this.#changed();
    for (const id of ids) {
      const row = this.#rowOf.get(id);
      if (row === undefined) continue;
      const last = this.#payloads.length - 1;
      const moved = this.#payloads[last]!;
      if (row !== last) {
        this.#matrix.copyWithin(row * this.dim, last * this.dim, (last + 1) * this.dim);
        this.#payloads[row] = moved;
        this.#rowOf.set(moved.id, row);
      }
      this.#payloads.pop();
      this.#rowOf.delete(id);
    }
  }

  count(filter?: ImageFilter): number {
    if (!filter) return this.size;
    const visible = visibleTo(filter);
    return this.#payloads.reduce((sum, payload) => sum + (visible(payload) ? 1 : 0), 0);
  }

  ids(after = '', limit = 1000): readonly string[] {
    const sorted = (this.#sortedIds ??= [...this.#rowOf.keys()].sort());
    let from = 0;
    for (let to = sorted.length; from < to; ) {
      const middle = (from + to) >> 1;
      if (sorted[middle]! <= after) from = middle + 1;
      else to = middle;
    }
    return sorted.slice(from, from + limit);
  }

  vectors(ids: readonly string[]): ImageVector[] {
    return ids.flatMap((id) => {
      const row = this.#rowOf.get(id);
      return row === undefined ? [] : [{ id, vector: this.#matrix.slice(row * this.dim, (row + 1) * this.dim) }];
    });
  }

  /** All queries share one matrix product. */
  async query(queries: readonly ImageQuery[]): Promise<ImageHit[][]> {
    for (const query of queries) checkVector(query.vector, this.dim, 'the query');
    const rows = this.size;
    if (rows === 0 || queries.length === 0) return queries.map(() => []);
    const vectors = new Float32Array(queries.length * this.dim);
    const bias = new Float32Array(queries.length * rows);
    const visibleRows = queries.map((query, q) => {
      vectors.set(l2Normalize(query.vector), q * this.dim);
      return this.#hide(query, bias.subarray(q * rows, (q + 1) * rows));
    });
    const matrix = this.#matrix.subarray(0, rows * this.dim);
    let k = Math.min(rows, Math.max(1, ...queries.map((query) => query.limit)) + 8);
    for (;;) {
      const { scores, indices } = await this.#session.run({
        queries: float32(vectors, [queries.length, this.dim]),
        matrix: float32(matrix, [rows, this.dim]),
        bias: float32(bias, [queries.length, rows]),
        k: int64([k]),
      });
      const hits = queries.map((query, q) => this.#hits(query, scores!.data as Float32Array, indices!.data as BigInt64Array, q * k, k));
      // A tie across the border of the k best could hide the lower id: look further until it cannot.
      const cut = queries.some((query, q) => k < visibleRows[q]! && tiesAtTheBorder(hits[q]!, query.limit));
      if (!cut) return hits.map((list, q) => list.slice(0, queries[q]!.limit));
      k = Math.min(rows, k * 2);
    }
  }

  close(): Promise<void> {
    return this.#session.close();
  }

  #hits(query: ImageQuery, scores: Float32Array, indices: BigInt64Array, start: number, k: number): ImageHit[] {
    const hits: ImageHit[] = [];
    for (let i = start; i < start + k; i++) {
      const score = scores[i]!;
      if (score <= hidden / 2 || score < (query.scoreThreshold ?? Number.NEGATIVE_INFINITY)) break;
      hits.push({ id: this.#payloads[Number(indices[i]!)]!.id, score });
    }
    return hits.sort((a, b) => b.score - a.score || (a.id < b.id ? -1 : 1));
  }

  /** Writes filter and exclusions into one row of the bias; returns how many rows stay visible. */
  #hide(query: ImageQuery, bias: Float32Array): number {
    const mask = this.#maskOf(query.filter);
    bias.set(mask.bias);
    let count = mask.count;
    for (const id of query.exclude ?? []) {
      const row = this.#rowOf.get(id);
      if (row === undefined || bias[row] === hidden) continue;
      bias[row] = hidden;
      count -= 1;
    }
    return count;
  }

  /** Conversations ask with few filters again and again: the rows that each hides are kept until a row changes. */
  #maskOf(filter: ImageFilter): Mask {
    const key = JSON.stringify(filter);
    const known = this.#masks.get(key);
    if (known) return known;
    const visible = visibleTo(filter);
    const bias = new Float32Array(this.size);
    let count = 0;
    for (let row = 0; row < bias.length; row++) {
      if (visible(this.#payloads[row]!)) count += 1;
      else bias[row] = hidden;
    }
    if (this.#masks.size >= maxMasks) this.#masks.delete(this.#masks.keys().next().value!);
    this.#masks.set(key, { bias, count });
    return { bias, count };
  }

  #changed(): void {
    this.#masks.clear();
    this.#sortedIds = null;
  }

  #reserve(rows: number): void {
    if (rows * this.dim <= this.#matrix.length) return;
    const grown = new Float32Array(Math.ceil(Math.max(rows, (this.#matrix.length / this.dim) * 1.5)) * this.dim);
    grown.set(this.#matrix);
    this.#matrix = grown;
  }
}

interface Mask {
  /** `[rows]`: 0 where the filter sees the row, `hidden` where not. */
  readonly bias: Float32Array;
  readonly count: number;
}

/** scores `[q, k]`, indices `[q, k]` of `queries · matrixᵀ + bias`. */
function scoringGraph(dim: number) {
  const graph = new GraphBuilder('exact-search');
  const queries = graph.input('queries', 'float32', ['q', dim]);
  const matrix = graph.input('matrix', 'float32', ['rows', dim]);
  const bias = graph.input('bias', 'float32', ['q', 'rows']);
  const k = graph.input('k', 'int64', [1]);
  const products = graph.op('Gemm', [queries, matrix], { transB: 1 });
  const [scores, indices] = graph.ops('TopK', [graph.op('Add', [products, bias]), k], { axis: 1, largest: 1, sorted: 1 }, { outputs: 2 });
  graph.output(scores!, 'scores', 'float32', ['q', 'k']);
  graph.output(indices!, 'indices', 'int64', ['q', 'k']);
  return graph.build();
}

function tiesAtTheBorder(hits: readonly ImageHit[], limit: number): boolean {
  const border = hits[limit - 1];
  const last = hits.at(-1);
  return border !== undefined && last !== undefined && hits.length > limit && last.score === border.score;
}

function checkVector(vector: Float32Array, dim: number, owner: string): void {
  if (vector.length !== dim || !vector.every(Number.isFinite)) {
    const found = vector.length === dim ? 'a value that is not finite' : `${vector.length} entries`;
    throw new FromageError({ code: 'RETRIEVAL_VECTOR', what: `the vector of ${owner} has ${found}, the index holds ${dim} finite entries`, todo: 'use the adapter that the index was built with, or rebuild the index' });
  }
}
