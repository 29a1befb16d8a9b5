// Whether the database's own picture of the gallery is sound: bytes that match their hashes, features and
// vectors that belong together. A wrong vector shows wrong pictures without any error.
import type { FileStore, PictureStore } from '../contracts.ts';
import type { Projection } from '../gallery.ts';
import { l2Normalize } from '../../tensor/index.ts';

const pageSize = 500;
/** Cosine between a stored vector and the features projected anew; below it they do not belong together. */
const sameVector = 0.9999;

export interface RowsReport {
  readonly pictures: number;
  /** Only a link so far. */
  readonly links: number;
  readonly dead: number;
  /** Bytes that are missing or do not match their hash. */
  readonly damaged: readonly string[];
  /** No vector of the projection: not found in searches. */
  readonly withoutVector: readonly string[];
  /** The stored vector is not the projection of the stored features. */
  readonly wrongVector: readonly string[];
}

export async function verifyRows(parts: { readonly pictures: PictureStore; readonly files: Pick<FileStore, 'get'>; readonly encoder: string; readonly projection: Projection }, onProgress?: (done: number, total: number) => void): Promise<RowsReport> {
  const { pictures, files, encoder, projection } = parts;
  const total = await pictures.count({ includeDead: true });
  const report = { pictures: 0, links: 0, dead: 0, damaged: [] as string[], withoutVector: [] as string[], wrongVector: [] as string[] };
  for (let after: string | undefined; ; ) {
    const page = { limit: pageSize, ...(after === undefined ? {} : { after }) };
    const rows = await pictures.list({ includeDead: true }, page);
    after = rows.at(-1)?.id;
    if (after === undefined) return report;
    const last = after;
    const within = <T extends { readonly id: string }>(values: readonly T[]) => new Map(values.filter(({ id }) => id <= last).map((value) => [value.id, value]));
    // Pages of the three run in the same order; whatever lies in this span of ids is in them.
    const vectors = within(await pictures.vectors(projection.key, page));
    const pooled = within(await pictures.pooled(encoder, page));
    const both = rows.flatMap(({ id }) => (vectors.has(id) && pooled.has(id) ? [id] : []));
    const projected = both.length === 0 ? [] : await projection.project(both.map((id) => pooled.get(id)!.values));
    both.forEach((id, i) => {
      if (cosine(vectors.get(id)!.values, projected[i]!) < sameVector) report.wrongVector.push(id);
    });
    for (const row of rows) {
      report.pictures += 1;
      if (row.dead) report.dead += 1;
      else if (!vectors.has(row.id)) report.withoutVector.push(row.id);
      if (row.hash === '') report.links += 1;
      else if ((await files.get(row.hash).catch(() => null)) === null) report.damaged.push(row.id);
    }
    onProgress?.(report.pictures, total);
  }
}

function cosine(a: Float32Array, b: Float32Array): number {
  const [x, y] = [l2Normalize(a), l2Normalize(b)];
  return x.reduce((sum, value, i) => sum + value * (y[i] ?? 0), 0);
}
