// Pictures through the vision encoder, remembered by what is in them: a picture that comes again in the
// next turn costs nothing.
import { createHash } from 'node:crypto';
import { FromageError } from '../errors.ts';
import type { VisionEncoder } from '../model/types.ts';
import { LruMap } from './lru.ts';
import type { EngineImage } from './types.ts';
import type { WorkQueue } from './work-queue.ts';

/** Pictures that are decoded together and go through the encoder in one unit of work. */
const batchSize = 4;

export interface PooledImage {
  /** SHA-256 of the bytes (or of the features given), worked out here and never taken from the caller. */
  readonly hash: string;
  /** `[visionHiddenSize]`; shared, not to be changed. */
  readonly pooled: Float32Array;
}

export class ImageFeatures {
  readonly #vision: VisionEncoder;
  readonly #work: WorkQueue;
  readonly #known: LruMap<string, Float32Array>;

  /** @param capacity pictures that are remembered */
  constructor(vision: VisionEncoder, work: WorkQueue, capacity: number) {
    this.#vision = vision;
    this.#work = work;
    this.#known = new LruMap(capacity);
  }

  /** @throws what the vision room says of a picture that cannot be decoded; `ENGINE_REQUEST` for features of a wrong width */
  async resolve(image: EngineImage): Promise<PooledImage> {
    if ('pooled' in image) {
      this.checkPooled(image.pooled);
      const { buffer, byteOffset, byteLength } = image.pooled;
      return { hash: `p${sha256(new Uint8Array(buffer, byteOffset, byteLength))}`, pooled: image.pooled };
    }
    const [pooled] = await this.encode([image.bytes]);
    if (pooled instanceof Float32Array) return { hash: sha256(image.bytes), pooled };
    throw pooled;
  }

  /** Pooled features of each picture, or the error that it ended in. */
  async encode(pictures: readonly Uint8Array[]): Promise<(Float32Array | Error)[]> {
    const results: (Float32Array | Error)[] = [];
    for (let start = 0; start < pictures.length; start += batchSize) {
      results.push(...(await this.#encodeBatch(pictures.slice(start, start + batchSize))));
    }
    return results;
  }

  checkPooled(pooled: Float32Array): void {
    const expected = this.#vision.visionHiddenSize;
    if (pooled.length === expected && pooled.every(Number.isFinite)) return;
    throw new FromageError({ code: 'ENGINE_REQUEST', what: `pooled features have ${pooled.length} numbers, expected ${expected} finite ones`, why: 'they must come from the engine’s own vision encoder', todo: 'encode the picture again' });
  }

  async #encodeBatch(pictures: readonly Uint8Array[]): Promise<(Float32Array | Error)[]> {
    const hashes = pictures.map(sha256);
    /** What is known at any moment of this batch: others may learn a picture, or make room for theirs, meanwhile. */
    const found = new Map<string, Float32Array>();
    const pixels = await Promise.all(
      pictures.map(async (bytes, index): Promise<Float32Array | Error | null> => {
        const hash = hashes[index] ?? '';
        const known = this.#known.get(hash);
        if (known) found.set(hash, known);
        return known ? null : this.#vision.preprocess(bytes).catch((error: unknown) => (error instanceof Error ? error : new Error(String(error))));
      }),
    );
    // One encoding for each picture that is new and could be decoded.
    const fresh = new Map<string, Float32Array>();
    pixels.forEach((value, index) => {
      const hash = hashes[index] ?? '';
      const known = this.#known.get(hash);
      if (known) found.set(hash, known);
      else if (value instanceof Float32Array) fresh.set(hash, value);
    });
    if (fresh.size > 0) {
      const pooled = await this.#work.unit(() => this.#vision.encode(joined([...fresh.values()]), fresh.size));
      const width = this.#vision.visionHiddenSize;
      [...fresh.keys()].forEach((hash, row) => {
        const features = pooled.slice(row * width, (row + 1) * width);
        found.set(hash, features);
        this.#known.set(hash, features);
      });
    }
    return pixels.map((value, index) => found.get(hashes[index] ?? '') ?? (value instanceof Error ? value : new FromageError({ code: 'ENGINE_REQUEST', what: 'a picture could not be encoded' })));
  }
}

function joined(rows: readonly Float32Array[]): Float32Array {
  const width = rows[0]?.length ?? 0;
  const all = new Float32Array(rows.length * width);
  rows.forEach((row, index) => all.set(row, index * width));
  return all;
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
