// A gallery with its real parts but the model: a store on disk, pictures decoded in child processes, and
// an "encoder" that looks at colours, so that what is near in it can be seen with the eyes.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EmbeddedIndex, openStoredGallery, type Projection, type StoredGallery, type StoredGalleryOptions } from '../../src/retrieval/index.ts';
import { openStore, type Store } from '../../src/store/index.ts';
import { PictureWorker } from '../../src/vision/index.ts';
import { fromRgb, scene } from '../vision/drawn.ts';
import { encodeColours, shifted } from './colours.ts';

export { encodeColours, grid, normal, shifted, width } from './colours.ts';

export async function drawn(seed: number, side = 64): Promise<Uint8Array> {
  return new Uint8Array(await fromRgb(scene(side, side, seed), side, side).png().toBuffer());
}

export interface World {
  readonly folder: string;
  readonly store: Store;
  readonly worker: PictureWorker;
  readonly options: StoredGalleryOptions;
  open(more?: Partial<StoredGalleryOptions>, projection?: Projection): Promise<StoredGallery>;
  close(): Promise<void>;
}

export async function openWorld(): Promise<World> {
  const folder = mkdtempSync(join(tmpdir(), 'fromage-gallery-'));
  const store = await openStore({ dataDir: folder });
  const worker = new PictureWorker({ processes: 1 });
  const options: StoredGalleryOptions = {
    pictures: store.pictures,
    files: store.files,
    encoder: 'colours',
    encode: encodeColours,
    decoder: worker,
    createIndex: (dim) => new EmbeddedIndex(dim, { threads: 1 }),
    refreshMs: 0,
  };
  const opened: StoredGallery[] = [];
  return {
    folder,
    store,
    worker,
    options,
    async open(more = {}, projection = shifted(0)) {
      const gallery = await openStoredGallery({ ...options, ...more }, projection);
      opened.push(gallery);
      return gallery;
    },
    async close() {
      for (const gallery of opened) await gallery.close();
      await worker.close();
      await store.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** The vector that the colours of a picture have under `shifted(shift)`. */
export async function vectorOf(bytes: Uint8Array, shift = 0): Promise<Float32Array> {
  const [pooled] = await encodeColours([bytes]);
  if (!(pooled instanceof Float32Array)) throw pooled;
  return (await shifted(shift).project([pooled]))[0]!;
}
