// Chooses the index: Qdrant where an address is set, else the embedded one.
import { EmbeddedIndex } from './embedded/embedded-index.ts';
import type { GalleryOptions } from './gallery.ts';
import { QdrantIndex } from './qdrant/qdrant-index.ts';

export interface IndexOptions {
  readonly qdrantUrl?: string;
  readonly qdrantApiKey?: string;
  /** Of the embedded index; the machine's cores by default. */
  readonly threads?: number;
}

/** What `StoredGalleryOptions` needs to know of the index. */
export function indexFactory({ qdrantUrl, qdrantApiKey, threads }: IndexOptions): { readonly indexName: string; readonly createIndex: GalleryOptions['createIndex'] } {
  if (qdrantUrl === undefined) return { indexName: 'embedded', createIndex: (dim) => new EmbeddedIndex(dim, threads === undefined ? {} : { threads }) };
  return { indexName: 'qdrant', createIndex: (dim, key) => new QdrantIndex(dim, key, { url: qdrantUrl, ...(qdrantApiKey === undefined ? {} : { apiKey: qdrantApiKey }) }) };
}
