// Pictures of which only an address is known (an imported embeddings file): fetched when they are first
// shown, kept from then on; an address that no longer has a picture is marked dead.
import type { FileStore, PictureRow, PictureStore } from '../contracts.ts';
import { FromageError } from '../../errors.ts';
import type { PictureDecoder } from './take-pictures.ts';

/** An address that failed for a reason that may pass is left alone for this long. */
const pauseMs = 600_000;
const maxPaused = 10_000;
/** Somebody waits for the answer: a slow host is passed over for the next best picture. */
const showWithinMs = 5000;
const denyDistance = 8;

/** @throws FromageError; not `retryable` means that there is no picture at the address any more */
export type FetchPicture = (url: string, signal: AbortSignal) => Promise<Uint8Array>;

export interface LinkParts {
  readonly pictures: PictureStore;
  readonly files: FileStore;
  readonly decoder: PictureDecoder;
  /** Absent: pictures behind links are not shown. */
  readonly fetchPicture?: FetchPicture;
}

export class LinkedPictures {
  readonly #parts: LinkParts;
  readonly #onDead: (id: string) => void;
  readonly #paused = new Map<string, number>();
  readonly #running = new Map<string, Promise<PictureRow | null>>();

  /** @param onDead told of each picture that must not be found any more */
  constructor(parts: LinkParts, onDead: (id: string) => void) {
    this.#parts = parts;
    this.#onDead = onDead;
  }

  /** The row with its bytes in the store; null when they cannot be had (now, or ever again). */
  resolve(row: PictureRow): Promise<PictureRow | null> {
    if (row.dead) return Promise.resolve(null);
    if (row.hash !== '') return Promise.resolve(row);
    if (row.url === null || !this.#parts.fetchPicture || (this.#paused.get(row.id) ?? 0) > Date.now()) return Promise.resolve(null);
    const running = this.#running.get(row.id) ?? this.#fetch(row, row.url, this.#parts.fetchPicture).finally(() => this.#running.delete(row.id));
    this.#running.set(row.id, running);
    return running;
  }

  async #fetch(row: PictureRow, url: string, fetchPicture: FetchPicture): Promise<PictureRow | null> {
    const { pictures, files, decoder } = this.#parts;
    try {
      const clean = await decoder.sanitize(await fetchPicture(url, AbortSignal.timeout(showWithinMs)));
      const perceptualHash = await decoder.perceptualHash(clean.bytes);
      if (await pictures.isDenied(perceptualHash, denyDistance)) return await this.#bury(row.id);
      const { mimeType, width, height } = clean;
      const file = await files.put(clean.bytes, { mimeType, width, height, perceptualHash });
      const change = { hash: file.hash, mimeType, width, height, perceptualHash };
      return (await pictures.update(row.id, change)) ? { ...row, ...change } : null;
    } catch (error) {
      if (error instanceof FromageError && !error.retryable && /^(FETCH|VISION)_/.test(error.code)) return await this.#bury(row.id);
      if (this.#paused.size >= maxPaused) this.#paused.clear();
      this.#paused.set(row.id, Date.now() + pauseMs);
      return null;
    }
  }

  async #bury(id: string): Promise<null> {
    await this.#parts.pictures.update(id, { dead: true });
    this.#onDead(id);
    return null;
  }
}
