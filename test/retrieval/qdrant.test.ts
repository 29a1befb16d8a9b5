import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { composeAnswer } from '../../src/chat/index.ts';
import type { GenerateEvent } from '../../src/engine/types.ts';
import { QdrantIndex, type StoredGallery } from '../../src/retrieval/index.ts';
import { imageIndexContract, point, randomVector, uuid } from '../contracts/image-index.ts';
import { createChecker } from '../fakes/qdrant/schema.ts';
import { type FakeQdrant, startFakeQdrant } from '../fakes/qdrant/server.ts';
import { drawn, openWorld, vectorOf, width, type World } from './world.ts';

let fake: FakeQdrant;
beforeAll(async () => {
  fake = await startFakeQdrant();
});
afterAll(() => fake.close());
afterEach(() => {
  fake.fault = null;
  fake.version = '1.19.0';
  expect(fake.violations).toEqual([]);
});

let made = 0;
imageIndexContract('Qdrant’s client on a loopback server', async (dim) => new QdrantIndex(dim, `contract ${made++}`, { url: fake.url }));

const real = process.env['QDRANT_URL'];
if (real) {
  imageIndexContract('a real Qdrant server', async (dim) => new QdrantIndex(dim, `contract ${randomUUID()}`, { url: real, ...(process.env['QDRANT_API_KEY'] ? { apiKey: process.env['QDRANT_API_KEY'] } : {}) }));
} else test.skip('a real Qdrant server keeps the contract (QDRANT_URL is not set)', () => undefined);

const published = resolve(import.meta.dirname, '../../../shared/spec/qdrant-openapi.json');
(existsSync(published) ? test : test.skip)('the description that the loopback server checks is cut from the published one (../shared/spec)', async () => {
  const { reduceSchema } = (await import('../fakes/qdrant/reduce-schema.mjs' as string)) as { reduceSchema(whole: unknown): unknown };
  const kept: unknown = JSON.parse(readFileSync(join(import.meta.dirname, '../fakes/qdrant/openapi.json'), 'utf8'));
  expect(kept).toEqual(reduceSchema(JSON.parse(readFileSync(published, 'utf8'))));
});

test('the description refuses misspelt filters, unknown fields and odd answers', () => {
  const checker = createChecker();
  const batch = '/collections/{collection_name}/points/query/batch';
  const search = { query: [1, 0], filter: { must: [{ key: 'tenant', match: { any: ['all'] } }] }, limit: 3 };
  expect(checker.request('POST', batch, { searches: [search] })).toBeNull();
  for (const wrong of [{ ...search, score_treshold: 1 }, { ...search, filter: { must: [{ key: 'tenant', match: { all: ['x'] } }] } }, { ...search, filter: { muss: [] } }, { ...search, limit: 'three' }]) {
    expect(checker.request('POST', batch, { searches: [wrong] })).toMatch(/query/);
  }
  expect(checker.response('POST', batch, { time: 1, status: 'ok', result: [{ points: [{ id: 'x' }] }] })).toMatch(/200/);
  expect(checker.match('GET', '/collections/x/nothing')).toBeNull();
});

describe('the server', () => {
  const open = (key: string, more = {}) => new QdrantIndex(8, key, { url: fake.url, ...more });
  const query = { vector: randomVector(1), filter: { tenants: ['all'] }, limit: 3 };

  test('has one collection for a projection, with an index of tenants made before any point, behind an alias', async () => {
    const index = open('layout');
    await index.upsert([point(1, [...randomVector(1)])]);
    const name = fake.aliases.get(index.alias)!;
    expect(fake.collections.get(name)!.indexes).toEqual(new Map<string, unknown>([['tenant', { type: 'keyword', is_tenant: true }], ['tags', 'keyword'], ['added_by', 'keyword'], ['content_class', 'keyword'], ['added_at', 'integer']]));
    await open('layout').upsert([point(2, [...randomVector(2)])]);
    expect(await index.count()).toBe(2);
  });

  test('is never asked for nobody’s pictures', async () => {
    const index = open('nobody');
    await index.count();
    fake.requests.length = 0;
    expect(await index.query({ ...query, filter: { tenants: [] } })).toEqual([]);
    expect(await index.count({ tenants: [] })).toBe(0);
    expect(fake.requests).toEqual([]);
  });

  test.each([
    ['slow', { delayMs: 6000 }, 'RETRIEVAL_QDRANT_DOWN'],
    ['cutting connections', { cut: true }, 'RETRIEVAL_QDRANT_DOWN'],
    ['broken', { status: 500 }, 'RETRIEVAL_QDRANT'],
    ['asking for a key', { apiKey: 'x' }, 'RETRIEVAL_QDRANT_KEY'],
  ])('%s: an error that may pass, with words for a person, and all is well when it has passed', async (_what, fault, code) => {
    const index = open('faults', { timeoutMs: 1500 });
    await index.upsert([point(1, [...randomVector(1)])]);
    fake.fault = fault;
    await expect(index.query(query)).rejects.toMatchObject({ code, retryable: true, userMessage: expect.any(String) });
    fake.fault = null;
    expect(await index.query(query)).toHaveLength(1);
  });

  test('of an old version is told apart', async () => {
    fake.version = '1.9.7';
    await expect(open('old').query(query)).rejects.toMatchObject({ code: 'RETRIEVAL_QDRANT_OLD', message: expect.stringMatching(/1\.9\.7.*1\.11/) });
  });

  test('keeps vectors of one width', async () => {
    await open('width').count();
    await expect(new QdrantIndex(9, 'width', { url: fake.url }).count()).rejects.toMatchObject({ code: 'RETRIEVAL_VECTOR', message: expect.stringMatching(/8 .*9/) });
  });

  test('is filled anew behind the alias: searches see the old points until the new ones are all there', async () => {
    const index = open('refill');
    await index.upsert([point(1, [...randomVector(1)])]);
    const before = fake.aliases.get(index.alias);
    await index.refill((async function* () {
      yield [point(2, [...randomVector(2)])];
      expect(await index.ids()).toEqual([uuid(1)]);
      yield [point(3, [...randomVector(3)])];
    })());
    expect(await index.ids()).toEqual([uuid(2), uuid(3)]);
    expect(fake.aliases.get(index.alias)).not.toBe(before);
    expect(fake.collections.has(before!)).toBe(false);
  });
});

