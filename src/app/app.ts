// The composition root: opens the store, starts the engine and the server, fills the gallery, connects the
// platforms that have a token, and stops all of it in the reverse order.
import type { Config } from '../config/index.ts';
import { asFromageError } from '../errors.ts';
import { createLogger } from '../log.ts';
import { EmbeddedIndex, PictureGallery } from '../retrieval/index.ts';
import { openStore } from '../store/index.ts';
import { PictureWorker } from '../vision/index.ts';
import { startWebServer } from '../web/index.ts';
import { openEngine } from './engine.ts';
import { createPictureAdder, storedEntries } from './pictures.ts';
import { fillGallery, projectionOf } from './session-gallery.ts';

export interface AppHooks {
  /** A line for the person who started the program. */
  readonly say: (line: string) => void;
  readonly onProgress: (task: string, unit: string, done: number, total: number) => void;
}

export interface App {
  /** Address of the page. */
  readonly url: string;
  /** Rejects when the program cannot go on (the model cannot be loaded). */
  readonly failed: Promise<never>;
  /** Resolves when the model is loaded and the gallery can be asked. */
  readonly ready: Promise<void>;
  stop(): Promise<void>;
}

/** @throws FromageError when the store cannot be opened or the port is taken */
export async function startApp(config: Config, hooks: AppHooks): Promise<App> {
  const log = createLogger(config.FROMAGE_LOG);
  const stopping = new AbortController();
  const store = await openStore({ dataDir: config.FROMAGE_DATA_DIR, ...(config.DATABASE_URL === undefined ? {} : { databaseUrl: config.DATABASE_URL }) });
  const engine = await openEngine(config);
  const worker = new PictureWorker();
  const gallery = new PictureGallery({ createIndex: (dim) => new EmbeddedIndex(dim, config.FROMAGE_THREADS === undefined ? {} : { threads: config.FROMAGE_THREADS }) });
  let modelReady = false;
  let galleryReady = false;
  const pictures = createPictureAdder({ engine, worker, store, gallery });
  const closeParts = async () => {
    await gallery.close();
    await engine.close();
    await worker.close();
    await store.close();
  };
  const server = await startWebServer({
    engine,
    gallery: () => (galleryReady ? gallery : null),
    pictures,
    sanitize: (bytes) => worker.sanitize(bytes),
    store,
    host: config.FROMAGE_HOST,
    port: config.PORT,
    apiKey: config.FROMAGE_API_KEY ?? null,
    allowedHosts: config.FROMAGE_ALLOWED_HOSTS,
    notReady: () => (modelReady ? null : 'the model is being loaded'),
    log: log.child({ room: 'web' }),
  }).catch(async (error: unknown) => {
    await closeParts();
    throw error;
  });
  hooks.say(`Fromage listens on ${server.url} and loads the model …`);

  const ready = (async () => {
    const info = await engine.ready();
    modelReady = true;
    hooks.say(`Ready: ${info.model} (${info.family}, ${info.weights} weights, ${info.device}). Open ${server.url}`);
    const skipped = await fillGallery(config, engine, gallery, (done, total) => hooks.onProgress('encoding the gallery', 'pictures', done, total), stopping.signal);
    await gallery.add(await storedEntries(store, info.visionHash, engine));
    await gallery.serve(await projectionOf(engine));
    galleryReady = true;
    for (const { file, reason } of skipped) hooks.say(`skipped ${file}: ${reason}`);
    hooks.say(`${gallery.size} pictures can be shown.`);
  })();
  const failed = new Promise<never>((_, reject) => {
    ready.catch((thrown: unknown) => {
      if (!stopping.signal.aborted) reject(asFromageError(thrown));
    });
  });
  failed.catch(() => undefined);

  return {
    url: server.url,
    ready,
    failed,
    async stop() {
      stopping.abort();
      await server.close();
      await ready.catch(() => undefined);
      await closeParts();
    },
  };
}
