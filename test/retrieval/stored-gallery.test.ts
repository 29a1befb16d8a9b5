import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { EmbeddedIndex, PictureGallery, type StoredGallery } from '../../src/retrieval/index.ts';
import { fromRgb, scene } from '../vision/drawn.ts';
import { uuid } from '../contracts/image-index.ts';
import { drawn, encodeColours, openWorld, shifted, vectorOf, width, type World } from './world.ts';

const mine = { tenants: ['all', 'chat:a'] };
let world: World;
let gallery: StoredGallery;

beforeAll(async () => {
  world = await openWorld();
  const fixed = new PictureGallery({ createIndex: (dim) => new EmbeddedIndex(dim, { threads: 1 }) });
  const bytes = await drawn(500);
  const [pooled] = await encodeColours([bytes]);
  await fixed.add([{ picture: { id: uuid(500), hash: 'f', tenant: 'all', alt: 'fixed', caption: null, source: null, licence: 'MIT', addedBy: null, addedAt: 0, tags: ['starter'], contentClass: 'safe', mimeType: 'image/png', width: 64, height: 64 }, pooled: pooled as Float32Array, load: async () => bytes }]);
  gallery = await world.open({ fixed });
}, 60_000);
afterAll(() => world.close());

const ids = (found: readonly { id: string }[]) => found.map(({ id }) => id);

test('a picture is retrievable once it was added, with bytes that are not those sent, and after a restart', async () => {
  const bytes = await drawn(1);
  await gallery.addPicture({ bytes: await drawn(2), caption: 'a first one, to start the decoder', addedBy: 'u1', tenant: 'chat:a' });
  const began = performance.now();
  const { id, alt } = await gallery.addPicture({ bytes, caption: 'waves and boxes', addedBy: 'u1', tenant: 'chat:a' });
  const vector = await vectorOf(bytes);
  const [best] = await gallery.find({ vector, filter: mine, limit: 1 });
  expect(performance.now() - began).toBeLessThan(1000);
  expect(best).toMatchObject({ id, alt: 'waves and boxes', tenant: 'chat:a', addedBy: 'u1' });
  expect(best!.score).toBeGreaterThan(0.9999);
  expect(alt).toBe('waves and boxes');
  const shown = await gallery.bytes(id, mine);
  expect(shown).not.toBeNull();
  expect(Buffer.from(shown!).equals(Buffer.from(bytes))).toBe(false);
  const again = await world.open();
  expect(ids(await again.find({ vector, filter: mine, limit: 1 }))).toEqual([id]);
  await again.close();
});

test('pictures of the program are found beside those of the store, in one order', async () => {
  const found = await gallery.find({ vector: await vectorOf(await drawn(500)), filter: mine, limit: 3 });
  expect(found[0]).toMatchObject({ id: uuid(500), alt: 'fixed' });
  expect(found).toHaveLength(3);
  expect([...found].sort((a, b) => b.score - a.score)).toEqual(found);
  expect(await gallery.get(uuid(500), mine)).toMatchObject({ alt: 'fixed' });
});

test('the same picture again is known, also recompressed, and another chat has its own', async () => {
  const [first] = await gallery.take([{ bytes: await drawn(3), caption: null, tenant: 'chat:a', addedBy: null }]);
  const small = new Uint8Array(await fromRgb(scene(64, 64, 3), 64, 64).resize(48, 48).jpeg({ quality: 60 }).toBuffer());
  expect(first!.outcome).toBe('added');
  const id = first!.outcome === 'added' ? first!.row.id : '';
  const twice = await gallery.take([{ bytes: small, caption: null, tenant: 'chat:a', addedBy: null }, { bytes: small, caption: null, tenant: 'chat:b', addedBy: null }, { bytes: small, caption: null, tenant: 'chat:b', addedBy: null }]);
  expect(twice.map(({ outcome }) => outcome)).toEqual(['known', 'added', 'known']);
  expect(twice[0]).toMatchObject({ id });
});

