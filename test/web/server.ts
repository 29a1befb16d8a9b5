// A web server over the tiny model, a real store in a temporary folder and a small gallery of drawn pictures.
import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { projectionOf } from '../../src/app/session-gallery.ts';
import { createPictureAdder } from '../../src/app/pictures.ts';
import { createEngine } from '../../src/engine/index.ts';
import type { Engine } from '../../src/engine/types.ts';
import { createLogger } from '../../src/log.ts';
import { loadFromage } from '../../src/model/index.ts';
import { EmbeddedIndex, PictureGallery } from '../../src/retrieval/index.ts';
import { openStore, type Store } from '../../src/store/index.ts';
import { PictureWorker } from '../../src/vision/index.ts';
import { startWebServer, type WebOptions, type WebServer } from '../../src/web/index.ts';
import { writeTinyFromage } from '../tiny/fromage.ts';

export interface TestServer {
  readonly url: string;
  readonly server: WebServer;
  readonly engine: Engine;
  readonly store: Store;
  readonly gallery: PictureGallery;
  close(): Promise<void>;
}

export function drawPicture(colour: string, side = 32): Promise<Buffer> {
  return sharp({ create: { width: side, height: side, channels: 3, background: colour } }).png().toBuffer();
}

export async function dataUrl(colour: string): Promise<string> {
  return `data:image/png;base64,${(await drawPicture(colour)).toString('base64')}`;
}

export async function startTestServer(options: Partial<WebOptions> = {}): Promise<TestServer> {
  const root = realpathSync(mkdtempSync(join(tmpdir(), 'fromage-web-')));
  const { folder } = writeTinyFromage(join(root, 'model'), 5);
  const engine = createEngine(await loadFromage({ model: folder, weights: 'fp32', cacheDir: join(root, 'cache'), threads: 1, verify: 'never' }), { drainMs: 100 });
  const store = await openStore({ dataDir: join(root, 'data') });
  const worker = new PictureWorker();
  const gallery = new PictureGallery({ createIndex: (dim) => new EmbeddedIndex(dim, { threads: 1 }) });
  await gallery.serve(await projectionOf(engine));
  const pictures = createPictureAdder({ engine, worker, store, gallery });
  for (const colour of ['red', 'green', 'blue']) await pictures.addPicture({ bytes: await drawPicture(colour), caption: `something ${colour}`, addedBy: 'test', tenant: 'all' });
  const server = await startWebServer({
    engine,
    gallery: () => gallery,
    pictures,
    sanitize: (bytes) => worker.sanitize(bytes),
    store,
    host: '127.0.0.1',
    port: 0,
    apiKey: null,
    allowedHosts: [],
    notReady: () => null,
    log: createLogger('silent'),
    ...options,
  });
  return {
    url: server.url.replace(/\/$/, ''),
    server,
    engine,
    store,
    gallery,
    async close() {
      await server.close(200);
      await gallery.close();
      await engine.close();
      await worker.close();
      await store.close();
      rmSync(root, { recursive: true, force: true });
    },
  };
}
