// The gallery over the database: rows, features and bytes are durable there, an `ImageIndex` per projection
// answers searches, and the pictures that come with the program are searched beside them. What is added is
// retrievable when the call resolves; what is taken down is gone from index, store and future train sets.
import { FromageError } from '../../errors.ts';
import type { FileStore, PictureRow, PictureStore } from '../contracts.ts';
import { evenly, type GalleryOptions, type PictureGallery, type Projection } from '../gallery.ts';
import type { Gallery, GalleryQuery, ImageFilter, ImageIndex, Picture, ScoredPicture } from '../types.ts';
import { visibleTo } from '../visible.ts';
import { readCalibration } from './calibration.ts';
import { fillPooled } from './fill-pooled.ts';
import { hiddenIds, hidePictures } from './hidden.ts';
import { type FetchPicture, LinkedPictures } from './links.ts';
import { loadDuplicates, type NearDuplicates } from './near-duplicates.ts';
import { repeat } from './repeat.ts';
import { pictureOf, scored } from './row-picture.ts';
import { sampleRows } from './sample.ts';
import { type IndexDifference, pointOf, projectRows, syncIndex, type SyncProgress } from './sync.ts';
import { type DecodedPicture, decodeOffered, type EncodePictures, type OfferedPicture, type PictureDecoder, storeDecoded, type Taken } from './take-pictures.ts';

export interface StoredGalleryOptions {
  readonly pictures: PictureStore;
  readonly files: FileStore;
  /** Names the frozen encoder (`visionHash`): features of two encoders are never mixed. */
  readonly encoder: string;
  readonly encode: EncodePictures;
  readonly decoder: PictureDecoder;
  readonly createIndex: GalleryOptions['createIndex'];
  /** What people are told the index is: `embedded` or `qdrant`. */
  readonly indexName?: string;
  /** Pictures from files (starter, `--gallery`), never written to the store; closed with this gallery. */
  readonly fixed?: PictureGallery;
  /** For pictures that are only links. */
  readonly fetchPicture?: FetchPicture;
  /** Cosine below which nothing is shown; the calibrated one of the serving projection when absent. */
  readonly scoreThreshold?: number;
  /** How often rows that another process wrote are looked for; 5,000 ms by default, 0 never. */
  readonly refreshMs?: number;
  /** Told of what went wrong in the background. */
  readonly onError?: (error: unknown) => void;
}

interface Served {
  readonly index: ImageIndex;
  readonly names: Set<string>;
  projection: Projection;
  /** Searches under way: a projection is given back only when none is left. */
  users: number;
  drained: (() => void) | null;
  /** The index may lag behind the rows: a write to it failed, or it was lost. */
  behind: boolean;
  /** State of the rows when the index was last level. */
  level: string;
}

/** Candidates beyond those asked for, in place of links that turn out dead, as in the reference. */
const spare = 3;
const defaultRefreshMs = 5000;

export class StoredGallery implements Gallery {
  readonly #options: StoredGalleryOptions;
  readonly #served = new Map<string, Served>();
  readonly #links: LinkedPictures;
  readonly #duplicates: Promise<NearDuplicates>;
  readonly #stopWatching: () => void;
  #serving: string | null = null;
  #threshold = -1;
  #changes: Promise<void> = Promise.resolve();
  #refreshing = false;
  #closed = false;

  constructor(options: StoredGalleryOptions) {
    this.#options = options;
    this.#links = new LinkedPictures(options, (id) => void this.#unlist([id]));
    this.#duplicates = loadDuplicates(options.pictures);
    this.#duplicates.catch(() => undefined);
    const refreshMs = options.refreshMs ?? defaultRefreshMs;
    this.#stopWatching = refreshMs > 0 ? repeat(() => this.refresh(), refreshMs, (error) => options.onError?.(error)) : () => undefined;
  }

  get scoreThreshold(): number {
    return this.#options.scoreThreshold ?? this.#threshold;
  }

