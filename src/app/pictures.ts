// Pictures that people add: checked and re-encoded, encoded once, durable in the store with their pooled
// features, and retrievable as soon as the call resolves.
import { randomUUID } from 'node:crypto';
import type { Engine } from '../engine/types.ts';
import { FromageError } from '../errors.ts';
import type { GalleryEntry, PictureGallery } from '../retrieval/index.ts';
import type { FileStore, PictureRow, PictureStore } from '../retrieval/contracts.ts';
import type { PictureWorker } from '../vision/index.ts';
import type { PictureAdder } from '../web/index.ts';

export interface PictureParts {
  readonly engine: Engine;
  readonly worker: PictureWorker;
  readonly store: { readonly files: FileStore; readonly pictures: PictureStore };
  readonly gallery: PictureGallery;
}

/** Bits of the perceptual hash that may differ from a picture on the deny list. */
const denyDistance = 4;

export function createPictureAdder({ engine, worker, store, gallery }: PictureParts): PictureAdder {
  return {
    async addPicture({ bytes, caption, addedBy, tenant }) {
      const clean = await worker.sanitize(bytes);
      const perceptualHash = await worker.perceptualHash(clean.bytes);
      if (await store.pictures.isDenied(perceptualHash, denyDistance)) {
        throw new FromageError({ code: 'PICTURE_DENIED', what: 'this picture has been taken down and is not accepted again', userMessage: 'This picture was removed by an administrator and cannot be added again.' });
      }
      const [pooled] = await engine.encodeImages([clean.bytes]);
      if (pooled === undefined || pooled instanceof Error) throw new FromageError({ code: 'PICTURE_UNREADABLE', what: 'the picture could not be encoded', cause: pooled, userMessage: 'I cannot read that picture.' });
      const file = await store.files.put(clean.bytes, { mimeType: clean.mimeType, width: clean.width, height: clean.height, perceptualHash });
      const known = await store.pictures.findByHash(file.hash, tenant);
      if (known) return { id: known.id, alt: known.alt };
      const text = caption.trim();
      const picture: PictureRow = {
        id: randomUUID(),
        hash: file.hash,
        tenant,
        alt: text === '' ? 'a picture that was added here' : text,
        caption: text === '' ? null : text,
        source: null,
        licence: null,
        addedBy,
        addedAt: Date.now(),
        tags: [],
        contentClass: 'safe',
        mimeType: clean.mimeType,
        width: clean.width,
        height: clean.height,
        perceptualHash,
        url: null,
        dead: false,
      };
      const { visionHash } = await engine.info();
      await store.pictures.add([{ ...picture, pooled: { encoder: visionHash, values: pooled } }]);
      await gallery.add([entryOf(picture, pooled, store.files)]);
      return { id: picture.id, alt: picture.alt };
    },
    async removePicture(id) {
      const removed = await store.pictures.remove([id]);
      await gallery.remove([id]);
      return removed.length > 0;
    },
  };
}

/** Everything that was added before, with features of today's encoder: what lacks them is encoded again. */
export async function storedEntries({ files, pictures }: PictureParts['store'], visionHash: string, engine: Engine): Promise<GalleryEntry[]> {
  for (;;) {
    const missing = await pictures.withoutPooled(visionHash, { limit: 64 });
    if (missing.length === 0) break;
    const found: { id: string; values: Float32Array }[] = [];
    for (const row of missing) {
      const bytes = row.hash === '' ? null : await files.get(row.hash);
      const [values] = bytes ? await engine.encodeImages([bytes]) : [];
      if (values instanceof Float32Array) found.push({ id: row.id, values });
    }
    if (found.length === 0) break;
    await pictures.putPooled(visionHash, found);
  }
  const entries: GalleryEntry[] = [];
  for (let after: string | undefined; ; ) {
    const page = await pictures.pooled(visionHash, after === undefined ? {} : { after });
    const rows = new Map((await pictures.getMany(page.map(({ id }) => id))).map((row) => [row.id, row]));
    for (const { id, values } of page) {
      const row = rows.get(id);
      if (row && !row.dead) entries.push(entryOf(row, values, files));
    }
    after = page.at(-1)?.id;
    if (after === undefined) return entries;
  }
}

function entryOf(picture: PictureRow, pooled: Float32Array, files: FileStore): GalleryEntry {
  return {
    picture,
    pooled,
    async load() {
      const bytes = await files.get(picture.hash);
      if (!bytes) throw new FromageError({ code: 'PICTURE_GONE', what: `the bytes of picture ${picture.id} are gone`, todo: 'remove the picture, or restore the data folder from a backup' });
      return bytes;
    },
  };
}