test('what is no picture is an answer in its place, and the others go in', async () => {
  const taken = await gallery.take([{ bytes: new TextEncoder().encode('hello'), caption: null, tenant: 'all', addedBy: null }, { bytes: await drawn(4), caption: null, tenant: 'all', addedBy: null, alt: 'four' }]);
  expect(taken.map(({ outcome }) => outcome)).toEqual(['unreadable', 'added']);
  await expect(gallery.addPicture({ bytes: new Uint8Array(9), caption: '', addedBy: null, tenant: 'all' })).rejects.toMatchObject({ code: expect.stringMatching(/^VISION_/) });
});

test('a new adapter answers all at once from vectors made without decoding; the old one answers until dropped', async () => {
  const vector = await vectorOf(await drawn(1));
  const moved = await vectorOf(await drawn(1), 7);
  const [before] = await gallery.find({ vector, filter: mine, limit: 1 });
  await gallery.prepare(shifted(7, ['candidate']));
  expect((await gallery.find({ vector, filter: mine, limit: 1 }))[0]).toEqual(before);
  expect(ids(await gallery.find({ vector: moved, filter: mine, limit: 1, adapter: 'candidate' }))).toEqual([before!.id]);
  const during = gallery.find({ vector, filter: mine, limit: 1, adapter: 'shift-0' });
  await gallery.serve(shifted(7));
  expect(ids(await gallery.find({ vector: moved, filter: mine, limit: 1 }))).toEqual([before!.id]);
  expect(await world.store.pictures.activeProjection()).toBe('shift-7');
  await gallery.drop('shift-0');
  expect(await during).toEqual([before]);
  // A picture added now has both: the row keeps the vector of what serves, the other is made when it is needed.
  const { id } = await gallery.addPicture({ bytes: await drawn(5), caption: 'five', addedBy: null, tenant: 'all' });
  await gallery.serve(shifted(0));
  expect(ids(await gallery.find({ vector: await vectorOf(await drawn(5)), filter: mine, limit: 1 }))).toEqual([id]);
  await gallery.drop('shift-7', { forget: true });
  expect(await world.store.pictures.countVectors('shift-7')).toBe(0);
});

test('a takedown is gone from index and store at once and cannot come back, not even recompressed', async () => {
  const bytes = await drawn(6);
  const { id } = await gallery.addPicture({ bytes, caption: 'six', addedBy: 'u2', tenant: 'chat:a' });
  expect(await gallery.remove({ ids: [id], tenants: ['chat:b'], deny: true })).toEqual([]);
  expect(await gallery.remove({ ids: [id], tenants: ['chat:a'], addedBy: 'u1', deny: false })).toEqual([]);
  expect(await gallery.remove({ ids: [id], tenants: ['chat:a', 'all'], deny: true, by: 'admin', reason: 'asked for' })).toEqual([id]);
  expect(ids(await gallery.find({ vector: await vectorOf(bytes), filter: mine, limit: 50 }))).not.toContain(id);
  expect(await gallery.bytes(id, mine)).toBeNull();
  const again = new Uint8Array(await fromRgb(scene(64, 64, 6), 64, 64).resize(200, 200).jpeg({ quality: 70 }).toBuffer());
  await expect(gallery.addPicture({ bytes: again, caption: '', addedBy: null, tenant: 'all' })).rejects.toMatchObject({ code: 'RETRIEVAL_DENIED', userMessage: expect.any(String) });
  expect(await gallery.learn({ bytes: again, caption: '', userId: 'u3', tenant: 'chat:c' })).toEqual({ outcome: 'denied' });
});

