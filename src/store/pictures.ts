// The gallery's rows. Pooled outputs and vectors stay with their picture, so that an index or a new
// projection can be made from here alone.
import type { NewPicture, PictureFilter, PictureRow, PictureStore, PictureValues } from '../retrieval/contracts.ts';
import type { Client, Database, Transaction } from './database.ts';
import type { Files } from './files.ts';
import type { Prisma } from './generated/sqlite/client.ts';
import { dropTrainRows } from './train-rows.ts';
import { chunks, fromBytes, fromJson, fromTime, inPages, toBytes, toJson, toText, toTextOrNull, toTime } from './rows.ts';

const withTags = { tags: { orderBy: { tag: 'asc' } } } as const;
const activeSetting = { scope: 'store', key: 'active-projection' };

type Row = Awaited<ReturnType<typeof findMany>>[number];
const findMany = (client: Client, ids: readonly string[]) => client.picture.findMany({ where: { id: { in: [...ids] } }, include: withTags });

export function pictureOf(row: Row): PictureRow {
  return {
    id: row.id,
    hash: row.imageHash ?? '',
    tenant: row.tenant,
    alt: row.alt,
    caption: row.caption,
    source: row.source,
    licence: row.licence,
    addedBy: row.addedById,
    addedAt: fromTime(row.addedAt),
    tags: row.tags.map((tag) => tag.tag),
    contentClass: row.contentClass,
    mimeType: row.mimeType,
    width: row.width,
    height: row.height,
    perceptualHash: row.perceptualHash,
    url: row.url,
    dead: row.dead,
  };
}

function whereOf(filter: PictureFilter = {}) {
  return {
    ...(filter.tenants === undefined ? {} : { tenant: { in: [...filter.tenants] } }),
    ...(filter.addedBy === undefined ? {} : { addedById: filter.addedBy }),
    ...(filter.tag === undefined ? {} : { tags: { some: { tag: filter.tag } } }),
    ...(filter.contentClasses === undefined ? {} : { contentClass: { in: [...filter.contentClasses] } }),
    ...(filter.includeDead ? {} : { dead: false }),
  };
}

const rowOf = (picture: NewPicture) => ({
  id: picture.id,
  imageHash: picture.hash === '' ? null : picture.hash,
  tenant: picture.tenant,
  alt: toText(picture.alt),
  caption: toTextOrNull(picture.caption),
  source: toTextOrNull(picture.source),
  licence: toTextOrNull(picture.licence),
  addedById: picture.addedBy,
  addedAt: toTime(picture.addedAt),
  contentClass: picture.contentClass,
  mimeType: picture.mimeType,
  width: picture.width,
  height: picture.height,
  perceptualHash: picture.perceptualHash,
  url: picture.url,
});

const valuesOf = (row: { pictureId: string; values: Uint8Array }): PictureValues => ({ id: row.pictureId, values: fromBytes(row.values) });

/** Bits in which two hashes of 16 hex digits differ. */
export function hammingDistance(a: string, b: string): number {
  let bits = BigInt(`0x${a}`) ^ BigInt(`0x${b}`);
  let count = 0;
  for (; bits > 0n; bits &= bits - 1n) count += 1;
  return count;
}

