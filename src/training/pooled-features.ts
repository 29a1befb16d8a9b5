// Pooled features of pictures, computed once: kept in a file per encoder, found by the hash of the
// picture's bytes, and read from there row by row, so that they need not fit into memory.
import { createHash } from 'node:crypto';
import { closeSync, fstatSync, ftruncateSync, mkdirSync, openSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { VisionEncoder } from '../model/index.ts';
import { type PictureName, pictureKey } from './examples.ts';
import { readPictures } from './picture-files.ts';

const hashBytes = 32;
const encodeBatch = 8;

/** Records of 32 bytes of SHA-256 and `[V]` float32, appended; a torn last record is cut off at opening. */
class FeatureFile {
  readonly #handle: number;
  readonly #width: number;
  readonly #rows = new Map<string, number>();
  #end = 0;

  constructor(file: string, width: number) {
    this.#width = width;
    this.#handle = openSync(file, 'a+');
    const record = hashBytes + width * 4;
    const count = Math.floor(fstatSync(this.#handle).size / record);
    this.#end = count * record;
    ftruncateSync(this.#handle, this.#end);
    const hash = Buffer.alloc(hashBytes);
    for (let i = 0; i < count; i++) {
      readSync(this.#handle, hash, 0, hashBytes, i * record);
      this.#rows.set(hash.toString('hex'), i * record + hashBytes);
    }
  }

  offset(hash: string): number | undefined {
    return this.#rows.get(hash);
  }

  append(hash: string, features: Float32Array): void {
    writeSync(this.#handle, Buffer.concat([Buffer.from(hash, 'hex'), new Uint8Array(features.buffer, features.byteOffset, features.byteLength)]));
    this.#rows.set(hash, this.#end + hashBytes);
    this.#end += hashBytes + features.byteLength;
  }

  read(offset: number): Float32Array {
    const features = new Float32Array(this.#width);
    readSync(this.#handle, new Uint8Array(features.buffer), 0, features.byteLength, offset);
    return features;
  }

  close(): void {
    closeSync(this.#handle);
  }
}

/** Features of the pictures of a run. */
export interface PooledFeatures {
  has(picture: PictureName): boolean;
  /** `[V]`; null for a picture that cannot be read. */
  get(picture: PictureName): Float32Array | null;
  /** Pictures that cannot be read, as `images/name`. */
  readonly unreadable: readonly string[];
  /** How many were encoded now and not found in the cache. */
  readonly encoded: number;
  close(): void;
}

export interface PooledOptions {
  /** Outputs of this encoder that the caller has, by the name of a picture without `images`. */
  readonly brought?: ReadonlyMap<string, Float32Array>;
  readonly encoder: VisionEncoder;
  readonly cacheDir: string;
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

/** Makes sure that every picture has its features. Aborting keeps what was encoded. */
export async function preparePooled(pictures: Iterable<PictureName>, { encoder, cacheDir, brought = new Map(), onProgress, signal }: PooledOptions): Promise<PooledFeatures> {
  const folder = join(cacheDir, 'pooled');
  mkdirSync(folder, { recursive: true });
  const file = new FeatureFile(join(folder, `${encoder.hash.slice(0, 32)}.features`), encoder.visionHiddenSize);
  const wanted = new Map<string, Set<string>>();
  for (const { images, name } of pictures) if (images !== '') wanted.set(images, (wanted.get(images) ?? new Set()).add(name));
  const total = [...wanted.values()].reduce((sum, names) => sum + names.size, 0);
  const places = new Map<string, number>();
  const unreadable: string[] = [];
  let done = 0;
  let encoded = 0;
  let waiting: { key: string; hash: string; pixels: Float32Array }[] = [];
  const flush = async (): Promise<void> => {
    if (waiting.length === 0) return;
    const volume = waiting[0]!.pixels.length;
    const pixels = new Float32Array(waiting.length * volume);
    waiting.forEach((each, i) => pixels.set(each.pixels, i * volume));
    const pooled = await encoder.encode(pixels, waiting.length);
    waiting.forEach(({ key, hash }, i) => {
      if (file.offset(hash) === undefined) file.append(hash, pooled.slice(i * encoder.visionHiddenSize, (i + 1) * encoder.visionHiddenSize));
      places.set(key, file.offset(hash)!);
    });
    encoded += waiting.length;
    waiting = [];
  };
  try {
    for (const [images, names] of wanted) {
      for await (const { name, bytes } of readPictures(images, names)) {
        signal?.throwIfAborted();
        const key = pictureKey({ images, name });
        const hash = bytes && createHash('sha256').update(bytes).digest('hex');
        const known = hash === null ? undefined : file.offset(hash);
        if (known !== undefined) places.set(key, known);
        else {
          const pixels = bytes && (await encoder.preprocess(bytes).catch(() => null));
          if (pixels && hash) waiting.push({ key, hash, pixels });
          else unreadable.push(`${images}/${name}`);
        }
        if (waiting.length === encodeBatch) await flush();
        onProgress?.(++done, total);
      }
      await flush();
    }
  } catch (error) {
    file.close();
    throw error;
  }
  return {
    has: (picture) => (picture.images === '' ? brought.get(picture.name)?.length === encoder.visionHiddenSize : places.has(pictureKey(picture))),
    get(picture) {
      if (picture.images === '') return brought.get(picture.name) ?? null;
      const place = places.get(pictureKey(picture));
      return place === undefined ? null : file.read(place);
    },
    unreadable,
    encoded,
    close: () => file.close(),
  };
}
