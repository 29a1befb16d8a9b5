// The rows of the database against what an index holds. Rows are the truth: an empty index is filled, one
// that was lost, restored or written by another process is brought level, and `verify` only tells.
import type { PictureRow, PictureStore } from '../contracts.ts';
import type { Projection } from '../gallery.ts';
import type { ImageIndex, ImagePoint } from '../types.ts';
import { l2Normalize } from '../../tensor/index.ts';

const pageSize = 1000;
/** Rows projected at once: keeps one message to the engine small. */
const projectionBatch = 256;
/** What rounding to six decimals and another machine's sums may move in one entry of a unit vector. */
const vectorTolerance = 2e-5;

export type SyncProgress = (done: number, total: number) => void;

/** What distinguishes an index from the rows; the lists hold ids. */
export interface IndexDifference {
  /** Live pictures with a vector. */
  readonly rows: number;
  /** Points in the index before anything was mended. */
  readonly points: number;
  readonly missing: readonly string[];
  readonly extra: readonly string[];
  /** Another vector; only looked for when asked to. */
  readonly different: readonly string[];
}

export function pointOf(row: PictureRow, vector: Float32Array): ImagePoint {
  return { id: row.id, vector, tenant: row.tenant, tags: row.tags, addedBy: row.addedBy, addedAt: row.addedAt, contentClass: row.contentClass };
}

/** Computes the vectors of a projection that are not yet in the rows: once for each picture. */
export async function projectRows(pictures: PictureStore, encoder: string, { key, project }: Projection, onProgress?: SyncProgress, signal?: AbortSignal): Promise<number> {
  const total = await pictures.count({ includeDead: true });
  let done = await pictures.countVectors(key);
  let computed = 0;
  for (;;) {
    signal?.throwIfAborted();
    const rows = await pictures.withoutVector(key, encoder, { limit: projectionBatch });
    if (rows.length === 0) return computed;
    const vectors = await project(rows.map(({ values }) => values));
    await pictures.putVectors(key, rows.map(({ id }, i) => ({ id, values: vectors[i]! })));
    computed += rows.length;
    done += rows.length;
    onProgress?.(Math.min(done, total), total);
  }
}

/**
 * Compares an index with the rows, page by page, and mends it unless `mend` is false.
 *
 * @param deep compares the vectors as well
 */
export async function syncIndex(pictures: PictureStore, index: ImageIndex, projection: string, options: { readonly mend: boolean; readonly deep?: boolean; readonly onProgress?: SyncProgress; readonly signal?: AbortSignal }): Promise<IndexDifference> {
  const unseen = new Set<string>();
  for (let after = ''; ; ) {
    const ids = await index.ids({ after, limit: pageSize * 10 });
    for (const id of ids) unseen.add(id);
    if (ids.length === 0) break;
    after = ids.at(-1)!;
  }
  const points = unseen.size;
  const total = await pictures.countVectors(projection);
  const missing: string[] = [];
  const different: string[] = [];
  let rows = 0;
  let done = 0;
  for (let after: string | undefined; ; ) {
    options.signal?.throwIfAborted();
    const page = await pictures.vectors(projection, { limit: pageSize, ...(after === undefined ? {} : { after }) });
    const known = new Map((await pictures.getMany(page.map(({ id }) => id))).map((row) => [row.id, row]));
    const live = page.flatMap(({ id, values }) => {
      const row = known.get(id);
      return row && !row.dead ? [{ row, values }] : [];
    });
    const absent = live.filter(({ row }) => !unseen.delete(row.id));
    const gone = new Set(absent.map(({ row }) => row.id));
    const changed = options.deep ? await differing(index, live.filter(({ row }) => !gone.has(row.id))) : [];
    missing.push(...absent.map(({ row }) => row.id));
    different.push(...changed.map(({ row }) => row.id));
    const wrong = [...absent, ...changed];
    if (options.mend && wrong.length > 0) await index.upsert(wrong.map(({ row, values }) => pointOf(row, values)));
    rows += live.length;
    done += page.length;
    if (total > 0) options.onProgress?.(done, total);
    after = page.at(-1)?.id;
    if (after === undefined) break;
  }
  // Another process may have added some since their page was read: only points without a live row go.
  const extra: string[] = [];
  for (const ids of inPages([...unseen])) {
    const live = new Set((await pictures.getMany(ids)).filter((row) => !row.dead).map((row) => row.id));
    extra.push(...ids.filter((id) => !live.has(id)));
  }
  if (options.mend) for (const ids of inPages(extra)) await index.delete(ids);
  return { rows, points, missing, extra, different };
}

/** Every live picture that has a vector, as points. */
export async function* pointPages(pictures: PictureStore, projection: string): AsyncGenerator<readonly ImagePoint[]> {
  for (let after: string | undefined; ; ) {
    const page = await pictures.vectors(projection, { limit: pageSize, ...(after === undefined ? {} : { after }) });
    after = page.at(-1)?.id;
    if (after === undefined) return;
    const rows = new Map((await pictures.getMany(page.map(({ id }) => id))).map((row) => [row.id, row]));
    yield page.flatMap(({ id, values }) => {
      const row = rows.get(id);
      return row && !row.dead ? [pointOf(row, values)] : [];
    });
  }
}

function* inPages<T>(list: readonly T[]): Generator<readonly T[]> {
  for (let i = 0; i < list.length; i += pageSize) yield list.slice(i, i + pageSize);
}

async function differing<T extends { readonly row: PictureRow; readonly values: Float32Array }>(index: ImageIndex, rows: readonly T[]): Promise<T[]> {
  const vectors = new Map((await index.vectors(rows.map(({ row }) => row.id))).map(({ id, vector }) => [id, vector]));
  return rows.filter(({ row, values }) => {
    const held = vectors.get(row.id);
    const wanted = l2Normalize(values);
    return held === undefined || wanted.some((value, i) => !(Math.abs(value - (held[i] ?? Number.NaN)) <= vectorTolerance));
  });
}