test('a picture of the program that an admin takes down stays hidden after a restart', async () => {
  expect(await gallery.remove({ ids: [uuid(500)], tenants: ['all'], deny: true })).toEqual([uuid(500)]);
  const bytes = await drawn(500);
  const [pooled] = await encodeColours([bytes]);
  const fixed = new PictureGallery({ createIndex: (dim) => new EmbeddedIndex(dim, { threads: 1 }) });
  const picture = { id: uuid(500), hash: 'f', tenant: 'all', alt: 'fixed', caption: null, source: null, licence: null, addedBy: null, addedAt: 0, tags: [], contentClass: 'safe', mimeType: 'image/png', width: 64, height: 64 };
  await fixed.add([{ picture, pooled: pooled as Float32Array, load: async () => bytes }]);
  const again = await world.open({ fixed });
  expect(await again.get(uuid(500), mine)).toBeNull();
  expect(ids(await again.find({ vector: await vectorOf(bytes), filter: mine, limit: 50 }))).not.toContain(uuid(500));
  await again.close();
});

test('filters, pages by exclusion, likeness to a picture', async () => {
  const { id } = await gallery.learn({ bytes: await drawn(8), caption: 'eight', userId: 'u8', tenant: 'chat:a' }) as { id: string };
  const vector = (await gallery.vectorOf(id, mine))!;
  expect(await gallery.vectorOf(id, { tenants: ['all'] })).toBeNull();
  expect(ids(await gallery.find({ vector, filter: { ...mine, addedBy: 'u8' }, limit: 9 }))).toEqual([id]);
  const first = ids(await gallery.find({ vector, filter: mine, limit: 3 }));
  const second = ids(await gallery.find({ vector, filter: mine, limit: 3, exclude: new Set(first) }));
  expect(first[0]).toBe(id);
  expect(ids(await gallery.find({ vector, filter: mine, limit: 6 }))).toEqual([...first, ...second]);
});

test('the state of an index against the rows is told and mended', async () => {
  const index = new EmbeddedIndex(width, { threads: 1 });
  const other = await world.open({ createIndex: () => index });
  const rows = await world.store.pictures.count();
  expect(await other.verify()).toEqual({ rows, points: rows, missing: [], extra: [], different: [] });
  const [gone, wrong] = await index.ids();
  await index.delete([gone!]);
  await index.upsert([{ id: wrong!, vector: Float32Array.from({ length: width }, (_, i) => (i === 0 ? 1 : 0)), tenant: 'chat:a', tags: [], addedBy: null, addedAt: 1, contentClass: 'safe' }, { id: uuid(77), vector: new Float32Array(width).fill(1), tenant: 'all', tags: [], addedBy: null, addedAt: 1, contentClass: 'safe' }]);
  const expected = { rows, points: rows, missing: [gone], extra: [uuid(77)], different: [wrong] };
  expect(await other.verify()).toEqual(expected);
  expect(await other.rebuild()).toEqual(expected);
  expect(await other.verify()).toMatchObject({ missing: [], extra: [], different: [] });
  await other.close();
});

test('pictures that another process adds or takes away are seen after a refresh', async () => {
  const other = await world.open();
  const bytes = await drawn(9);
  const vector = await vectorOf(bytes);
  const { id } = await other.addPicture({ bytes, caption: 'nine', addedBy: null, tenant: 'all' });
  expect(ids(await gallery.find({ vector, filter: mine, limit: 1 }))).not.toContain(id);
  await gallery.refresh();
  expect(ids(await gallery.find({ vector, filter: mine, limit: 1 }))).toEqual([id]);
  await other.removePicture(id);
  expect(ids(await gallery.find({ vector, filter: mine, limit: 50 }))).not.toContain(id);
  await gallery.refresh();
  expect((await gallery.verify()).extra).toEqual([]);
  await other.close();
});

test('a running program looks for itself', async () => {
  const watching = await world.open({ refreshMs: 50 });
  const bytes = await drawn(10);
  const vector = await vectorOf(bytes);
  const { id } = await gallery.addPicture({ bytes, caption: 'ten', addedBy: null, tenant: 'all' });
  const deadline = Date.now() + 15_000;
  let found: string[] = [];
  while (!found.includes(id) && Date.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    found = ids(await watching.find({ vector, filter: mine, limit: 1 }));
  }
  expect(found).toEqual([id]);
  await watching.close();
}, 30_000);
