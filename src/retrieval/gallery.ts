// The gallery: pictures with their pooled features, projected by whichever adapter serves and searched
// through an `ImageIndex` per projection. Pooled features are kept, so a new adapter re-projects all of
// it without decoding a picture again; the old projection answers until the new one is complete.
import { FromageError } from '../errors.ts';
import { visibleTo } from './visible.ts';
import type { Gallery, GalleryQuery, ImageFilter, ImageIndex, Picture, ScoredPicture } from './types.ts';

/** A picture with what is needed to show and to re-project it. */
export interface GalleryEntry {
  readonly picture: Picture;
  /** `[visionHiddenSize]`, the frozen encoder's output. */
  readonly pooled: Float32Array;
  readonly load: () => Promise<Uint8Array>;
}

/** One adapter as the gallery sees it. */
export interface Projection {
  /** Names what made the vectors: equal keys mean comparable vectors (the adapter's `visualHash`). */
  readonly key: string;
  readonly dim: number;
  /** Ids of adapters whose vectors these are: `GalleryQuery.adapter` may name them or `key`. */
  readonly adapters?: readonly string[];
  /** pooled features -> unit vectors `[dim]` in the same order. */
  readonly project: (pooled: readonly Float32Array[]) => Promise<readonly Float32Array[]>;
}

export interface GalleryOptions {
  readonly createIndex: (dim: number, key: string) => ImageIndex | Promise<ImageIndex>;
  /** Cosine below which nothing is shown; see `calibrate`. */
  readonly scoreThreshold?: number;
}

/** Rows projected at once: keeps one message to the engine small. */
const projectionBatch = 256;

interface Projected {
  readonly projection: Projection;
  readonly index: ImageIndex;
}

export class PictureGallery implements Gallery {
  readonly #options: GalleryOptions;
  readonly #entries = new Map<string, GalleryEntry>();
  readonly #projected = new Map<string, Projected>();
  #serving: string | null = null;
  #changes: Promise<void> = Promise.resolve();
  scoreThreshold: number;

  constructor(options: GalleryOptions) {
    this.#options = options;
    this.scoreThreshold = options.scoreThreshold ?? -1;
  }

  get size(): number {
    return this.#entries.size;
  }

  entries(): IterableIterator<GalleryEntry> {
    return this.#entries.values();
  }

  /** Retrievable once it resolves. An entry of the same id replaces the old one. */
  add(entries: readonly GalleryEntry[]): Promise<void> {
    return this.#exclusive(async () => {
      for (const { projection, index } of this.#projected.values()) await upsert(projection, index, entries);
      for (const entry of entries) this.#entries.set(entry.picture.id, entry);
    });
  }

  remove(ids: readonly string[]): Promise<void> {
    for (const id of ids) this.#entries.delete(id);
    return this.#exclusive(async () => {
      for (const { index } of this.#projected.values()) await index.delete(ids);
    });
  }

  /**
   * Projects everything with an adapter's maps and answers from that from then on. Others stay
   * queryable (`GalleryQuery.adapter` holds the key) until `drop`.
   */
  serve(projection: Projection, onProgress?: (done: number, total: number) => void): Promise<void> {
    return this.#exclusive(async () => {
      if (!this.#projected.has(projection.key)) {
        const index = await this.#options.createIndex(projection.dim, projection.key);
        const entries = [...this.#entries.values()];
        for (let i = 0; i < entries.length; i += projectionBatch) {
          await upsert(projection, index, entries.slice(i, i + projectionBatch));
          onProgress?.(Math.min(i + projectionBatch, entries.length), entries.length);
        }
        this.#projected.set(projection.key, { projection, index });
      }
      this.#serving = projection.key;
    });
  }

  /** Gives back a projection that no request uses any more. */
  drop(key: string): Promise<void> {
    return this.#exclusive(async () => {
      if (key === this.#serving) return;
      await this.#projected.get(key)?.index.close();
      this.#projected.delete(key);
    });
  }

  async find(query: GalleryQuery): Promise<readonly ScoredPicture[]> {
    const projected = this.#current(query.adapter);
    if (!projected) throw new FromageError({ code: 'RETRIEVAL_NOT_READY', what: 'the gallery has not been projected yet', retryable: true, userMessage: 'My pictures are still being sorted. Ask again in a moment.' });
    const hits = await projected.index.query({
      vector: query.vector,
      filter: query.filter,
      limit: query.limit,
      scoreThreshold: query.scoreThreshold ?? this.scoreThreshold,
      ...(query.exclude ? { exclude: query.exclude } : {}),
    });
    // Checked again on the way out: an index is not what keeps one chat's pictures from another.
    const visible = visibleTo(query.filter);
    return hits.flatMap(({ id, score }) => {
      const entry = this.#entries.get(id);
      return entry && visible(entry.picture) ? [{ ...entry.picture, score }] : [];
    });
  }

  async vectorOf(id: string, filter: ImageFilter): Promise<Float32Array | null> {
    const picture = await this.get(id, filter);
    const [found] = picture ? await (this.#current()?.index.vectors([id]) ?? []) : [];
    return found?.vector ?? null;
  }

  async sample(filter: ImageFilter, limit: number): Promise<readonly (Picture & { readonly vector: Float32Array })[]> {
    const visible = visibleTo(filter);
    const seen = [...this.#entries.values()].filter(({ picture }) => visible(picture));
    const chosen = evenly(seen.map(({ picture }) => picture.id).sort(), limit);
    const vectors = (await this.#current()?.index.vectors(chosen)) ?? [];
    return vectors.flatMap(({ id, vector }) => {
      const entry = this.#entries.get(id);
      return entry ? [{ ...entry.picture, vector }] : [];
    });
  }

  async bytes(id: string, filter: ImageFilter): Promise<Uint8Array | null> {
    const entry = this.#entries.get(id);
    return entry && visibleTo(filter)(entry.picture) ? await entry.load() : null;
  }

  async get(id: string, filter: ImageFilter): Promise<Picture | null> {
    const picture = this.#entries.get(id)?.picture;
    return picture && visibleTo(filter)(picture) ? picture : null;
  }

  async close(): Promise<void> {
    await this.#changes.catch(() => undefined);
    for (const { index } of this.#projected.values()) await index.close();
    this.#projected.clear();
    this.#serving = null;
  }

  #current(adapter?: string): Projected | undefined {
    const named = adapter === undefined ? undefined : (this.#projected.get(adapter) ?? [...this.#projected.values()].find(({ projection }) => projection.adapters?.includes(adapter)));
    return named ?? (this.#serving === null ? undefined : this.#projected.get(this.#serving));
  }

  #exclusive<T>(change: () => Promise<T>): Promise<T> {
    const done = this.#changes.then(change);
    this.#changes = done.then(() => undefined, () => undefined);
    return done;
  }
}

async function upsert({ project }: Projection, index: ImageIndex, entries: readonly GalleryEntry[]): Promise<void> {
  const vectors = await project(entries.map((entry) => entry.pooled));
  await index.upsert(
    entries.map(({ picture }, i) => ({
      id: picture.id,
      vector: vectors[i]!,
      tenant: picture.tenant,
      tags: picture.tags,
      addedBy: picture.addedBy,
      addedAt: picture.addedAt,
      contentClass: picture.contentClass,
    })),
  );
}

/** At most `limit` of a list, at equal distances. */
export function evenly<T>(list: readonly T[], limit: number): T[] {
  if (list.length <= limit) return [...list];
  return Array.from({ length: limit }, (_, i) => list[Math.floor((i * list.length) / limit)]!);
}
