// Versions of the adapter: candidates, the one that serves, and who changed that and why.
import type { AdapterStore, AdapterVersion, Promotion } from '../learning/contracts.ts';
import { FromageError } from '../errors.ts';
import type { Database, Transaction } from './database.ts';
import { fromJsonObject, fromTime, toJson, toTextOrNull, toTime } from './rows.ts';

type Row = NonNullable<Awaited<ReturnType<typeof find>>>;
const find = (t: Transaction, id: string) => t.adapterVersion.findUnique({ where: { id } });

function versionOf(row: Row): AdapterVersion {
  const { id, parentId, folder, hash, visualHash, state, trainSetId, runId, metrics, verdict, createdAt, forgottenRows } = row;
  return {
    id,
    parentId,
    folder,
    hash,
    visualHash,
    state: state as AdapterVersion['state'],
    trainSetId,
    runId,
    metrics: fromJsonObject(metrics),
    verdict: verdict === null ? null : fromJsonObject(verdict),
    createdAt: fromTime(createdAt),
    forgottenRows,
  };
}

const promotionOf = (row: { adapterId: string; previousId: string | null; kind: string; byId: string | null; why: string | null; at: bigint }): Promotion => ({
  adapterId: row.adapterId,
  previousId: row.previousId,
  kind: row.kind as Promotion['kind'],
  by: row.byId,
  why: row.why,
  at: fromTime(row.at),
});

const unknown = (id: string) => new FromageError({ code: 'STORE_REFERENCE', what: `there is no adapter version ${id}`, todo: 'see /adapter list' });

export function createAdapters(database: Database): AdapterStore {
  return {
    add: ({ metrics, ...version }) => database.write(async (t) => versionOf(await t.adapterVersion.create({ data: { ...version, metrics: toJson(metrics), state: 'candidate', createdAt: toTime(Date.now()) } }))),

    get: (id) => database.read(async (client) => {
      const row = await find(client, id);
      return row && versionOf(row);
    }),

    list: (limit = 100) => database.read(async (client) => (await client.adapterVersion.findMany({ orderBy: [{ createdAt: 'desc' }, { id: 'desc' }], take: limit })).map(versionOf)),

    async judge(id, verdict, refused) {
      const { count } = await database.write(async (t) => {
        const judged = await t.adapterVersion.updateMany({ where: { id }, data: { verdict: toJson(verdict) } });
        // What serves already is not taken away by a verdict: that is a rollback.
        await t.adapterVersion.updateMany({ where: { id, servingKey: null }, data: { state: refused ? 'refused' : 'candidate' } });
        return judged;
      });
      if (count === 0) throw unknown(id);
    },

    serving: () => database.read(async (client) => {
      const row = await client.adapterVersion.findUnique({ where: { servingKey: 1 } });
      return row && versionOf(row);
    }),

    promote: (id, { by, why, kind = 'promote' }) =>
      database.write(async (t) => {
        await t.adapterVersion.updateMany({ where: { servingKey: 1 }, data: { forgottenRows: { increment: 0 } } });
        const previous = await t.adapterVersion.findUnique({ where: { servingKey: 1 } });
        if (previous?.id !== id) await t.adapterVersion.updateMany({ where: { servingKey: 1 }, data: { servingKey: null, state: 'retired' } });
        const { count } = await t.adapterVersion.updateMany({ where: { id }, data: { servingKey: 1, state: 'serving' } });
        if (count === 0) throw unknown(id);
        return promotionOf(await t.adapterPromotion.create({ data: { adapterId: id, previousId: previous?.id ?? null, kind, byId: by ?? null, why: toTextOrNull(why), at: toTime(Date.now()) } }));
      }),

    promotions: (limit = 100) => database.read(async (client) => (await client.adapterPromotion.findMany({ orderBy: { id: 'desc' }, take: limit })).map(promotionOf)),

    async pin(chatId, adapterId) {
      await database.write((t) => t.chat.update({ where: { id: chatId }, data: { pinnedAdapter: adapterId } }));
    },

    pinned: (chatId) => database.read(async (client) => (await client.chat.findUnique({ where: { id: chatId }, select: { pinnedAdapter: true } }))?.pinnedAdapter ?? null),

    remove: (id) => database.write(async (t) => (await t.adapterVersion.deleteMany({ where: { id, servingKey: null } })).count > 0),
  };
}
