import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createSafeFetcher, importEmbeddings } from '../../src/retrieval/index.ts';
import { pickle, text, u64 } from '../formats/samples.ts';
import { drawn, openWorld, shifted, vectorOf, width, type World } from './world.ts';

let world: World;
let requests: string[] = [];
const up = new Map<string, Uint8Array>();
const server = createServer((request, response) => {
  requests.push(request.url ?? '');
  const bytes = up.get(request.url ?? '');
  if (request.url?.startsWith('/slow')) return void response.writeHead(500).end();
  return bytes ? void response.end(bytes) : void response.writeHead(404).end();
});
let at: string;

beforeAll(async () => {
  world = await openWorld();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  at = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}, 60_000);
afterAll(async () => {
  await world.close();
  server.close();
});

/** The authors' form: a pickled dict of a list of texts and one array. */
function embeddingsFile(paths: readonly string[], rows: readonly Float32Array[]): string {
  const dtype = pickle('cnumpy\ndtype\n', text('f4'), 0x85, 'R(K', 3, text('<'), 'tb');
  const values = Buffer.concat(rows.map((row) => Buffer.from(row.buffer, row.byteOffset, row.byteLength)));
  const head = pickle(0x80, 4, '}(', text('paths'), '](', Buffer.concat(paths.map((path) => text(path))), 'e', text('embeddings'), 'cnumpy._core.multiarray\n_reconstruct\ncnumpy\nndarray\nK', 0, 0x85, 'C', 1, 'b', 0x87, 'R(K', 1, 'K', rows.length, 'K', width, 0x86, dtype, 0x89, 0x8e, u64(values.length));
  const file = join(world.folder, `embeddings-${paths.length}.pkl`);
  writeFileSync(file, Buffer.concat([head, values, Buffer.from('tbu.')]));
  return file;
}

test('links are found by their imported vectors, fetched when shown, kept; a dead one is marked and the next best shown', async () => {
  const wanted = await drawn(700);
  const near = await drawn(701);
  up.set('/near.png', near);
  const vector = await vectorOf(wanted);
  const nearVector = await vectorOf(near);
  const middle = vector.map((value, i) => 0.9 * value + 0.1 * nearVector[i]!);
  const file = embeddingsFile([`${at}/dead.png`, `${at}/slow.png`, `${at}/near.png`, 'not/an/address.jpg', `${at}/zero.png`], [vector.map((value) => value * 3), middle, nearVector, vector, new Float32Array(width)]);
  const projection = shifted(0);
  const report = await importEmbeddings(file, { pictures: world.store.pictures, projection, tenant: 'all', addedBy: null });
  expect(report).toMatchObject({ rows: 5, added: 3, known: 0, skipped: { address: 1, vector: 1 } });
  expect(await importEmbeddings(file, { pictures: world.store.pictures, projection, tenant: 'all', addedBy: null })).toMatchObject({ added: 0, known: 3 });

  const fetcher = createSafeFetcher({ allowHosts: [at.slice(7)], pauseMs: 0 });
  const gallery = await world.open({ fetchPicture: (url) => fetcher.fetch(url) }, projection);
  expect(requests).toEqual([]);
  const find = () => gallery.find({ vector, filter: { tenants: ['all'] }, limit: 1 });
  const [shown] = await find();
  expect(shown).toMatchObject({ alt: 'near', source: `${at}/near.png`, width: 64, height: 64 });
  expect(shown!.hash).toMatch(/^[0-9a-f]{64}$/);
  expect(requests.sort()).toEqual(['/dead.png', '/near.png', '/slow.png']);
  expect(await gallery.bytes(shown!.id, { tenants: ['all'] })).not.toBeNull();
  requests = [];
  expect((await find())[0]!.id).toBe(shown!.id);
  expect(requests).toEqual([]);
  const dead = (await world.store.pictures.list({ includeDead: true })).filter((row) => row.dead);
  expect(dead.map(({ url }) => url)).toEqual([`${at}/dead.png`]);
  expect((await gallery.verify()).extra).toEqual([]);
  await fetcher.close();
}, 30_000);

test('without a fetcher links are not shown, and a file of another width is refused', async () => {
  const gallery = await world.open();
  const found = await gallery.find({ vector: await vectorOf(await drawn(700)), filter: { tenants: ['all'] }, limit: 5 });
  expect(found.map(({ alt }) => alt)).toEqual(['near']);
  const file = embeddingsFile([`${at}/x.png`], [new Float32Array(width).fill(1)]);
  await expect(importEmbeddings(file, { pictures: world.store.pictures, projection: { key: 'k', dim: 256 }, tenant: 'all', addedBy: null })).rejects.toMatchObject({ code: 'RETRIEVAL_VECTOR', message: expect.stringMatching(/48 .*256/) });
});
