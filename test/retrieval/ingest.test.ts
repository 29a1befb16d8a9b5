import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { pack } from 'tar-stream';
import { createSafeFetcher, ingest, type IngestOptions, openSource, type StoredGallery } from '../../src/retrieval/index.ts';
import { drawn, openWorld, vectorOf, type World } from './world.ts';

let world: World;
let gallery: StoredGallery;
let folder: string;

beforeAll(async () => {
  world = await openWorld();
  gallery = await world.open();
  folder = join(world.folder, 'sources');
  mkdirSync(join(folder, 'pictures', 'more'), { recursive: true });
}, 60_000);
afterAll(() => world.close());

const common = (more: Partial<IngestOptions> = {}): IngestOptions => ({ gallery, pictures: world.store.pictures, tenant: 'all', addedBy: null, batch: 3, ...more });
const captions = async (tenant: string) => (await world.store.pictures.list({ tenants: [tenant] })).map(({ caption, alt }) => caption ?? `(${alt})`).sort();

async function tar(entries: Record<string, Uint8Array | string>): Promise<Buffer> {
  const archive = pack();
  for (const [name, content] of Object.entries(entries)) archive.entry({ name }, Buffer.from(content as Uint8Array));
  archive.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of archive) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

test('a folder: sidecars, names as words, what is no picture, and again without new ones', async () => {
  for (let i = 0; i < 5; i++) writeFileSync(join(folder, 'pictures', i === 4 ? 'more/red_dog-4.png' : `${i}.png`), await drawn(100 + i));
  writeFileSync(join(folder, 'pictures', '0.txt'), ' a caption beside it \n');
  writeFileSync(join(folder, 'pictures', '1.json'), JSON.stringify({ caption: 'from json', licence: 'CC0', tags: ['x'] }));
  writeFileSync(join(folder, 'pictures', 'bad.jpg'), 'no picture');
  writeFileSync(join(folder, 'pictures', 'copy-of-2.png'), await drawn(102));
  writeFileSync(join(folder, 'pictures', 'notes.md'), 'left alone');
  const skips: string[] = [];
  const seen: number[] = [];
  const report = await ingest(await openSource(join(folder, 'pictures')), common({ tags: ['folder'], licence: 'mine', onSkip: (name, reason) => skips.push(`${name} ${reason}`), onProgress: ({ seen: count }) => seen.push(count) }));
  expect(report).toMatchObject({ added: 5, known: 1, denied: 0, resumedAt: 0 });
  expect(Object.values(report.skipped)).toEqual([1]);
  expect(skips.sort()).toEqual([expect.stringMatching(/^bad\.jpg VISION_/), expect.stringMatching(/^copy-of-2\.png it looks like/)]);
  expect(seen.at(-1)).toBe(7);
  expect(await captions('all')).toEqual(['(2)', '(3)', '(red dog 4)', 'a caption beside it', 'from json']);
  const [found] = await gallery.find({ vector: await vectorOf(await drawn(101)), filter: { tenants: ['all'], tags: ['x', 'folder'] }, limit: 1 });
  expect(found).toMatchObject({ caption: 'from json', licence: 'CC0', source: '1.png' });
  writeFileSync(join(folder, 'pictures', 'new.png'), await drawn(110));
  expect(await ingest(await openSource(join(folder, 'pictures')), common())).toMatchObject({ added: 1, known: 6 });
}, 30_000);

test('a TSV takes the first of several captions; a JSONL line says more; wrong lines are skipped by number', async () => {
  for (let i = 0; i < 3; i++) writeFileSync(join(folder, `t${i}.png`), await drawn(200 + i));
  writeFileSync(join(folder, 'list.tsv'), 'caption\timage\nfirst\tt0.png\nsecond\tt0.png\nother\tt1.png\ngone\tmissing.png\n');
  expect(await ingest(await openSource(join(folder, 'list.tsv')), common({ tenant: 'chat:tsv' }))).toMatchObject({ added: 2, skipped: { RETRIEVAL_SOURCE: 1 } });
  expect(await captions('chat:tsv')).toEqual(['first', 'other']);
  writeFileSync(join(folder, 'list.jsonl'), ['{"image":"t2.png","caption":"two","source":"a book","contentClass":"adult"}', '', 'nonsense', '{"caption":"no image"}', '{"image":"http://127.0.0.1:1/x.png"}'].join('\n'));
  const skips: string[] = [];
  const report = await ingest(await openSource(join(folder, 'list.jsonl')), common({ tenant: 'chat:jsonl', onSkip: (name, reason) => skips.push(`${name} ${reason}`) }));
  expect(report).toMatchObject({ added: 1, skipped: { RETRIEVAL_SOURCE: 2, FETCH_ADDRESS: 1 } });
  expect(skips.join('\n')).toMatch(/line 3 .*no JSON[^]*line 4 .*no image/);
  expect((await world.store.pictures.list({ tenants: ['chat:jsonl'] }))[0]).toMatchObject({ source: 'a book', contentClass: 'adult' });
}, 30_000);

