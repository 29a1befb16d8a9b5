// A web server over the tiny model, a real store in a temporary folder and a small gallery of drawn pictures.
import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { projectionOf } from '../../src/app/session-gallery.ts';
import { createEngine } from '../../src/engine/index.ts';
import type { Engine } from '../../src/engine/types.ts';
import { createLogger } from '../../src/log.ts';
import { loadFromage } from '../../src/model/index.ts';
import { EmbeddedIndex, openStoredGallery, type StoredGallery } from '../../src/retrieval/index.ts';
import { openStore, type Store } from '../../src/store/index.ts';
import { PictureWorker } from '../../src/vision/index.ts';
import { startWebServer, type WebOptions, type WebServer } from '../../src/web/index.ts';
import { writeTinyFromage } from '../tiny/fromage.ts';
import { uniform } from '../tiny/random.ts';

export interface TestServer {
  readonly url: string;
  readonly server: WebServer;
  readonly engine: Engine;
  readonly store: Store;
  readonly gallery: StoredGallery;
  close(): Promise<void>;
}

/** A pattern of blocks in one colour and black, another for each colour name: no two are near duplicates. */
export function drawPicture(colour: string): Promise<Buffer> {
  const [red, green, blue] = [3, 5, 7].map((prime) => [...colour].reduce((sum, letter) => (sum * prime + letter.charCodeAt(0)) % 200, 1) + 55) as [number, number, number];
  const next = uniform([...colour].reduce((sum, letter) => sum * 31 + letter.charCodeAt(0), 7));
  const cells = Array.from({ length: 64 }, () => (next() > 0.5 ? [red, green, blue] : [0, 0, 0])).flat();
  return sharp(Buffer.from(cells), { raw: { width: 8, height: 8, channels: 3 } }).resize(64, 64, { kernel: 'nearest' }).png().toBuffer();
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
  const gallery = await openStoredGallery(
    { pictures: store.pictures, files: store.files, encoder: (await engine.info()).visionHash, encode: (images) => engine.encodeImages(images), decoder: worker, createIndex: (dim) => new EmbeddedIndex(dim, { threads: 1 }) },
    await projectionOf(engine),
  );
  const { id } = await store.conversations.ensureUser({ platform: 'web', externalId: 'the-one-who-set-up' });
  for (const colour of ['red', 'green', 'blue']) await gallery.addPicture({ bytes: await drawPicture(colour), caption: `something ${colour}`, addedBy: id, tenant: 'all' });
  const server = await startWebServer({
    engine,
    gallery: () => gallery,
    pictures: gallery,
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
