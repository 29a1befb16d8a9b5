import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { randomVector, uuid } from '../contracts/image-index.ts';
import { openWorld, width, type World } from './world.ts';

let world: World;
beforeAll(async () => {
  world = await openWorld();
}, 60_000);
afterAll(() => world.close());

test('more rows than a statement takes values, with tags, are listed, filled in and levelled', async () => {
  const count = 1700;
  const rows = Array.from({ length: count }, (_, i) => ({
    id: uuid(i + 1), hash: '', tenant: 'all', alt: `picture ${i}`, caption: null, source: null, licence: null, addedBy: null, addedAt: i, tags: ['a', `t${i % 7}`], contentClass: 'safe', mimeType: 'image/png', width: 1, height: 1, perceptualHash: null, url: 'https://example.org/x.png',
    vectors: [{ projection: 'shift-0', values: randomVector(i, width) }],
  }));
  for (let i = 0; i < count; i += 500) await world.store.pictures.add(rows.slice(i, i + 500));
  expect(await world.store.pictures.list({}, { limit: 5000 })).toHaveLength(count);
  expect((await world.store.pictures.list({}, { after: uuid(600), limit: 1050 })).map(({ id }) => id)).toEqual(rows.slice(600, 1650).map(({ id }) => id));
  expect((await world.store.pictures.withoutPooled('colours', { limit: 1200 }))).toHaveLength(1200);
  const gallery = await world.open();
  expect(await gallery.verify()).toEqual({ rows: count, points: count, missing: [], extra: [], different: [] });
  expect((await gallery.sample({ tenants: ['all'], tags: ['t3'] }, 100)).every(({ tags }) => tags.includes('t3'))).toBe(true);
  expect(await gallery.remove({ ids: rows.map(({ id }) => id), tenants: ['all'], deny: false })).toHaveLength(count);
  expect((await gallery.verify()).points).toBe(0);
}, 60_000);