  /** The key of the projection that searches use; null before the first. */
  get serving(): string | null {
    return this.#serving;
  }

  /** Makes a projection's vectors and index without using it yet, for an adapter that is only tried. */
  prepare(projection: Projection, onProgress?: SyncProgress, signal?: AbortSignal): Promise<void> {
    return this.#exclusive(() => this.#prepare(projection, onProgress, signal));
  }

  /** Searches use this projection from then on, all at once; the one before answers requests that name it until `drop`. */
  serve(projection: Projection, onProgress?: SyncProgress, signal?: AbortSignal): Promise<void> {
    return this.#exclusive(async () => {
      await this.#prepare(projection, onProgress, signal);
      await this.#options.pictures.activateProjection(projection.key);
      this.#threshold = (await readCalibration(this.#options.pictures, projection.key))?.threshold ?? -1;
      this.#serving = projection.key;
    });
  }

  /** Gives a projection back once its searches have ended; the serving one stays. */
  drop(key: string, options: { readonly forget?: boolean } = {}): Promise<void> {
    return this.#exclusive(async () => {
      const served = this.#served.get(key);
      if (!served || key === this.#serving) return;
      this.#served.delete(key);
      if (served.users > 0) await new Promise<void>((resolve) => (served.drained = resolve));
      await served.index.close();
      await this.#options.fixed?.drop(key);
      if (options.forget) await this.#options.pictures.dropProjection(key);
    });
  }

  async find(query: GalleryQuery): Promise<readonly ScoredPicture[]> {
    return await this.#use(query.adapter, async (served) => {
      const scoreThreshold = query.scoreThreshold ?? this.scoreThreshold;
      const [own, fixed] = await Promise.all([
        this.#search(served, { ...query, scoreThreshold }),
        this.#options.fixed?.find({ ...query, adapter: served.projection.key, scoreThreshold }) ?? [],
      ]);
      const candidates = [...own, ...fixed.map((picture) => ({ picture, row: null }))].sort((a, b) => b.picture.score - a.picture.score || (a.picture.id < b.picture.id ? -1 : 1));
      const found: ScoredPicture[] = [];
      while (found.length < query.limit && candidates.length > 0) {
        const next = candidates.splice(0, query.limit - found.length);
        const resolved = await Promise.all(next.map(async ({ picture, row }) => (row === null ? picture : scored(await this.#links.resolve(row), picture.score))));
        found.push(...resolved.filter((picture) => picture !== null));
      }
      return found;
    });
  }

  async bytes(id: string, filter: ImageFilter): Promise<Uint8Array | null> {
    const row = await this.#row(id, filter);
    if (!row) return (await this.#options.fixed?.bytes(id, filter)) ?? null;
    const resolved = await this.#links.resolve(row);
    return resolved && (await this.#options.files.get(resolved.hash));
  }

  async get(id: string, filter: ImageFilter): Promise<Picture | null> {
    const row = await this.#row(id, filter);
    return row ? pictureOf(row) : ((await this.#options.fixed?.get(id, filter)) ?? null);
  }

  async vectorOf(id: string, filter: ImageFilter): Promise<Float32Array | null> {
    if (!(await this.#row(id, filter))) return (await this.#options.fixed?.vectorOf(id, filter)) ?? null;
    return await this.#use(undefined, async ({ index }) => (await index.vectors([id]))[0]?.vector ?? null);
  }

  async sample(filter: ImageFilter, limit: number): Promise<readonly (Picture & { readonly vector: Float32Array })[]> {
    return await this.#use(undefined, async ({ index }) => {
      const fixed = (await this.#options.fixed?.sample(filter, limit)) ?? [];
      const rows = await sampleRows(this.#options.pictures, filter, Math.max(Math.ceil(limit / 2), limit - fixed.length));
      const vectors = await index.vectors([...rows.keys()]);
      return [...vectors.map(({ id, vector }) => ({ ...pictureOf(rows.get(id)!), vector })), ...evenly(fixed, limit - vectors.length)];
    });
  }

  /** Takes pictures in; each is retrievable once the call resolves. Outcomes are in the order given. */
  async take(offered: readonly OfferedPicture[]): Promise<readonly Taken[]> {
    return await this.commit(await this.decode(offered));
  }

  /** The first half of `take`, which may run ahead of the second: decoding in child processes. */
  decode(offered: readonly OfferedPicture[]): Promise<readonly (DecodedPicture | FromageError)[]> {
    return Promise.all(offered.map((one) => decodeOffered(this.#options.decoder, one)));
  }

  /** The second half of `take`. */
  async commit(decoded: readonly (DecodedPicture | FromageError)[]): Promise<readonly Taken[]> {
    const duplicates = await this.#duplicates;
    return await this.#exclusive(async () => {
      const projections = [...this.#served.values()].map(({ projection }) => projection);
      const outcomes = await storeDecoded(this.#options, decoded, duplicates, projections);
      const rows = outcomes.flatMap((outcome) => (outcome.outcome === 'added' ? [outcome] : []));
      for (const served of this.#served.values()) {
        const points = rows.map(({ row, vectors }) => pointOf(row, vectors.get(served.projection.key)!));
        await this.#write(served, () => served.index.upsert(points));
      }
      return outcomes;
    });
  }

  /**
   * One picture by hand: the page's gallery tab and `--gallery`.
   *
   * @throws FromageError `RETRIEVAL_DENIED` for a picture that was taken down, `VISION_…` for what is no picture
   */
  async addPicture(picture: { readonly bytes: Uint8Array; readonly caption: string; readonly addedBy: string | null; readonly tenant: string; readonly contentClass?: string }): Promise<{ readonly id: string; readonly alt: string }> {
    const [taken] = await this.take([picture]);
    switch (taken!.outcome) {
      case 'added':
        return { id: taken!.row.id, alt: taken!.row.alt };
      case 'known':
        return { id: taken!.id, alt: (await this.#options.pictures.get(taken!.id))?.alt ?? picture.caption };
      case 'denied':
        throw new FromageError({ code: 'RETRIEVAL_DENIED', what: 'this picture was taken down and is not taken in again', todo: 'an administrator can take it off the deny list', userMessage: 'This picture was removed by an administrator and cannot be added again.' });
      case 'unreadable':
        throw taken!.error;
    }
  }

  /** `/learn`: as `addPicture`, with the outcome as a value. */
  async learn(request: { readonly bytes: Uint8Array; readonly caption: string; readonly userId: string; readonly tenant: string }): Promise<{ readonly outcome: 'added'; readonly id: string; readonly total: number } | { readonly outcome: 'known'; readonly id: string } | { readonly outcome: 'denied' }> {
    const [taken] = await this.take([{ bytes: request.bytes, caption: request.caption, addedBy: request.userId, tenant: request.tenant }]);
    if (taken!.outcome === 'unreadable') throw taken!.error;
    if (taken!.outcome === 'added') return { outcome: 'added', id: taken!.row.id, total: await this.#options.pictures.count({ tenants: [request.tenant] }) };
    return taken!.outcome === 'known' ? { outcome: 'known', id: taken!.id } : { outcome: 'denied' };
  }

  async removePicture(id: string): Promise<boolean> {
    const row = await this.#options.pictures.get(id);
    return row !== null && (await this.remove({ ids: [id], tenants: [row.tenant], deny: false })).length > 0;
  }

  /**
   * Takes pictures out of index, store and train sets not yet used. `deny` keeps their perceptual hashes, so
   * that they do not come back; pictures of the program itself are hidden for good then.
   *
   * @returns the ids that went: only pictures of the tenants named, and of `addedBy` where given
   */
  async remove(request: { readonly ids: readonly string[]; readonly tenants: readonly string[]; readonly addedBy?: string; readonly deny: boolean; readonly by?: string; readonly reason?: string }): Promise<readonly string[]> {
    const visible = visibleTo({ tenants: request.tenants, ...(request.addedBy === undefined ? {} : { addedBy: request.addedBy }) });
    const rows = (await this.#options.pictures.getMany(request.ids)).filter(visible);
    if (request.deny) {
      const facts = { ...(request.by === undefined ? {} : { by: request.by }), ...(request.reason === undefined ? {} : { reason: request.reason }) };
      for (const { perceptualHash } of rows) if (perceptualHash !== null) await this.#options.pictures.deny(perceptualHash, facts);
    }
    const removed = rows.length > 0 ? await this.#options.pictures.remove(rows.map(({ id }) => id)) : [];
    await this.#unlist(removed);
    const { fixed, pictures } = this.#options;
    const hidden = fixed && request.deny && request.addedBy === undefined ? await hidePictures(pictures, fixed, request.ids, request.tenants) : [];
    return [...removed, ...hidden];
  }

  /** Pictures a chat may see, those of them not everybody's, and the kind of index. */
  async stats(tenants: readonly string[]): Promise<{ readonly total: number; readonly own: number; readonly index: string }> {
    const { pictures, fixed, indexName = 'embedded' } = this.#options;
    const fixedCount = fixed ? [...fixed.entries()].filter(({ picture }) => tenants.includes(picture.tenant)).length : 0;
    return { total: (await pictures.count({ tenants })) + fixedCount, own: await pictures.count({ tenants: tenants.filter((tenant) => tenant !== 'all') }), index: indexName };
  }

  /** Compares the serving index with the rows, vectors included; nothing is changed. */
  verify(onProgress?: SyncProgress): Promise<IndexDifference> {
    return this.#exclusive(() => syncIndex(this.#options.pictures, this.#current().index, this.#current().projection.key, { mend: false, deep: true, ...(onProgress ? { onProgress } : {}) }));
  }

  /** Brings the serving index level with the rows, vectors included. */
  rebuild(onProgress?: SyncProgress): Promise<IndexDifference> {
    return this.#exclusive(async () => {
      const served = this.#current();
      const difference = await syncIndex(this.#options.pictures, served.index, served.projection.key, { mend: true, deep: true, ...(onProgress ? { onProgress } : {}) });
      served.behind = false;
      served.level = await this.#stateOfRows(served);
      return difference;
    });
  }

  /** Mends what lags behind: after a failed write, a lost index, or pictures that another process added. */
  async refresh(): Promise<void> {
    if (this.#refreshing || this.#closed) return;
    this.#refreshing = true;
    try {
      await this.#exclusive(async () => {
        for (const served of this.#served.values()) {
          const state = await this.#stateOfRows(served);
          if (!served.behind && state === served.level) continue;
          await projectRows(this.#options.pictures, this.#options.encoder, served.projection);
          await syncIndex(this.#options.pictures, served.index, served.projection.key, { mend: true });
          served.behind = false;
          served.level = await this.#stateOfRows(served);
        }
      });
    } finally {
      this.#refreshing = false;
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#stopWatching();
    await this.#changes.catch(() => undefined);
    await this.#duplicates.catch(() => undefined);
    for (const { index } of this.#served.values()) await index.close();
    this.#served.clear();
    this.#serving = null;
    await this.#options.fixed?.close();
  }

  async #prepare(projection: Projection, onProgress?: SyncProgress, signal?: AbortSignal): Promise<void> {
    const { pictures, files, encoder, encode, createIndex, fixed } = this.#options;
    const known = this.#served.get(projection.key);
    if (known) {
      for (const name of projection.adapters ?? []) known.names.add(name);
      known.projection = projection;
      return;
    }
    await fillPooled({ pictures, files, encoder, encode }, onProgress, signal);
    await projectRows(pictures, encoder, projection, onProgress, signal);
    const index = await createIndex(projection.dim, projection.key);
    const served: Served = { index, projection, names: new Set(projection.adapters ?? []), users: 0, drained: null, behind: false, level: '' };
    try {
      served.level = await this.#stateOfRows(served);
      await this.#level(served, { ...(onProgress ? { onProgress } : {}), ...(signal ? { signal } : {}) });
      await fixed?.remove(await hiddenIds(pictures));
      await fixed?.serve(projection);
    } catch (error) {
      await index.close();
      throw error;
    }
    this.#served.set(projection.key, served);
  }

  /** A server that is away does not keep the program from starting: answers are words until it is back. */
  async #level(served: Served, options: { readonly onProgress?: SyncProgress; readonly signal?: AbortSignal }): Promise<void> {
    try {
      await syncIndex(this.#options.pictures, served.index, served.projection.key, { mend: true, ...options });
    } catch (error) {
      if (!(error instanceof FromageError) || !error.retryable) throw error;
      served.behind = true;
      this.#options.onError?.(error);
    }
  }

  async #search(served: Served, query: GalleryQuery): Promise<{ picture: ScoredPicture; row: PictureRow }[]> {
    const { vector, filter, limit, exclude, scoreThreshold } = query;
    let hits: Awaited<ReturnType<ImageIndex['query']>>;
    try {
      hits = await served.index.query({ vector, filter, limit: limit + spare, ...(exclude ? { exclude } : {}), ...(scoreThreshold === undefined ? {} : { scoreThreshold }) });
    } catch (error) {
      if (error instanceof FromageError && error.retryable) served.behind = true;
      throw error;
    }
    // Checked again on the way out: an index is not what keeps one chat's pictures from another.
    const visible = visibleTo(filter);
    const scores = new Map(hits.map(({ id, score }) => [id, score]));
    return (await this.#options.pictures.getMany([...scores.keys()])).flatMap((row) => (visible(row) && !row.dead ? [{ row, picture: { ...pictureOf(row), score: scores.get(row.id)! } }] : []));
  }

  async #use<T>(adapter: string | undefined, work: (served: Served) => Promise<T>): Promise<T> {
    const served = this.#current(adapter);
    served.users += 1;
    try {
      return await work(served);
    } finally {
      served.users -= 1;
      if (served.users === 0) served.drained?.();
    }
  }

  #current(adapter?: string): Served {
    const named = adapter === undefined ? undefined : (this.#served.get(adapter) ?? [...this.#served.values()].find(({ names }) => names.has(adapter)));
    const served = named ?? (this.#serving === null ? undefined : this.#served.get(this.#serving));
    if (!served) throw new FromageError({ code: 'RETRIEVAL_NOT_READY', what: 'the gallery has not been projected yet', retryable: true, userMessage: 'My pictures are still being sorted. Ask again in a moment.' });
    return served;
  }

  async #row(id: string, filter: ImageFilter): Promise<PictureRow | null> {
    const row = await this.#options.pictures.get(id);
    return row && !row.dead && visibleTo(filter)(row) ? row : null;
  }

  /** Rows are durable already: an index that cannot be written to is mended later, the picture is not lost. */
  async #write(served: Served, change: () => Promise<void>): Promise<void> {
    try {
      await change();
      served.level = await this.#stateOfRows(served);
    } catch (error) {
      served.behind = true;
      this.#options.onError?.(error);
    }
  }

  async #unlist(ids: readonly string[]): Promise<void> {
    if (ids.length === 0) return;
    const duplicates = await this.#duplicates;
    for (const id of ids) duplicates.remove(id);
    await this.#exclusive(async () => {
      for (const served of this.#served.values()) await this.#write(served, () => served.index.delete(ids));
    });
  }

  /** Changes whenever pictures come, go or die, in this process or another. */
  async #stateOfRows({ projection }: Served): Promise<string> {
    const { pictures } = this.#options;
    return `${await pictures.count({ includeDead: true })} ${await pictures.count()} ${await pictures.countVectors(projection.key)}`;
  }

  #exclusive<T>(change: () => Promise<T>): Promise<T> {
    const done = this.#changes.then(change);
    this.#changes = done.then(() => undefined, () => undefined);
    return done;
  }
}
