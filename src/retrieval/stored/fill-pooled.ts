// Encoder outputs for pictures that have none of this encoder yet: after a change of the encoder, or where
// only a link's bytes came later.
import type { FileStore, PictureRow, PictureStore } from '../contracts.ts';
import type { SyncProgress } from './sync.ts';
import type { EncodePictures } from './take-pictures.ts';

/** Large enough to pass quickly over an import that has only links. */
const pageSize = 512;
const encodeBatch = 16;

interface PooledParts {
  readonly pictures: PictureStore;
  readonly files: FileStore;
  readonly encoder: string;
  readonly encode: EncodePictures;
}

/** @returns how many were encoded; pictures without readable bytes stay without */
export async function fillPooled(parts: PooledParts, onProgress?: SyncProgress, signal?: AbortSignal): Promise<number> {
  const { pictures, encoder } = parts;
  let done = 0;
  let seen = 0;
  let total = 0;
  for (let after: string | undefined; ; ) {
    signal?.throwIfAborted();
    const page = await pictures.withoutPooled(encoder, { limit: pageSize, ...(after === undefined ? {} : { after }) });
    after = page.at(-1)?.id;
    if (after === undefined) return done;
    const rows = page.filter(({ hash }) => hash !== '');
    // Rows of a large import have no bytes at all: those are passed over without a word.
    if (rows.length > 0 && total === 0) total = await pictures.count();
    for (let i = 0; i < rows.length; i += encodeBatch) {
      signal?.throwIfAborted();
      done += await encodeRows(parts, rows.slice(i, i + encodeBatch));
      onProgress?.(Math.min(seen + i, total), total);
    }
    seen += page.length;
  }
}

async function encodeRows({ pictures, files, encoder, encode }: PooledParts, rows: readonly PictureRow[]): Promise<number> {
  const bytes = await Promise.all(rows.map(({ hash }) => files.get(hash).catch(() => null)));
  const readable = rows.flatMap(({ id }, i) => (bytes[i] ? [{ id, bytes: bytes[i] }] : []));
  const pooled = readable.length > 0 ? await encode(readable.map((one) => one.bytes)) : [];
  const values = readable.flatMap(({ id }, i) => (pooled[i] instanceof Float32Array ? [{ id, values: pooled[i] }] : []));
  if (values.length > 0) await pictures.putPooled(encoder, values);
  return values.length;
}
