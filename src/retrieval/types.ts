// The contract of an image index: unit vectors with a small payload, filtered nearest neighbours by
// cosine, higher is better. The embedded index and Qdrant both implement it and pass one suite.

/** Who may see a picture: everybody, one guild, or one chat. Opaque strings, e.g. `all`, `guild:discord:1`, `chat:telegram:2`. */
export type Tenant = string;

export const everybody: Tenant = 'all';

export interface ImagePoint {
  /** UUID. */
  readonly id: string;
  /** `[retrievalDim]`, unit length. */
  readonly vector: Float32Array;
  readonly tenant: Tenant;
  readonly tags: readonly string[];
  readonly addedBy: string | null;
  /** Milliseconds since 1970. */
  readonly addedAt: number;
  /** `safe` unless somebody said otherwise. */
  readonly contentClass: string;
}

export interface ImageFilter {
  /** A query sees only these; an empty list sees nothing. */
  readonly tenants: readonly Tenant[];
  /** All of these tags. */
  readonly tags?: readonly string[];
  readonly addedBy?: string;
  readonly addedAfter?: number;
  readonly addedBefore?: number;
  readonly contentClasses?: readonly string[];
}

export interface ImageQuery {
  /** `[retrievalDim]`; normalised by the index. */
  readonly vector: Float32Array;
  readonly filter: ImageFilter;
  readonly limit: number;
  /** Ids that must not come back (already shown). */
  readonly exclude?: ReadonlySet<string>;
  readonly scoreThreshold?: number;
}

export interface ImageHit {
  readonly id: string;
  /** Cosine in [−1, 1]. */
  readonly score: number;
}

export interface ImageVector {
  readonly id: string;
  /** `[retrievalDim]`, unit length. */
  readonly vector: Float32Array;
}

export interface ImageIndex {
  readonly dim: number;
  /** Visible to queries once it resolves; same id replaces. */
  upsert(points: readonly ImagePoint[]): Promise<void>;
  /** Best first; ties by id, ascending. */
  query(query: ImageQuery): Promise<readonly ImageHit[]>;
  queryBatch(queries: readonly ImageQuery[]): Promise<readonly (readonly ImageHit[])[]>;
  delete(ids: readonly string[]): Promise<void>;
  count(filter?: ImageFilter): Promise<number>;
  /** Ids in ascending order after `after`, at most `limit` (1,000 by default): for comparing with the rows. */
  ids(page?: { readonly after?: string; readonly limit?: number }): Promise<readonly string[]>;
  /** In no particular order; unknown ids are left out. */
  vectors(ids: readonly string[]): Promise<readonly ImageVector[]>;
  /** Replaces everything at once, where an index outlives the program: searches see the old points until the last new one is in. */
  refill?(pages: AsyncIterable<readonly ImagePoint[]>): Promise<void>;
  close(): Promise<void>;
}

/** A picture that may be shown, as its row says; the bytes lie in the file store under `hash`. */
export interface Picture {
  /** UUID. */
  readonly id: string;
  /** SHA-256 (hex) of the stored bytes. */
  readonly hash: string;
  readonly tenant: Tenant;
  /** What a screen reader says; never empty. */
  readonly alt: string;
  readonly caption: string | null;
  /** Where it comes from (page, package or person), if known. */
  readonly source: string | null;
  readonly licence: string | null;
  readonly addedBy: string | null;
  /** Milliseconds since 1970. */
  readonly addedAt: number;
  readonly tags: readonly string[];
  readonly contentClass: string;
  readonly mimeType: string;
  readonly width: number;
  readonly height: number;
}

export interface ScoredPicture extends Picture {
  readonly score: number;
}

export interface GalleryQuery {
  /** Retrieval embedding, unit length. */
  readonly vector: Float32Array;
  readonly filter: ImageFilter;
  /** Picture ids already shown. */
  readonly exclude?: ReadonlySet<string>;
  readonly limit: number;
  /** Cosine below which "I have no picture of that" is the honest answer; the gallery's calibrated one when absent. */
  readonly scoreThreshold?: number;
  /** Adapter that made `vector`; the serving one when absent. */
  readonly adapter?: string;
}

/** What conversations need of a gallery. `retrieval/` implements it over an `ImageIndex` and a picture store. */
export interface Gallery {
  /** Best first; empty when nothing is good enough. */
  find(query: GalleryQuery): Promise<readonly ScoredPicture[]>;
  /** Encoded bytes of one picture that the filter may see; null when there is none. */
  bytes(id: string, filter: ImageFilter): Promise<Uint8Array | null>;
  get(id: string, filter: ImageFilter): Promise<Picture | null>;
  /** A picture's own vector, for "similar to this one"; null when the filter does not see it. */
  vectorOf?(id: string, filter: ImageFilter): Promise<Float32Array | null>;
  /** Some of the pictures with their vectors, evenly drawn by id: for a map of the gallery. */
  sample?(filter: ImageFilter, limit: number): Promise<readonly (Picture & { readonly vector: Float32Array })[]>;
}
