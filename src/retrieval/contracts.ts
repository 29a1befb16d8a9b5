// What the gallery needs from a store: picture rows, the encoder outputs behind them, their vectors in
// each projection, the deny list, ingestion cursors, and the bytes by content hash. `store/` implements it.
import type { Picture, Tenant } from './types.ts';

/** What is known of stored bytes; they lie in the folder of the file store under `hash`. */
export interface StoredFile {
  /** SHA-256 (hex) of the bytes. */
  readonly hash: string;
  readonly byteSize: number;
  readonly mimeType: string;
  readonly width: number;
  readonly height: number;
  /** 64-bit perceptual hash, 16 hex digits, if it was computed. */
  readonly perceptualHash: string | null;
  readonly alt: string | null;
  readonly caption: string | null;
  readonly source: string | null;
  readonly licence: string | null;
  /** Pseudonymous user id. */
  readonly addedBy: string | null;
  readonly contentClass: string;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
}

export interface NewFile {
  readonly mimeType: string;
  readonly width: number;
  readonly height: number;
  readonly perceptualHash?: string | null;
  readonly alt?: string | null;
  readonly caption?: string | null;
  readonly source?: string | null;
  readonly licence?: string | null;
  readonly addedBy?: string | null;
  /** `safe` by default. */
  readonly contentClass?: string;
}

/** Content-addressed bytes. The database is the source of truth: a file without a row is rubbish, a row keeps its file. */
export interface FileStore {
  /** Durable (fsync) once it resolves. The same bytes twice are one file; the first facts are kept. */
  put(bytes: Uint8Array, facts: NewFile): Promise<StoredFile>;
  /** Null when unknown. @throws FromageError STORE_FILE_DAMAGED when the bytes on disk no longer match their hash */
  get(hash: string): Promise<Uint8Array | null>;
  stat(hash: string): Promise<StoredFile | null>;
  /** How many turns, gallery pictures and train rows point to it. */
  references(hash: string): Promise<number>;
  /** Removes row and bytes if nothing refers to them; says whether it did. */
  remove(hash: string): Promise<boolean>;
  /** Removes everything unreferenced that was put longer than `graceMs` ago (one day by default); gives the count. */
  collect(graceMs?: number): Promise<number>;
}

/** A gallery picture as it is kept. `hash` is '' while only `url` is known. */
export interface PictureRow extends Picture {
  readonly perceptualHash: string | null;
  /** Fetched when shown; null where the bytes are stored. */
  readonly url: string | null;
  /** The link no longer answers. */
  readonly dead: boolean;
}

/** `id` is a UUID chosen by the caller: a deterministic one makes ingestion resumable. */
export type NewPicture = Omit<PictureRow, 'dead'> & {
  /** Encoder output `[visionHiddenSize]` and the encoder's `visionHash`. */
  readonly pooled?: { readonly encoder: string; readonly values: Float32Array };
  /** Vectors by projection (`visualHash` of the adapter), unit length `[retrievalDim]`. */
  readonly vectors?: readonly { readonly projection: string; readonly values: Float32Array }[];
};

export interface PictureFilter {
  readonly tenants?: readonly Tenant[];
  readonly addedBy?: string;
  readonly tag?: string;
  readonly contentClasses?: readonly string[];
  /** Live ones only by default. */
  readonly includeDead?: boolean;
}

/** Pages run in ascending order of id; `after` is the last id of the page before. */
export interface Page {
  readonly after?: string;
  /** 1,000 by default. */
  readonly limit?: number;
}

export interface PictureValues {
  readonly id: string;
  readonly values: Float32Array;
}

export type PictureChange = Partial<Pick<PictureRow, 'alt' | 'caption' | 'source' | 'licence' | 'tags' | 'contentClass' | 'hash' | 'mimeType' | 'width' | 'height' | 'perceptualHash' | 'dead'>>;

export interface Denied {
  readonly perceptualHash: string;
  readonly reason: string | null;
  readonly by: string | null;
  readonly at: number;
}

/**
 * Rows of the gallery. A picture that is added is durable with its pooled output and vectors once the
 * call resolves: an index can always be rebuilt from here.
 */
export interface PictureStore {
  /** All or nothing. An id that is there already is left as it is and not counted. Gives the number added. */
  add(pictures: readonly NewPicture[]): Promise<number>;
  get(id: string): Promise<PictureRow | null>;
  /** In the order asked for; unknown ids are left out. */
  getMany(ids: readonly string[]): Promise<readonly PictureRow[]>;
  list(filter?: PictureFilter, page?: Page): Promise<readonly PictureRow[]>;
  count(filter?: PictureFilter): Promise<number>;
  /** The same bytes in the same tenant. */
  findByHash(hash: string, tenant: Tenant): Promise<PictureRow | null>;
  /** Near duplicates in one tenant: at most `maxDistance` of 64 bits differ (0 by default); nearest first. */
  findSimilar(perceptualHash: string, tenant: Tenant, maxDistance?: number): Promise<readonly PictureRow[]>;
  update(id: string, change: PictureChange): Promise<boolean>;
  /** Rows, pooled outputs, vectors, unreferenced bytes, and rows of train sets not yet used. Gives the ids that were there. */
  remove(ids: readonly string[]): Promise<readonly string[]>;

  putPooled(encoder: string, values: readonly PictureValues[]): Promise<void>;
  pooled(encoder: string, page?: Page): Promise<readonly PictureValues[]>;
  pooledOf(encoder: string, id: string): Promise<Float32Array | null>;
  /** Pictures that have no pooled output of this encoder yet. */
  withoutPooled(encoder: string, page?: Page): Promise<readonly PictureRow[]>;

  putVectors(projection: string, values: readonly PictureValues[]): Promise<void>;
  vectors(projection: string, page?: Page): Promise<readonly PictureValues[]>;
  countVectors(projection: string): Promise<number>;
  /** Pictures with a pooled output of `encoder` and no vector of `projection` yet. */
  withoutVector(projection: string, encoder: string, page?: Page): Promise<readonly PictureValues[]>;
  dropProjection(projection: string): Promise<number>;
  /** The projection that queries use; null before the first. */
  activeProjection(): Promise<string | null>;
  /** Atomic. */
  activateProjection(projection: string): Promise<void>;

  deny(perceptualHash: string, facts?: { readonly reason?: string; readonly by?: string }): Promise<void>;
  undeny(perceptualHash: string): Promise<boolean>;
  /** Whether a hash within `maxDistance` bits (0 by default) is on the list. */
  isDenied(perceptualHash: string, maxDistance?: number): Promise<boolean>;
  denied(): Promise<readonly Denied[]>;

  /** How far an ingestion source was worked off; any string. */
  cursor(source: string): Promise<string | null>;
  setCursor(source: string, value: string | null): Promise<void>;
}
