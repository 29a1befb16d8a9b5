// What commands about the gallery have in common: the store, the projection of the configured adapter, and
// the gallery itself, with the engine or without it.
import { createSafeFetcher, indexFactory, openStoredGallery, type PictureGallery, type Projection, type StoredGallery } from '../../retrieval/index.ts';
import { modelOptions, openEngine, projectionOf } from '../../app/index.ts';
import type { Config } from '../../config/index.ts';
import type { Engine } from '../../engine/types.ts';
import { createAdapter, findSources, loadVisionEncoder, readAdapterFolder } from '../../model/index.ts';
import { openStore, type Store } from '../../store/index.ts';
import { l2Normalize } from '../../tensor/index.ts';
import { PictureWorker } from '../../vision/index.ts';
import type { Progress } from '../progress.ts';

export function storeOf(config: Config): Promise<Store> {
  return openStore({ dataDir: config.FROMAGE_DATA_DIR, ...(config.DATABASE_URL === undefined ? {} : { databaseUrl: config.DATABASE_URL }) });
}

/** The configured adapter's projection from its file alone: no model is loaded. */
export async function projectionFromFile(config: Config): Promise<Projection> {
  const { adapter: folder } = await findSources(modelOptions(config));
  const { tensors, card } = readAdapterFolder(folder);
  const adapter = createAdapter('', tensors, card);
  const dim = adapter.retrievalDim;
  return {
    key: adapter.visualHash,
    dim,
    async project(pooled) {
      const width = pooled[0]?.length ?? 0;
      const rows = new Float32Array(pooled.length * width);
      pooled.forEach((row, i) => rows.set(row, i * width));
      const projected = adapter.projectImages(rows, pooled.length);
      return pooled.map((_, i) => l2Normalize(projected.slice(i * dim, (i + 1) * dim)));
    },
  };
}

/** Names the configured encoder, as the engine does; its weights are read and let go again. */
export async function encoderHash(config: Config): Promise<string> {
  const { visionEncoder } = await findSources(modelOptions(config));
  const encoder = await loadVisionEncoder({ source: visionEncoder });
  await encoder.close();
  return encoder.hash;
}

export interface OpenGallery {
  readonly store: Store;
  readonly engine: Engine;
  readonly worker: PictureWorker;
  readonly gallery: StoredGallery;
  readonly projection: Projection;
  close(): Promise<void>;
}

export interface OpenOptions {
  /** Child processes that decode. */
  readonly processes?: number;
  readonly allowHosts?: readonly string[];
  readonly fixed?: (engine: Engine) => Promise<PictureGallery>;
  readonly progress?: Progress;
  readonly signal?: AbortSignal;
}

/** The gallery as `start` has it, in this process; the caller closes it. */
export async function openGalleryOf(config: Config, options: OpenOptions = {}): Promise<OpenGallery> {
  const store = await storeOf(config);
  const engine = await openEngine(config);
  const worker = new PictureWorker({ processes: options.processes ?? 1, maxWaiting: 1024 });
  const fetcher = createSafeFetcher({ allowHosts: options.allowHosts ?? [] });
  const closers = [() => fetcher.close(), () => worker.close(), () => engine.close(), () => store.close()];
  const closeAll = async () => {
    for (const close of closers) await close().catch(() => undefined);
  };
  try {
    const info = await engine.ready();
    const projection = await projectionOf(engine);
    const gallery = await openStoredGallery(
      {
        pictures: store.pictures,
        files: store.files,
        encoder: info.visionHash,
        encode: (images) => engine.encodeImages(images),
        decoder: worker,
        ...indexOptions(config),
        fetchPicture: (url, signal) => fetcher.fetch(url, signal),
        ...(options.fixed ? { fixed: await options.fixed(engine) } : {}),
        refreshMs: 0,
      },
      projection,
      (done, total) => options.progress?.update(done, total),
      options.signal,
    );
    closers.unshift(() => gallery.close());
    return { store, engine, worker, gallery, projection, close: closeAll };
  } catch (error) {
    await closeAll();
    throw error;
  }
}

/** Qdrant where the configuration names one. */
export function indexOptions(config: Config): ReturnType<typeof indexFactory> {
  return indexFactory({
    ...(config.FROMAGE_THREADS === undefined ? {} : { threads: config.FROMAGE_THREADS }),
    ...(config.QDRANT_URL === undefined ? {} : { qdrantUrl: config.QDRANT_URL }),
    ...(config.QDRANT_API_KEY === undefined ? {} : { qdrantApiKey: config.QDRANT_API_KEY }),
  });
}