describe('a gallery on Qdrant', () => {
  let world: World;
  let gallery: StoredGallery;
  const errors: unknown[] = [];
  const filter = { tenants: ['all'] };
  const find = async (seed: number) => (await gallery.find({ vector: await vectorOf(await drawn(seed)), filter, limit: 1 }))[0]?.alt;
  const add = async (seed: number) => gallery.addPicture({ bytes: await drawn(seed), caption: `picture ${seed}`, addedBy: null, tenant: 'all' });

  beforeAll(async () => {
    world = await openWorld();
    gallery = await world.open({ createIndex: (dim, key) => new QdrantIndex(dim, key, { url: fake.url, timeoutMs: 3000 }), onError: (error) => errors.push(error) });
    await add(1);
    await add(2);
  }, 60_000);
  afterAll(() => world.close());

  test('finds what was added, and holds what a rebuild would', async () => {
    expect(await find(1)).toBe('picture 1');
    expect(await gallery.verify()).toEqual({ rows: 2, points: 2, missing: [], extra: [], different: [] });
  });

  test('while the server is gone answers are words that say so; pictures added meanwhile are durable and there afterwards', async () => {
    await fake.close();
    await expect(find(1)).rejects.toMatchObject({ code: 'RETRIEVAL_QDRANT_DOWN' });
    const engine = {
      async *generate(): AsyncGenerator<GenerateEvent> {
        yield { type: 'text', text: 'Here you are.' };
        yield { type: 'ret', embedding: await vectorOf(await drawn(1)), after: 13, probability: 1 };
        yield { type: 'end', reason: 'stop', text: 'Here you are.', tokenIds: [], seed: 1, adapter: 'a', retProbability: 1, usage: { promptTokens: 1, cachedTokens: 0, newTokens: 1, droppedTurns: 0, queuedMs: 0, firstTokenMs: 0, totalMs: 0 } };
      },
    };
    const events = [];
    for await (const event of composeAnswer({ engine, gallery, filter, request: { prompt: { kind: 'turns', turns: [] } } })) events.push(event);
    expect(events).toContainEqual(expect.objectContaining({ type: 'text', text: 'Here you are.' }));
    expect(events).toContainEqual(expect.objectContaining({ type: 'no_picture', reason: 'gallery_unavailable' }));

    await add(3);
    expect(errors.at(-1)).toMatchObject({ code: 'RETRIEVAL_QDRANT_DOWN' });
    await fake.reopen();
    await gallery.refresh();
    expect(await find(3)).toBe('picture 3');
  });

  test('a server that lost everything is filled again from the database', async () => {
    fake.collections.clear();
    fake.aliases.clear();
    await expect(find(1)).rejects.toMatchObject({ code: 'RETRIEVAL_QDRANT_LOST', retryable: true });
    await gallery.refresh();
    expect(await find(1)).toBe('picture 1');
    expect(await gallery.verify()).toEqual({ rows: 3, points: 3, missing: [], extra: [], different: [] });
  });

  test('a server restored from an old snapshot is told by verify and mended by rebuild, bit for bit', async () => {
    const collection = [...fake.collections.values()].find(({ size, points }) => size === width && points.size === 3)!;
    const whole = new Map(collection.points);
    const [first, second] = [...whole.values()];
    collection.points.delete(first!.id);
    collection.points.set(second!.id, { ...second!, vector: first!.vector });
    collection.points.set(uuid(9), { ...second!, id: uuid(9) });
    expect(await gallery.verify()).toEqual({ rows: 3, points: 3, missing: [first!.id], extra: [uuid(9)], different: [second!.id] });
    await gallery.rebuild();
    const ordered = (points: ReadonlyMap<string, object>) => [...points].sort(([a], [b]) => (a < b ? -1 : 1));
    expect(ordered(collection.points)).toEqual(ordered(whole));
  });

  test('a program that starts while the server is down serves words, and pictures when it is back', async () => {
    await fake.close();
    const late = await world.open({ createIndex: (dim, key) => new QdrantIndex(dim, key, { url: fake.url, timeoutMs: 3000 }), onError: (error) => errors.push(error) });
    const vector = await vectorOf(await drawn(2));
    await expect(late.find({ vector, filter, limit: 1 })).rejects.toMatchObject({ code: 'RETRIEVAL_QDRANT_DOWN' });
    await fake.reopen();
    await late.refresh();
    expect((await late.find({ vector, filter, limit: 1 }))[0]?.alt).toBe('picture 2');
  });
});