test('addresses are fetched through the guarded fetcher; dead ones are skipped', async () => {
  const bytes = await drawn(300);
  const server = createServer((request, response) => (request.url === '/a.png' ? response.end(bytes) : response.writeHead(404).end()));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const at = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const fetcher = createSafeFetcher({ allowHosts: [at], pauseMs: 0 });
  writeFileSync(join(folder, 'urls.jsonl'), [`{"url":"http://${at}/a.png","caption":"fetched"}`, `{"url":"http://${at}/b.png"}`, '{"url":"http://169.254.169.254/latest"}'].join('\n'));
  const report = await ingest(await openSource(join(folder, 'urls.jsonl'), { fetchPicture: (url) => fetcher.fetch(url) }), common({ tenant: 'chat:urls' }));
  expect(report).toMatchObject({ added: 1, skipped: { FETCH_GONE: 1, FETCH_ADDRESS: 1 } });
  expect(await captions('chat:urls')).toEqual(['fetched']);
  await fetcher.close();
  server.close();
});

test('a tar, plain or gzipped, with captions beside or in a TSV; a cut one keeps what came before', async () => {
  const archive = await tar({ 'a/1.png': await drawn(400), 'a/1.txt': 'one', 'a/2.txt': 'two', 'a/2.png': await drawn(401), '3.png': await drawn(402), 'readme.md': 'x' });
  writeFileSync(join(folder, 'c.tsv'), 'caption\timage\nthree of the list\t3.png\n');
  writeFileSync(join(folder, 'p.tar'), archive);
  writeFileSync(join(folder, 'z.tar.gz'), gzipSync(archive));
  expect(await ingest(await openSource(join(folder, 'p.tar'), { captions: join(folder, 'c.tsv') }), common({ tenant: 'chat:tar' }))).toMatchObject({ added: 3, skipped: {} });
  expect(await captions('chat:tar')).toEqual(['one', 'three of the list', 'two']);
  expect(await ingest(await openSource(join(folder, 'z.tar.gz')), common({ tenant: 'chat:gz' }))).toMatchObject({ added: 3 });
  writeFileSync(join(folder, 'cut.tar'), archive.subarray(0, archive.length - 6000));
  await expect(ingest(await openSource(join(folder, 'cut.tar')), common({ tenant: 'chat:cut', batch: 1 }))).rejects.toMatchObject({ code: 'RETRIEVAL_SOURCE' });
  expect(await captions('chat:cut')).toEqual(['one', 'two']);
  await expect(openSource(join(folder, 'c.txt'))).rejects.toMatchObject({ code: 'RETRIEVAL_SOURCE' });
}, 30_000);

test('a run that was stopped goes on where it was; the model may say what is in a picture', async () => {
  const entries: Record<string, Uint8Array> = {};
  for (let i = 0; i < 9; i++) entries[`${i}.png`] = await drawn(600 + i);
  writeFileSync(join(folder, 'nine.tar'), await tar(entries));
  const controller = new AbortController();
  const describe = async () => 'what the model sees';
  const first = ingest(await openSource(join(folder, 'nine.tar')), common({ tenant: 'chat:nine', describe, signal: controller.signal, onProgress: ({ seen }) => seen >= 3 && controller.abort() }));
  await expect(first).rejects.toMatchObject({ name: 'AbortError' });
  const before = await world.store.pictures.count({ tenants: ['chat:nine'] });
  expect(before).toBeGreaterThanOrEqual(3);
  expect(before).toBeLessThan(9);
  const second = await ingest(await openSource(join(folder, 'nine.tar')), common({ tenant: 'chat:nine', describe }));
  expect(second).toMatchObject({ resumedAt: before, added: 9 - before, known: 0 });
  expect(await captions('chat:nine')).toEqual(Array(9).fill('what the model sees'));
  expect(readFileSync(join(folder, 'nine.tar')).length).toBeGreaterThan(0);
}, 30_000);
