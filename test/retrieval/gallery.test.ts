import { expect, test } from '@jest/globals';
import { EmbeddedIndex, type GalleryEntry, PictureGallery } from '../../src/retrieval/index.ts';
import { uuid } from '../contracts/image-index.ts';

function entry(n: number, pooled: readonly number[], tenant = 'all'): GalleryEntry {
  const picture = { id: uuid(n), hash: `${n}`, tenant, alt: `picture ${n}`, caption: null, source: null, licence: null, addedBy: null, addedAt: n, tags: [], contentClass: 'safe', mimeType: 'image/png', width: 1, height: 1 };
  return { picture, pooled: Float32Array.from(pooled), load: async () => Uint8Array.of(n) };
}

const straight = { key: 'straight', dim: 2, project: async (pooled: readonly Float32Array[]) => pooled };
/** An adapter that swaps the two axes. */
const crossed = { key: 'crossed', dim: 2, project: async (pooled: readonly Float32Array[]) => pooled.map((row) => Float32Array.of(row[1]!, row[0]!)) };
const all = { tenants: ['all'] };

function create(): PictureGallery {
  return new PictureGallery({ createIndex: (dim) => new EmbeddedIndex(dim, { threads: 1 }) });
}

test('finds what was added before and after an adapter began to serve', async () => {
  const gallery = create();
  await gallery.add([entry(1, [1, 0])]);
  await gallery.serve(straight);
  await gallery.add([entry(2, [0, 1])]);
  expect((await gallery.find({ vector: Float32Array.of(0, 1), filter: all, limit: 1 })).map(({ alt }) => alt)).toEqual(['picture 2']);
  await gallery.close();
});

test('a new adapter re-projects everything, and the old projection still answers requests that began with it', async () => {
  const gallery = create();
  await gallery.add([entry(1, [1, 0]), entry(2, [0, 1])]);
  await gallery.serve(straight);
  await gallery.serve(crossed);
  const find = async (adapter?: string) => (await gallery.find({ vector: Float32Array.of(1, 0), filter: all, limit: 1, ...(adapter ? { adapter } : {}) }))[0]?.id;
  expect(await find()).toBe(uuid(2));
  expect(await find('straight')).toBe(uuid(1));
  await gallery.drop('straight');
  expect(await find('straight')).toBe(uuid(2));
  await gallery.close();
});

test('bytes and rows of another tenant are not given out', async () => {
  const gallery = create();
  await gallery.add([entry(1, [1, 0], 'chat:a')]);
  expect(await gallery.bytes(uuid(1), all)).toBeNull();
  expect(await gallery.get(uuid(1), all)).toBeNull();
  expect(await gallery.bytes(uuid(1), { tenants: ['chat:a'] })).toEqual(Uint8Array.of(1));
  await gallery.close();
});

test('a score under the threshold is an honest nothing', async () => {
  const gallery = create();
  await gallery.add([entry(1, [1, 0])]);
  await gallery.serve(straight);
  gallery.scoreThreshold = 0.9;
  expect(await gallery.find({ vector: Float32Array.of(0.6, 0.8), filter: all, limit: 1 })).toEqual([]);
  expect(await gallery.find({ vector: Float32Array.of(0.99, 0.1), filter: all, limit: 1 })).toHaveLength(1);
  await gallery.close();
});

test('before any adapter serves, a search is an error that may be retried', async () => {
  await expect(create().find({ vector: Float32Array.of(1, 0), filter: all, limit: 1 })).rejects.toMatchObject({ code: 'RETRIEVAL_NOT_READY', retryable: true });
});
