// The gallery of a running program: the store's pictures and, beside them, the starter's and those of the
// folder that was named, searched by the serving adapter.
import type { Config } from '../config/index.ts';
import type { Engine } from '../engine/types.ts';
import type { Logger } from '../log.ts';
import { createSafeFetcher, EmbeddedIndex, indexFactory, openStoredGallery, PictureGallery, type StoredGallery } from '../retrieval/index.ts';
import type { FileStore, PictureStore } from '../retrieval/contracts.ts';
import type { PictureWorker } from '../vision/index.ts';
import { fillGallery, type GalleryProgress, projectionOf } from './session-gallery.ts';

export interface GalleryParts {
  readonly config: Config;
  readonly engine: Engine;
  readonly worker: PictureWorker;
  readonly store: { readonly files: FileStore; readonly pictures: PictureStore };
  readonly log: Logger;
}

/** Files of the user's folder that could not be taken come back with the reason. */
export async function openGallery(parts: GalleryParts, onProgress: GalleryProgress, signal: AbortSignal): Promise<{ readonly gallery: StoredGallery; readonly skipped: readonly { readonly file: string; readonly reason: string }[] }> {
  const { config, engine, worker, store, log } = parts;
  const threads = config.FROMAGE_THREADS === undefined ? {} : { threads: config.FROMAGE_THREADS };
  const fixed = new PictureGallery({ createIndex: (dim) => new EmbeddedIndex(dim, threads) });
  const skipped = await fillGallery(config, engine, fixed, onProgress, signal);
  const fetcher = createSafeFetcher();
  const gallery = await openStoredGallery(
    {
      pictures: store.pictures,
      files: store.files,
      encoder: (await engine.info()).visionHash,
      encode: (images) => engine.encodeImages(images),
      decoder: worker,
      ...indexFactory({ ...threads, ...(config.QDRANT_URL === undefined ? {} : { qdrantUrl: config.QDRANT_URL }), ...(config.QDRANT_API_KEY === undefined ? {} : { qdrantApiKey: config.QDRANT_API_KEY }) }),
      fixed,
      fetchPicture: (url) => fetcher.fetch(url),
      onError: (error) => log.warn({ reason: error instanceof Error ? error.message : String(error) }, 'the image index lags behind and is mended'),
    },
    await projectionOf(engine),
    undefined,
    signal,
  );
  return { gallery, skipped };
}
