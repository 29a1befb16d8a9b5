// `fromage bench retrieval`: the embedded index beside a plain JavaScript scan over the same vectors in the
// same run, turn by turn, so that a noisy machine is noisy for both. Recall is counted against the scan.
import { EmbeddedIndex, type ImagePoint, type ImageQuery, pictureId } from '../../retrieval/index.ts';
import { dot } from '../../tensor/index.ts';
import { configuration } from '../configuration.ts';
import { interruptSignal } from '../interrupt.ts';
import { createProgress } from '../progress.ts';
import { number } from './generate.ts';

const dim = 256;
const clusters = 256;
/** Directions in which the pictures of one cluster differ. */
const inner = 32;
const limit = 10;
const together = 32;
const sizes = [10_000, 100_000] as const;
const largeSize = 1_000_000;
const insertBatch = 5000;

interface BenchFlags extends Record<string, unknown> {
  readonly large?: boolean;
  readonly threads?: string;
  readonly json?: boolean;
}

export async function benchRetrieval(flags: BenchFlags): Promise<void> {
  configuration(flags);
  const signal = interruptSignal();
  const results: Record<string, unknown>[] = [];
  for (const size of flags.large ? [...sizes, largeSize] : sizes) {
    signal.throwIfAborted();
    const result = await measure(size, flags.threads === undefined ? undefined : number('--threads', flags.threads), flags.json ?? false);
    results.push(result);
    if (!flags.json) process.stdout.write(`${Object.entries(result).map(([name, value]) => `${name.padEnd(20)} ${String(value)}`).join('\n')}\n\n`);
  }
  process.stdout.write(`${JSON.stringify({ dim, limit, sizes: results })}\n`);
}

async function measure(size: number, threads: number | undefined, quiet: boolean): Promise<Record<string, unknown>> {
  const random = normals(size);
  const matrix = clusteredVectors(size, random);
  const before = process.memoryUsage().rss;
  const index = new EmbeddedIndex(dim, threads === undefined ? {} : { threads });
  try {
    const bar = createProgress(`filling ${size}`, 'vectors', quiet);
    const filling = performance.now();
    for (let i = 0; i < size; i += insertBatch) {
      await index.upsert(Array.from({ length: Math.min(insertBatch, size - i) }, (_, j) => pointAt(matrix, i + j)));
      bar.update(Math.min(i + insertBatch, size), size);
    }
    const fillSeconds = (performance.now() - filling) / 1000;
    bar.end();
    const memory = (process.memoryUsage().rss - before) / 2 ** 20;
    const rounds = size > 100_000 ? 20 : 60;
    const ours: number[] = [];
    const scans: number[] = [];
    let found = 0;
    await index.query(queryNear(matrix, size, random));
    for (let round = 0; round < rounds; round++) {
      const query = queryNear(matrix, size, random);
      const [hits, ms] = await timed(() => index.query(query));
      ours.push(ms);
      const began = performance.now();
      const best = new Set(scan(matrix, size, query.vector).map((row) => pictureId('bench', String(row))));
      scans.push(performance.now() - began);
      found += hits.filter(({ id }) => best.has(id)).length;
    }
    const batches: number[] = [];
    for (let round = 0; round < Math.max(5, rounds / 6); round++) batches.push((await timed(() => index.queryBatch(Array.from({ length: together }, () => queryNear(matrix, size, random)))))[1]);
    const added: number[] = [];
    for (let i = 0; i < 20; i++) added.push((await timed(() => index.upsert([pointAt(matrix, i)])))[1]);
    return {
      vectors: size,
      fill_per_second: Math.round(size / fillSeconds),
      add_one_p50_ms: quantile(added, 0.5),
      memory_mb: Math.round(memory),
      p50_ms: quantile(ours, 0.5),
      p95_ms: quantile(ours, 0.95),
      batch32_p50_ms: quantile(batches, 0.5),
      batch32_p95_ms: quantile(batches, 0.95),
      recall_at_10: found / (rounds * limit),
      scan_p50_ms: quantile(scans, 0.5),
      scan_p95_ms: quantile(scans, 0.95),
      ratio_p50: Number((quantile(ours, 0.5) / quantile(scans, 0.5)).toFixed(3)),
    };
  } finally {
    await index.close();
  }
}

function pointAt(matrix: Float32Array, row: number): ImagePoint {
  return { id: pictureId('bench', String(row)), vector: matrix.slice(row * dim, (row + 1) * dim), tenant: 'all', tags: [], addedBy: null, addedAt: row, contentClass: 'safe' };
}

/** A picture's vector, moved a little: what a caption of it would be. */
function queryNear(matrix: Float32Array, size: number, random: () => number): ImageQuery {
  const row = Math.floor(Math.abs(random() * size)) % size;
  const vector = matrix.slice(row * dim, (row + 1) * dim).map((value) => value + 0.05 * random());
  const norm = Math.hypot(...vector);
  return { vector: vector.map((value) => value / norm), filter: { tenants: ['all'] }, limit };
}

/** Rows of the best, by one product after the other. */
function scan(matrix: Float32Array, size: number, vector: Float32Array): number[] {
  const rows: number[] = [];
  const scores: number[] = [];
  for (let row = 0; row < size; row++) {
    const score = dot(matrix, row * dim, vector, 0, dim);
    if (rows.length === limit && score <= scores[limit - 1]!) continue;
    let at = Math.min(rows.length, limit - 1);
    while (at > 0 && scores[at - 1]! < score) {
      rows[at] = rows[at - 1]!;
      scores[at] = scores[at - 1]!;
      at -= 1;
    }
    rows[at] = row;
    scores[at] = score;
  }
  return rows;
}

/** Unit vectors `[size, 256]` around cluster centres, different in 32 directions inside each, as pictures of a topic are. */
function clusteredVectors(size: number, random: () => number): Float32Array {
  const centres = Float32Array.from({ length: clusters * dim }, random);
  const directions = Float32Array.from({ length: inner * dim }, random);
  const matrix = new Float32Array(size * dim);
  const row = new Float32Array(dim);
  for (let i = 0; i < size; i++) {
    row.set(centres.subarray((i % clusters) * dim, ((i % clusters) + 1) * dim));
    for (let k = 0; k < inner; k++) {
      const weight = random() * 0.25;
      for (let j = 0; j < dim; j++) row[j]! += weight * directions[k * dim + j]!;
    }
    const norm = Math.sqrt(dot(row, 0, row, 0, dim));
    for (let j = 0; j < dim; j++) matrix[i * dim + j] = row[j]! / norm;
  }
  return matrix;
}

/** Seeded, about normal: the sum of four uniform numbers. */
function normals(seed: number): () => number {
  let state = seed >>> 0;
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  return () => (uniform() + uniform() + uniform() + uniform() - 2) * Math.sqrt(3);
}

async function timed<T>(work: () => Promise<T>): Promise<[T, number]> {
  const began = performance.now();
  const result = await work();
  return [result, performance.now() - began];
}

function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return Number(sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))]!.toPrecision(4));
}
