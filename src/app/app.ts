// The composition root: opens the store, starts the engine and the server, connects the platforms that
// have a token, fills the gallery, and stops all of it in the reverse order.
import { ChatBot, type ChatServices } from '../chat/index.ts';
import type { Config } from '../config/index.ts';
import { asFromageError, FromageError } from '../errors.ts';
import type { Learning } from '../learning/index.ts';
import { createLogger } from '../log.ts';
import type { StoredGallery } from '../retrieval/index.ts';
import { openStore } from '../store/index.ts';
import { PictureWorker } from '../vision/index.ts';
import { startWebServer } from '../web/index.ts';
import { openEngine } from './engine.ts';
import { openGallery } from './gallery.ts';
import { galleryAdmin } from './gallery-admin.ts';
import { openLearning } from './learning.ts';
import { connectPlatforms, type Platforms } from './platforms.ts';

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

/** How long answers that are being made may go on when the program stops. */
const drainMs = 8000;

/** @throws FromageError when the store cannot be opened, the port is taken, or a platform refuses its token */
export async function startApp(config: Config, hooks: AppHooks): Promise<App> {
  const log = createLogger(config.FROMAGE_LOG);
  const stopping = new AbortController();
  const store = await openStore({ dataDir: config.FROMAGE_DATA_DIR, ...(config.DATABASE_URL === undefined ? {} : { databaseUrl: config.DATABASE_URL }) });
  const engine = await openEngine(config);
  const worker = new PictureWorker();
  let modelReady = false;
  let gallery: StoredGallery | null = null;
  let learning: Learning | null = null;
  let platforms: Platforms | null = null;
  const sanitize = (bytes: Uint8Array) => worker.sanitize(bytes);
  const readyGallery = (): StoredGallery => {
    if (!gallery) throw new FromageError({ code: 'APP_GALLERY_STARTING', what: 'the gallery is still being filled', retryable: true, userMessage: 'My pictures are still being sorted. Try again in a moment.' });
    return gallery;
  };
  const bot = new ChatBot({
    store,
    engine,
    gallery: () => gallery,
    sanitize,
    services: services(() => learning, galleryAdmin(readyGallery)),
    operators: config.FROMAGE_ADMINS,
    maxRunning: config.FROMAGE_BATCH,
    log,
  });
  const closeParts = async () => {
    await learning?.close();
    await gallery?.close();
    await engine.close();
    await worker.close();
    await store.close();
  };
  const server = await startWebServer({
    engine,
    gallery: () => gallery,
    pictures: { addPicture: (picture) => readyGallery().addPicture(picture), removePicture: (id) => readyGallery().removePicture(id) },
    sanitize,
    store,
    adapterFor: async () => learning?.adapterFor(null),
    learning: () => learning,
    host: config.FROMAGE_HOST,
    port: config.PORT,
    apiKey: config.FROMAGE_API_KEY ?? null,
    allowedHosts: config.FROMAGE_ALLOWED_HOSTS,
    notReady: () => (modelReady ? null : 'the model is being loaded'),
    webhook: config.TELEGRAM_WEBHOOK_URL === undefined ? null : { path: new URL(config.TELEGRAM_WEBHOOK_URL).pathname, handler: () => platforms?.webhook ?? null },
    log: log.child({ room: 'web' }),
  }).catch(async (error: unknown) => {
    await closeParts();
    throw error;
  });
  hooks.say(`Fromage listens on ${server.url} and loads the model …`);
  try {
    platforms = await connectPlatforms(config, bot, hooks.say);
  } catch (error) {
    await server.close(0);
    await closeParts();
    throw error;
  }

  // What nobody needs any more goes daily.
  const tidying = setInterval(() => void store.tidy().catch((error: unknown) => log.warn({ code: asFromageError(error).code }, 'the store could not be tidied')), 86_400_000);
  tidying.unref();

  const ready = (async () => {
    const info = await engine.ready();
    modelReady = true;
    hooks.say(`Ready: ${info.model} (${info.family}, ${info.weights} weights, ${info.device}). Open ${server.url}`);
    const opened = await openGallery({ config, engine, worker, store, log: log.child({ room: 'retrieval' }) }, (done, total) => hooks.onProgress('encoding the gallery', 'pictures', done, total), stopping.signal);
    gallery = opened.gallery;
    for (const { file, reason } of opened.skipped) hooks.say(`skipped ${file}: ${reason}`);
    learning = await openLearning({ config, engine, store, gallery, log });
    hooks.say(`${(await gallery.stats(['all', 'web'])).total} pictures can be shown.`);
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
      clearInterval(tidying);
      await Promise.all([platforms?.stop(drainMs), server.close()]);
      await ready.catch(() => undefined);
      await closeParts();
    },
  };
}

/** Jobs and adapters are there once the model is loaded; until then their commands say that they are not. */
function services(learning: () => Learning | null, gallery: NonNullable<ChatServices['galleryAdmin']>): ChatServices {
  return {
    galleryAdmin: gallery,
    adapterFor: async (chatId) => learning()?.adapterFor(chatId),
    get jobs() {
      return learning()?.jobs as NonNullable<ChatServices['jobs']>;
    },
    get adapters() {
      return learning()?.adapters as NonNullable<ChatServices['adapters']>;
    },
  };
}
