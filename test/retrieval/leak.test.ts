import { afterAll, beforeAll, expect, test } from '@jest/globals';
import fc from '../setup/seeded.ts';
import { EmbeddedIndex, type ImageIndex, type StoredGallery } from '../../src/retrieval/index.ts';
import { randomVector, uuid } from '../contracts/image-index.ts';
import { openWorld, width, type World } from './world.ts';

const tenants = ['all', 'guild:discord:1', 'chat:discord:1', 'chat:discord:11', 'chat:telegram:1', 'CHAT:DISCORD:1', '', 'chat:discord:1\u0000', '*', '%', "' or 1=1 --"];
const tenantOf = (n: number) => tenants[n % tenants.length]!;
const count = 220;
let world: World;
let honest: StoredGallery;
let leaky: StoredGallery;

/** An index that forgets whom a query is for: what it gives must still not get out. */
function forgetful(inner: ImageIndex): ImageIndex {
  const everything = { tenants };
  return {
    dim: inner.dim,
    upsert: (points) => inner.upsert(points),
    query: (query) => inner.query({ ...query, filter: everything }),
    queryBatch: (queries) => inner.queryBatch(queries.map((query) => ({ ...query, filter: everything }))),
    delete: (ids) => inner.delete(ids),
    count: () => inner.count(),
    ids: (page) => inner.ids(page),
    vectors: (ids) => inner.vectors(ids),
    close: () => inner.close(),
  };
}

beforeAll(async () => {
  world = await openWorld();
  await world.store.pictures.add(
    Array.from({ length: count }, (_, i) => ({
      id: uuid(i + 1), hash: '', tenant: tenantOf(i), alt: `of ${tenantOf(i)}`, caption: null, source: null, licence: null, addedBy: null, addedAt: i, tags: [`t${i % 3}`], contentClass: i % 5 === 0 ? 'adult' : 'safe', mimeType: 'image/png', width: 1, height: 1, perceptualHash: null, url: 'https://example.org/x.png',
      vectors: [{ projection: 'shift-0', values: randomVector(i, width) }],
    })),
  );
  const { bytes, hash } = await stored();
  for (let i = 0; i < count; i++) await world.store.pictures.update(uuid(i + 1), { hash });
  expect(bytes.length).toBeGreaterThan(0);
  honest = await world.open();
  leaky = await world.open({ createIndex: (dim) => forgetful(new EmbeddedIndex(dim, { threads: 1 })) });
}, 60_000);
afterAll(() => world.close());

async function stored() {
  const bytes = Uint8Array.of(1, 2, 3);
  return { bytes, hash: (await world.store.files.put(bytes, { mimeType: 'image/png', width: 1, height: 1 })).hash };
}

const filters = fc.record({ tenants: fc.uniqueArray(fc.constantFrom(...tenants, 'chat:discord', 'nobody'), { maxLength: 4 }), safe: fc.boolean(), tag: fc.boolean() });

test.each([['an honest index', () => honest], ['an index that forgets its filters', () => leaky]])('with %s no way out of the gallery gives a picture of another chat', async (_name, gallery) => {
  await fc.assert(
    fc.asyncProperty(filters, fc.integer({ min: 1, max: count }), fc.integer({ min: 1, max: 60 }), async ({ tenants: allowed, safe, tag }, n, limit) => {
      const filter = { tenants: allowed, ...(safe ? { contentClasses: ['safe'] } : {}), ...(tag ? { tags: ['t1'] } : {}) };
      const may = (picture: { tenant: string; contentClass: string; tags: readonly string[] }) => allowed.includes(picture.tenant) && (!safe || picture.contentClass === 'safe') && (!tag || picture.tags.includes('t1'));
      const found = await gallery().find({ vector: randomVector(n - 1, width), filter, limit });
      expect(found.filter((picture) => !may(picture))).toEqual([]);
      const all = Array.from({ length: count }, (_, i) => i).filter((i) => may({ tenant: tenantOf(i), contentClass: i % 5 === 0 ? 'adult' : 'safe', tags: [`t${i % 3}`] }));
      // Not by showing nothing: an honest index finds all that may be seen.
      if (gallery() === honest) expect(found).toHaveLength(Math.min(limit, all.length));
      const seen = all.includes(n - 1);
      expect((await gallery().get(uuid(n), filter)) !== null).toBe(seen);
      expect((await gallery().bytes(uuid(n), filter)) !== null).toBe(seen);
      expect((await gallery().vectorOf(uuid(n), filter)) !== null).toBe(seen);
      expect((await gallery().sample(filter, 40)).filter((picture) => !may(picture))).toEqual([]);
    }),
    { numRuns: 30, seed: 5 },
  );
});

test('a takedown by one chat does not reach into another', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(fc.constantFrom(...tenants), { maxLength: 3 }), fc.uniqueArray(fc.integer({ min: 1, max: count }), { minLength: 1, maxLength: 3 }), async (allowed, picked) => {
      const before = await world.store.pictures.count();
      const removed = await honest.remove({ ids: picked.map(uuid), tenants: allowed, deny: false });
      for (const id of removed) expect(allowed).toContain(tenantOf(Number.parseInt(id.slice(-4), 16) - 1));
      expect(await world.store.pictures.count()).toBe(before - removed.length);
    }),
    { numRuns: 10, seed: 6 },
  );
});
