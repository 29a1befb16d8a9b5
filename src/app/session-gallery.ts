// A gallery for as long as a program runs: the starter pictures and a user's own folder, projected by the
// serving adapter. The terminal and `generate` use it as it is; `start` adds the pictures of the store.
import type { Config } from '../config/index.ts';
import type { Engine } from '../engine/types.ts';
import { EmbeddedIndex, loadFolderGallery, loadStarterGallery, PictureGallery, type Projection } from '../retrieval/index.ts';
import { PictureWorker } from '../vision/index.ts';
import { cacheFolder } from './model-options.ts';

export interface SessionGallery {
  readonly gallery: PictureGallery;
  /** Files of the user's folder that could not be taken, with the reason. */
  readonly skipped: readonly { readonly file: string; readonly reason: string }[];
  close(): Promise<void>;
}

export type GalleryProgress = (done: number, total: number) => void;

/** The serving adapter (or the one named) as the gallery sees it. */
export async function projectionOf(engine: Engine, adapter?: string): Promise<Projection> {
  const { adapters, servingAdapter } = await engine.info();
  const info = adapters.find(({ id }) => id === (adapter ?? servingAdapter));
  const id = info?.id ?? servingAdapter;
  const key = info?.visualHash ?? id;
  return { key, dim: info?.retrievalDim ?? 0, project: (pooled) => engine.projectImages(pooled, id), adapters: adapters.filter(({ visualHash }) => visualHash === key).map((other) => other.id) };
}

/** @throws FromageError `RETRIEVAL_…` */
export async function openSessionGallery(config: Config, engine: Engine, onProgress: GalleryProgress, signal?: AbortSignal): Promise<SessionGallery> {
  const gallery = new PictureGallery({ createIndex: (dim) => new EmbeddedIndex(dim, config.FROMAGE_THREADS === undefined ? {} : { threads: config.FROMAGE_THREADS }) });
  const skipped = await fillGallery(config, engine, gallery, onProgress, signal);
  await gallery.serve(await projectionOf(engine));
  return { gallery, skipped, close: () => gallery.close() };
}

/** Adds the starter pictures and those of `FROMAGE_GALLERY`. */
export async function fillGallery(config: Config, engine: Engine, gallery: PictureGallery, onProgress: GalleryProgress, signal?: AbortSignal): Promise<SessionGallery['skipped']> {
  const common = { encode: (images: readonly Uint8Array[]) => engine.encodeImages(images), onProgress, ...(signal ? { signal } : {}) };
  const { visionHash } = await engine.info();
  await gallery.add(await loadStarterGallery({ ...common, visionHash, cacheDir: cacheFolder(config) }));
  if (config.FROMAGE_GALLERY === undefined) return [];
  const worker = new PictureWorker();
  try {
    const { entries, skipped } = await loadFolderGallery(config.FROMAGE_GALLERY, { ...common, sanitize: (bytes) => worker.sanitize(bytes) });
    await gallery.add(entries);
    return skipped;
  } finally {
    await worker.close();
  }
}
