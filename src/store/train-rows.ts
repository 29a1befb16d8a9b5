// Taking rows out of train sets when a person or a picture goes: unused sets lose them, of used ones only
// the content goes, so that the adapters trained on them can still be named.
import type { Transaction } from './database.ts';

interface Which {
  readonly userId?: string;
  readonly pictureId?: { readonly in: string[] };
}

export interface DroppedRows {
  readonly rows: number;
  /** Adapter versions that were trained on the rows, and their descendants. */
  readonly adapters: readonly string[];
  /** Pictures' bytes that the rows pointed to. */
  readonly hashes: readonly string[];
}

/** Versions trained on a set, and those that were trained further from them. */
async function descendants(t: Transaction, trainSetId: string): Promise<string[]> {
  const versions = await t.adapterVersion.findMany({ select: { id: true, parentId: true, trainSetId: true } });
  const found = new Set(versions.filter((version) => version.trainSetId === trainSetId).map((version) => version.id));
  for (let size = -1; size !== found.size; ) {
    size = found.size;
    for (const { id, parentId } of versions) if (parentId !== null && found.has(parentId)) found.add(id);
  }
  return [...found];
}

export async function dropTrainRows(t: Transaction, which: Which): Promise<DroppedRows> {
  const rows = await t.trainRow.findMany({ where: { ...which, origin: { not: 'removed' } }, select: { trainSetId: true, imageHash: true, trainSet: { select: { usedAt: true } } } });
  if (rows.length === 0) return { rows: 0, adapters: [], hashes: [] };
  const counts = new Map<string, { count: number; used: boolean }>();
  for (const row of rows) counts.set(row.trainSetId, { count: (counts.get(row.trainSetId)?.count ?? 0) + 1, used: row.trainSet.usedAt !== null });
  const adapters: string[] = [];
  for (const [id, { count, used }] of counts) {
    await t.trainSet.update({ where: { id }, data: { removedRows: { increment: count } } });
    if (!used) {
      await t.trainRow.deleteMany({ where: { ...which, trainSetId: id } });
      continue;
    }
    await t.trainRow.updateMany({
      where: { ...which, trainSetId: id },
      data: { origin: 'removed', text: null, imageHash: null, pictureId: null, extra: null, userId: null, consentId: null, platform: null, chatId: null, answerId: null, weight: 0 },
    });
    const tainted = await descendants(t, id);
    await t.adapterVersion.updateMany({ where: { id: { in: tainted } }, data: { forgottenRows: { increment: count } } });
    adapters.push(...tainted);
  }
  return { rows: rows.length, adapters: [...new Set(adapters)].sort(), hashes: rows.flatMap((row) => row.imageHash ?? []) };
}
