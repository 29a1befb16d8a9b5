// A fair handful of a gallery's rows without reading all of them.
import type { PictureRow, PictureStore } from '../contracts.ts';
import type { ImageFilter } from '../types.ts';
import { visibleTo } from '../visible.ts';

const pageSize = 1000;

/** At most `limit` rows that the filter sees, by id. Ids follow from hashes or chance: the first ones are as good as any. */
export async function sampleRows(pictures: Pick<PictureStore, 'list'>, filter: ImageFilter, limit: number): Promise<ReadonlyMap<string, PictureRow>> {
  const visible = visibleTo(filter);
  const rows = new Map<string, PictureRow>();
  for (let after: string | undefined; rows.size < limit; ) {
    const page = await pictures.list({ tenants: filter.tenants }, { limit: pageSize, ...(after === undefined ? {} : { after }) });
    after = page.at(-1)?.id;
    if (after === undefined) break;
    for (const row of page) if (rows.size < limit && visible(row)) rows.set(row.id, row);
  }
  return rows;
}
