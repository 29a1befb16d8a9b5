// Encoder outputs for pictures that have none of this encoder yet: after a change of the encoder, or where
// only a link's bytes came later.
import type { FileStore, PictureStore } from '../contracts.ts';
import type { SyncProgress } from './sync.ts';
import type { EncodePictures } from './take-pictures.ts';

const batch = 16;

/** @returns how many were encoded; pictures without readable bytes stay without */
export async function fillPooled(parts: { readonly pictures: PictureStore; readonly files: FileStore; readonly encoder: string; readonly encode: EncodePictures }, onProgress?: SyncProgress, signal?: AbortSignal): Promise<number> {
  const { pictures, files, encoder, encode } = parts;
  let done = 0;
  let seen = 0;
  let total = 0;
  for (let after: string | undefined; ; ) {
    signal?.throwIfAborted();
    const page = await pictures.withoutPooled(encoder, { limit: batch, ...(after === undefined ? {} : { after }) });
    after = page.at(-1)?.id;
    if (after === undefined) return done;
    const rows = page.filter(({ hash }) => hash !== '');
    // Rows of a large import have no bytes at all: those are passed over without a word.
    if (rows.length > 0 && total === 0) total = await pictures.count();
    const bytes = await Promise.all(rows.map(({ hash }) => files.get(hash).catch(() => null)));
    const readable = rows.flatMap(({ id }, i) => (bytes[i] ? [{ id, bytes: bytes[i] }] : []));
    const pooled = readable.length > 0 ? await encode(readable.map((one) => one.bytes)) : [];
    const values = readable.flatMap(({ id }, i) => (pooled[i] instanceof Float32Array ? [{ id, values: pooled[i] }] : []));
    if (values.length > 0) await pictures.putPooled(encoder, values);
    done += values.length;
    seen += page.length;
    if (total > 0) onProgress?.(Math.min(seen, total), total);
  }
}
