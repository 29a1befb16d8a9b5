// Frozen train sets: rows in order under a hash, each with where it comes from and why it may be used.
import { createHash, randomUUID } from 'node:crypto';
import type { JsonValue } from '../chat/contracts.ts';
import type { TrainRow, TrainSet, TrainSetStore } from '../learning/contracts.ts';
import type { Database } from './database.ts';
import { chunks, fromJsonObject, fromTime, fromTimeOrNull, toJson, toTextOrNull, toTime } from './rows.ts';

function trainSetOf(row: { id: string; hash: string; rowCount: number; removedRows: number; createdAt: bigint; usedAt: bigint | null; facts: string }): TrainSet {
  const { id, hash, rowCount, removedRows } = row;
  return { id, hash, rowCount, removedRows, createdAt: fromTime(row.createdAt), usedAt: fromTimeOrNull(row.usedAt), facts: fromJsonObject(row.facts) };
}

/** JSON with keys in order: equal values give equal text. */
function canonical(value: JsonValue | TrainRow): string {
  return JSON.stringify(value, (_key, inner: unknown) => (typeof inner === 'object' && inner !== null && !Array.isArray(inner) ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1))) : inner));
}

/** SHA-256 (hex) over the rows' canonical JSON, one line each. */
export function hashOfRows(rows: readonly TrainRow[]): string {
  const hash = createHash('sha256');
  for (const row of rows) hash.update(canonical(row)).update('\n');
  return hash.digest('hex');
}

export function createTrainSets(database: Database): TrainSetStore {
  return {
    freeze: (rows, facts = {}) =>
      database.write(async (t) => {
        const id = randomUUID();
        const set = await t.trainSet.create({ data: { id, hash: hashOfRows(rows), rowCount: rows.length, facts: toJson(facts), createdAt: toTime(Date.now()) } });
        const data = rows.map(({ provenance, extra, text, ...row }, position) => ({ ...row, ...provenance, trainSetId: id, position, text: toTextOrNull(text), extra: extra === null ? null : toJson(extra) }));
        for (const some of chunks(data)) await t.trainRow.createMany({ data: [...some] });
        return trainSetOf(set);
      }),

    get: (id) => database.read(async (client) => {
      const row = await client.trainSet.findUnique({ where: { id } });
      return row && trainSetOf(row);
    }),

    list: (limit = 100) => database.read(async (client) => (await client.trainSet.findMany({ orderBy: [{ createdAt: 'desc' }, { id: 'asc' }], take: limit })).map(trainSetOf)),

    rows: (id, { after = -1, limit = 1000 } = {}) =>
      database.read(async (client) =>
        (await client.trainRow.findMany({ where: { trainSetId: id, position: { gt: after }, origin: { not: 'removed' } }, orderBy: { position: 'asc' }, take: limit })).map((row) => ({
          position: row.position,
          kind: row.kind,
          split: row.split,
          weight: row.weight,
          text: row.text,
          imageHash: row.imageHash,
          pictureId: row.pictureId,
          extra: row.extra === null ? null : fromJsonObject(row.extra),
          provenance: { userId: row.userId, consentId: row.consentId, platform: row.platform, chatId: row.chatId, answerId: row.answerId, origin: row.origin, contentClass: row.contentClass },
        })),
      ),

    markUsed: (id) =>
      database.write(async (t) => {
        const { count } = await t.trainSet.updateMany({ where: { id, OR: [{ removedRows: 0 }, { usedAt: { not: null } }] }, data: { rowCount: { increment: 0 } } });
        if (count === 0) return false;
        await t.trainSet.updateMany({ where: { id, usedAt: null }, data: { usedAt: toTime(Date.now()) } });
        return true;
      }),

    remove: (id) => database.write(async (t) => (await t.trainSet.deleteMany({ where: { id } })).count > 0),
  };
}
