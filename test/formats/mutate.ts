// Seeded damage to model files, and the check that a reader answers it with a FormatError or with numbers.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { FormatError, openWeights, readEmbeddingsPickle, readNpy, readPickle } from '../../src/formats/index.ts';
import { temporaryFolder, writeSamples } from './samples.ts';

export interface FuzzResult {
  readonly refused: number;
  readonly read: number;
  readonly slowestMs: number;
  readonly peakArrayBytes: number;
  readonly codes: ReadonlySet<string>;
}

/** mulberry32: a small generator with a seed. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Values that sizes and offsets break on. */
const EDGES = [0, 1, 0x7f, 0x80, 0xff];

function damage(bytes: Buffer, next: () => number): Buffer {
  const pick = (limit: number): number => Math.floor(next() * limit);
  let result = Buffer.from(bytes);
  for (let times = 1 + pick(3); times > 0; times--) {
    const at = pick(Math.max(1, result.length));
    const kind = pick(6);
    if (kind === 0) result = result.subarray(0, at);
    else if (kind === 1 && at < result.length) result[at] = pick(256);
    else if (kind === 2) result = Buffer.concat([result.subarray(0, at), result.subarray(at, at + 1 + pick(64)), result.subarray(at)]);
    else if (kind === 3) result = Buffer.concat([result.subarray(0, at), result.subarray(at + 1 + pick(16))]);
    else if (kind === 4) result.fill(EDGES[pick(EDGES.length)] ?? 0, at, Math.min(result.length, at + 1 + pick(8)));
    else if (at < result.length) result[at] = (result[at] ?? 0) ^ (1 << pick(8));
  }
  return result;
}

/** Opens and reads everything that is there. */
function readAll(kind: string, file: string): void {
  if (kind === 'npy') readNpy(file);
  else if (kind === 'embeddings') {
    const opened = readEmbeddingsPickle(file);
    try {
      for (const row of opened.rows()) if (row.length !== opened.dim) throw new Error(`a row of ${row.length} numbers, not ${opened.dim}`);
    } finally {
      opened.close();
    }
  } else if (kind === 'pickle') readPickle(file).close();
  else {
    const store = openWeights(file);
    try {
      for (const [name, { shape }] of store.tensors) {
        const expected = shape.reduce((product, extent) => product * extent, 1);
        const { length } = store.readFloat32(name);
        if (length !== expected) throw new Error(`${name} has ${length} numbers, not ${expected}`);
      }
    } finally {
      store.close();
    }
  }
}

/** @throws whatever a reader throws that is no FormatError, with the seed in its message */
export function fuzz(count: number, seed: number): FuzzResult {
  const folder = temporaryFolder();
  const samples = Object.entries(writeSamples(folder)).map(([kind, file]) => ({ kind, bytes: readFileSync(file) }));
  const embeddings = samples.find(({ kind }) => kind === 'embeddings');
  if (embeddings !== undefined) samples.push({ kind: 'pickle', bytes: embeddings.bytes });
  const codes = new Set<string>();
  let refused = 0;
  let slowestMs = 0;
  let peakArrayBytes = 0;
  const before = process.memoryUsage().arrayBuffers;
  for (let i = 0; i < count; i++) {
    const sample = samples[i % samples.length];
    if (sample === undefined) continue;
    const file = join(folder, 'damaged');
    writeFileSync(file, damage(sample.bytes, random(seed + i)));
    const start = performance.now();
    try {
      readAll(sample.kind, file);
    } catch (error) {
      if (!(error instanceof FormatError)) throw new Error(`${sample.kind} with seed ${seed + i}: ${String(error)}`, { cause: error });
      refused++;
      codes.add(error.code);
    }
    slowestMs = Math.max(slowestMs, performance.now() - start);
    peakArrayBytes = Math.max(peakArrayBytes, process.memoryUsage().arrayBuffers - before);
  }
  return { refused, read: count - refused, slowestMs, peakArrayBytes, codes };
}