export function createPictures(database: Database, files: Files): PictureStore {
  const insert = async (t: Transaction, pictures: readonly NewPicture[]): Promise<number> => {
    const ids = pictures.map((picture) => picture.id);
    const there = new Set((await t.picture.findMany({ where: { id: { in: ids } }, select: { id: true } })).map((row) => row.id));
    const fresh = pictures.filter((picture, i) => !there.has(picture.id) && ids.indexOf(picture.id) === i);
    if (fresh.length === 0) return 0;
    await t.picture.createMany({ data: fresh.map(rowOf) });
    const tags = fresh.flatMap((picture) => [...new Set(picture.tags)].map((tag) => ({ pictureId: picture.id, tag: toText(tag) })));
    const pooled = fresh.flatMap((picture) => (picture.pooled ? [{ encoder: picture.pooled.encoder, pictureId: picture.id, values: toBytes(picture.pooled.values) }] : []));
    const vectors = fresh.flatMap((picture) => (picture.vectors ?? []).map(({ projection, values }) => ({ projection, pictureId: picture.id, values: toBytes(values) })));
    for (const some of chunks(tags)) await t.pictureTag.createMany({ data: [...some] });
    for (const some of chunks(pooled)) await t.pooledFeature.createMany({ data: [...some] });
    for (const some of chunks(vectors)) await t.pictureVector.createMany({ data: [...some] });
    return fresh.length;
  };

  /** Begins a transaction with a write, so that SQLite and PostgreSQL order these transactions alike. */
  const touch = (t: Transaction) => t.cursor.upsert({ where: { name: 'store:pictures' }, create: { name: 'store:pictures', value: '0', updatedAt: toTime(Date.now()) }, update: { updatedAt: toTime(Date.now()) } });

  const nearest = <T extends { readonly perceptualHash: string | null }>(rows: readonly T[], hash: string, maxDistance: number): T[] =>
    rows
      .flatMap((row) => (row.perceptualHash === null ? [] : [{ row, distance: hammingDistance(row.perceptualHash, hash) }]))
      .filter(({ distance }) => distance <= maxDistance)
      .sort((a, b) => a.distance - b.distance)
      .map(({ row }) => row);

  const list = (client: Client, where: Prisma.PictureWhereInput, after: string | undefined, limit: number) =>
    inPages<Row>(limit, (take, last) => {
      const from = last?.id ?? after;
      return client.picture.findMany({ where: { ...where, ...(from === undefined ? {} : { id: { gt: from } }) }, orderBy: { id: 'asc' }, take, include: withTags });
    });

  return {
    add: (pictures) =>
      database.write(async (t) => {
        await touch(t);
        let count = 0;
        for (const some of chunks(pictures, 200)) count += await insert(t, some);
        return count;
      }),

    get: (id) => database.read(async (client) => {
      const row = await client.picture.findUnique({ where: { id }, include: withTags });
      return row && pictureOf(row);
    }),

    getMany: (ids) =>
      database.read(async (client) => {
        const found = new Map<string, PictureRow>();
        for (const some of chunks(ids)) for (const row of await findMany(client, some)) found.set(row.id, pictureOf(row));
        return ids.flatMap((id) => found.get(id) ?? []);
      }),

    list: (filter, { after, limit = 1000 } = {}) =>
      database.read(async (client) => (await list(client, whereOf(filter), after, limit)).map(pictureOf)),

    count: (filter) => database.read((client) => client.picture.count({ where: whereOf(filter) })),

    findByHash: (hash, tenant) => database.read(async (client) => {
      const row = await client.picture.findFirst({ where: { imageHash: hash, tenant }, orderBy: { id: 'asc' }, include: withTags });
      return row && pictureOf(row);
    }),

    findSimilar: (perceptualHash, tenant, maxDistance = 0) =>
      database.read(async (client) => {
        if (maxDistance === 0) return (await client.picture.findMany({ where: { tenant, perceptualHash }, orderBy: { id: 'asc' }, include: withTags })).map(pictureOf);
        const hashes = await client.picture.findMany({ where: { tenant, perceptualHash: { not: null } }, orderBy: { id: 'asc' }, select: { id: true, perceptualHash: true } });
        const close = nearest(hashes, perceptualHash, maxDistance).slice(0, 100);
        const rows = new Map((await findMany(client, close.map((row) => row.id))).map((row) => [row.id, pictureOf(row)]));
        return close.flatMap(({ id }) => rows.get(id) ?? []);
      }),

    update: (id, { tags, hash, ...change }) =>
      database.write(async (t) => {
        const { alt, caption, source, licence, ...plain } = change;
        const data = {
          ...plain,
          ...(alt === undefined ? {} : { alt: toText(alt) }),
          ...(caption === undefined ? {} : { caption: toTextOrNull(caption) }),
          ...(source === undefined ? {} : { source: toTextOrNull(source) }),
          ...(licence === undefined ? {} : { licence: toTextOrNull(licence) }),
          ...(hash === undefined ? {} : { imageHash: hash === '' ? null : hash }),
          addedAt: { increment: 0 },
        };
        const { count } = await t.picture.updateMany({ where: { id }, data });
        if (count === 0) return false;
        if (tags !== undefined) {
          await t.pictureTag.deleteMany({ where: { pictureId: id } });
          await t.pictureTag.createMany({ data: [...new Set(tags)].map((tag) => ({ pictureId: id, tag: toText(tag) })) });
        }
        return true;
      }),

    async remove(ids) {
      const { found, hashes } = await database.write(async (t) => {
        await touch(t);
        const found: string[] = [];
        const hashes: string[] = [];
        for (const some of chunks(ids)) {
          const rows = await t.picture.findMany({ where: { id: { in: [...some] } }, select: { id: true, imageHash: true } });
          const there = rows.map((row) => row.id);
          await t.picture.deleteMany({ where: { id: { in: there } } });
          await dropTrainRows(t, { pictureId: { in: there } });
          found.push(...there);
          hashes.push(...rows.flatMap((row) => row.imageHash ?? []));
        }
        return { found, hashes };
      });
      await files.release(hashes);
      return found;
    },

    async putPooled(encoder, values) {
      await database.write(async (t) => {
        await touch(t);
        for (const some of chunks(values)) {
          await t.pooledFeature.deleteMany({ where: { encoder, pictureId: { in: some.map((one) => one.id) } } });
          await t.pooledFeature.createMany({ data: some.map((one) => ({ encoder, pictureId: one.id, values: toBytes(one.values) })) });
        }
      });
    },

    pooled: (encoder, { after, limit = 1000 } = {}) =>
      database.read(async (client) => (await client.pooledFeature.findMany({ where: { encoder, ...(after === undefined ? {} : { pictureId: { gt: after } }) }, orderBy: { pictureId: 'asc' }, take: limit })).map(valuesOf)),

    pooledOf: (encoder, id) => database.read(async (client) => {
      const row = await client.pooledFeature.findUnique({ where: { encoder_pictureId: { encoder, pictureId: id } } });
      return row && fromBytes(row.values);
    }),

    withoutPooled: (encoder, { after, limit = 1000 } = {}) =>
      database.read(async (client) => (await list(client, { dead: false, pooled: { none: { encoder } } }, after, limit)).map(pictureOf)),

    async putVectors(projection, values) {
      await database.write(async (t) => {
        await touch(t);
        for (const some of chunks(values)) {
          await t.pictureVector.deleteMany({ where: { projection, pictureId: { in: some.map((one) => one.id) } } });
          await t.pictureVector.createMany({ data: some.map((one) => ({ projection, pictureId: one.id, values: toBytes(one.values) })) });
        }
      });
    },

    vectors: (projection, { after, limit = 1000 } = {}) =>
      database.read(async (client) => (await client.pictureVector.findMany({ where: { projection, ...(after === undefined ? {} : { pictureId: { gt: after } }) }, orderBy: { pictureId: 'asc' }, take: limit })).map(valuesOf)),

    countVectors: (projection) => database.read((client) => client.pictureVector.count({ where: { projection } })),

    withoutVector: (projection, encoder, { after, limit = 1000 } = {}) =>
      database.read(async (client) =>
        (await client.pooledFeature.findMany({ where: { encoder, picture: { vectors: { none: { projection } } }, ...(after === undefined ? {} : { pictureId: { gt: after } }) }, orderBy: { pictureId: 'asc' }, take: limit })).map(valuesOf),
      ),

    dropProjection: (projection) => database.write(async (t) => (await t.pictureVector.deleteMany({ where: { projection } })).count),

    activeProjection: () => database.read(async (client) => {
      const row = await client.setting.findUnique({ where: { scope_key: activeSetting } });
      return row ? String(fromJson(row.value)) : null;
    }),

    async activateProjection(projection) {
      const row = { value: toJson(projection) };
      await database.write((t) => t.setting.upsert({ where: { scope_key: activeSetting }, create: { ...activeSetting, ...row }, update: row }));
    },

    async deny(perceptualHash, { reason, by } = {}) {
      const row = { reason: toTextOrNull(reason), addedById: by ?? null, at: toTime(Date.now()) };
      await database.write((t) => t.deniedPicture.upsert({ where: { perceptualHash }, create: { perceptualHash, ...row }, update: row }));
    },

    undeny: (perceptualHash) => database.write(async (t) => (await t.deniedPicture.deleteMany({ where: { perceptualHash } })).count > 0),

    isDenied: (perceptualHash, maxDistance = 0) =>
      database.read(async (client) => {
        if (maxDistance === 0) return (await client.deniedPicture.count({ where: { perceptualHash } })) > 0;
        return nearest(await client.deniedPicture.findMany({ select: { perceptualHash: true } }), perceptualHash, maxDistance).length > 0;
      }),

    denied: () => database.read(async (client) => (await client.deniedPicture.findMany({ orderBy: [{ at: 'desc' }, { perceptualHash: 'asc' }] })).map((row) => ({ perceptualHash: row.perceptualHash, reason: row.reason, by: row.addedById, at: fromTime(row.at) }))),

    cursor: (source) => database.read(async (client) => (await client.cursor.findUnique({ where: { name: `ingest:${source}` } }))?.value ?? null),

    async setCursor(source, value) {
      const name = `ingest:${source}`;
      await database.write(async (t) => {
        if (value === null) return void (await t.cursor.deleteMany({ where: { name } }));
        const row = { value: toText(value), updatedAt: toTime(Date.now()) };
        await t.cursor.upsert({ where: { name }, create: { name, ...row }, update: row });
      });
    },
  };
}
