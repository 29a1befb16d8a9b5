// Pictures of the program itself that an administrator took down: their files stay where they are, so the
// store keeps their ids and they are left out each time the program starts.
import type { PictureStore } from '../contracts.ts';
import type { PictureGallery } from '../gallery.ts';

const cursorName = 'hidden-pictures';

type Cursors = Pick<PictureStore, 'cursor' | 'setCursor'>;

export async function hiddenIds(pictures: Pick<Cursors, 'cursor'>): Promise<readonly string[]> {
  return JSON.parse((await pictures.cursor(cursorName)) ?? '[]') as string[];
}

/** @returns the ids that are among those pictures and belong to one of the tenants: hidden from now on */
export async function hidePictures(pictures: Cursors, fixed: PictureGallery, ids: readonly string[], tenants: readonly string[]): Promise<readonly string[]> {
  const found: string[] = [];
  for (const id of ids) if (await fixed.get(id, { tenants })) found.push(id);
  if (found.length === 0) return found;
  await pictures.setCursor(cursorName, JSON.stringify([...new Set([...(await hiddenIds(pictures)), ...found])]));
  await fixed.remove(found);
  return found;
}
