// One suite for every `ImageIndex`. An implementation's test only says how to make one.
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import fc from '../setup/seeded.ts';
import type { ImageIndex, ImagePoint } from '../../src/retrieval/types.ts';

const dim = 8;

export function uuid(n: number): string {
  return `00000000-0000-4000-8000-${n.toString(16).padStart(12, '0')}`;
}

export function point(n: number, vector: readonly number[], more: Partial<ImagePoint> = {}): ImagePoint {
  return { id: uuid(n), vector: Float32Array.from(vector), tenant: 'all', tags: [], addedBy: null, addedAt: n, contentClass: 'safe', ...more };
}

/** A repeatable unit vector. */
export function randomVector(seed: number, size: number = dim): Float32Array {
  let state = seed * 2654435761 + 1;
  const values = Float32Array.from({ length: size }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return state / 2 ** 31;
  });
  const norm = Math.hypot(...values);
  return values.map((value) => value / norm);
}

const axis = (i: number, scale = 1): number[] => Array.from({ length: dim }, (_, j) => (j === i ? scale : 0));
const everything = { tenants: ['all'] };

export function imageIndexContract(name: string, create: (dim: number) => Promise<ImageIndex>): void {
  describe(`${name} keeps the contract of an image index`, () => {
    let index: ImageIndex;
    beforeEach(async () => {
      index = await create(dim);
    });
    afterEach(() => index.close());

    test('an empty index finds nothing', async () => {
      expect(await index.query({ vector: Float32Array.from(axis(0)), filter: everything, limit: 3 })).toEqual([]);
      expect(await index.count()).toBe(0);
    });

    test('scores are cosines, best first, whatever the length of the vectors', async () => {
      await index.upsert([point(1, axis(0, 3)), point(2, axis(1)), point(3, [1, 1, 0, 0, 0, 0, 0, 0])]);
      const hits = await index.query({ vector: Float32Array.from(axis(0, 5)), filter: everything, limit: 3 });
      expect(hits.map((hit) => hit.id)).toEqual([uuid(1), uuid(3), uuid(2)]);
      expect(hits[0]!.score).toBeCloseTo(1, 5);
      expect(hits[1]!.score).toBeCloseTo(Math.SQRT1_2, 5);
      expect(hits[2]!.score).toBeCloseTo(0, 5);
    });

    test('equal scores come in the order of their ids, also across the limit', async () => {
      await index.upsert([5, 3, 9, 1, 7, 20, 15, 12, 11, 30, 2].map((n) => point(n, axis(0))));
      const hits = await index.query({ vector: Float32Array.from(axis(0)), filter: everything, limit: 2 });
      expect(hits.map((hit) => hit.id)).toEqual([uuid(1), uuid(2)]);
    });

    test('a query sees only its tenants', async () => {
      await index.upsert([point(1, axis(0), { tenant: 'chat:a' }), point(2, axis(0), { tenant: 'chat:b' }), point(3, axis(0))]);
      const seen = async (tenants: string[]) => (await index.query({ vector: Float32Array.from(axis(0)), filter: { tenants }, limit: 9 })).map((hit) => hit.id);
      expect(await seen(['chat:a'])).toEqual([uuid(1)]);
      expect(await seen(['chat:a', 'all'])).toEqual([uuid(1), uuid(3)]);
      expect(await seen([])).toEqual([]);
    });

    test('filters by tag, person, time and content class', async () => {
      await index.upsert([
        point(1, axis(0), { tags: ['cat', 'red'], addedBy: 'u1' }),
        point(2, axis(0), { tags: ['cat'], addedBy: 'u2' }),
        point(3, axis(0), { tags: [], addedBy: 'u1', contentClass: 'adult' }),
      ]);
      const ids = async (filter: object) => (await index.query({ vector: Float32Array.from(axis(0)), filter: { tenants: ['all'], ...filter }, limit: 9 })).map((hit) => Number.parseInt(hit.id.slice(-4), 16));
      expect(await ids({ tags: ['cat'] })).toEqual([1, 2]);
      expect(await ids({ tags: ['cat', 'red'] })).toEqual([1]);
      expect(await ids({ addedBy: 'u1' })).toEqual([1, 3]);
      expect(await ids({ addedAfter: 1, addedBefore: 3 })).toEqual([2]);
      expect(await ids({ contentClasses: ['safe'] })).toEqual([1, 2]);
      expect(await index.count({ tenants: ['all'], tags: ['cat'] })).toBe(2);
    });

    test('excluded ids and scores under the threshold do not come back', async () => {
      await index.upsert([point(1, axis(0)), point(2, [1, 1, 0, 0, 0, 0, 0, 0]), point(3, axis(1))]);
      const hits = await index.query({ vector: Float32Array.from(axis(0)), filter: everything, limit: 9, exclude: new Set([uuid(1)]), scoreThreshold: 0.5 });
      expect(hits.map((hit) => hit.id)).toEqual([uuid(2)]);
    });

    test('an upsert replaces, a delete removes, and both are seen at once', async () => {
      await index.upsert([point(1, axis(0)), point(2, axis(1)), point(3, axis(2))]);
      await index.upsert([point(1, axis(3))]);
      await index.delete([uuid(2), uuid(99)]);
      expect(await index.count()).toBe(2);
      const best = async (i: number) => (await index.query({ vector: Float32Array.from(axis(i)), filter: everything, limit: 1 }))[0];
      expect(await best(3)).toMatchObject({ id: uuid(1) });
      expect((await best(0))!.score).toBeLessThan(0.5);
      expect(await best(2)).toMatchObject({ id: uuid(3) });
    });

    test('ids come in order, page by page, and vectors come back as unit vectors', async () => {
      expect(await index.ids()).toEqual([]);
      await index.upsert([7, 3, 9, 1, 5].map((n) => point(n, axis(n % dim, n))));
      expect(await index.ids()).toEqual([1, 3, 5, 7, 9].map(uuid));
      expect(await index.ids({ after: uuid(3), limit: 2 })).toEqual([uuid(5), uuid(7)]);
      expect(await index.ids({ after: uuid(9) })).toEqual([]);
      await index.delete([uuid(3)]);
      expect(await index.ids({ limit: 2 })).toEqual([uuid(1), uuid(5)]);
      const vectors = new Map((await index.vectors([uuid(5), uuid(3), uuid(1)])).map(({ id, vector }) => [id, [...vector]]));
      expect(vectors).toEqual(new Map([[uuid(5), axis(5)], [uuid(1), axis(1)]]));
    });

    test('a vector of another width is refused with both numbers', async () => {
      await expect(index.upsert([point(1, [1, 2, 3])])).rejects.toMatchObject({ code: 'RETRIEVAL_VECTOR', message: expect.stringMatching(/3 .*8 /) });
      await expect(index.query({ vector: new Float32Array(5), filter: everything, limit: 1 })).rejects.toMatchObject({ code: 'RETRIEVAL_VECTOR' });
    });

    test('agrees with a plain scan over random rows, in single and batched queries', async () => {
      const points = Array.from({ length: 300 }, (_, i) => point(i + 1, [...randomVector(i)], { tenant: i % 3 === 0 ? 'all' : `chat:${i % 5}` }));
      await index.upsert(points);
      await fc.assert(
        fc.asyncProperty(fc.array(fc.record({ seed: fc.integer({ min: 1000, max: 9999 }), chat: fc.integer({ min: 0, max: 4 }), limit: fc.integer({ min: 1, max: 20 }) }), { minLength: 1, maxLength: 4 }), async (cases) => {
          const queries = cases.map(({ seed, chat, limit }) => ({ vector: randomVector(seed), filter: { tenants: ['all', `chat:${chat}`] }, limit }));
          const answers = await index.queryBatch(queries);
          queries.forEach((query, q) => {
            const expected = points
              .filter((row) => query.filter.tenants.includes(row.tenant))
              .map((row) => ({ id: row.id, score: row.vector.reduce((sum, value, i) => sum + value * query.vector[i]!, 0) }))
              .sort((a, b) => b.score - a.score)
              .slice(0, query.limit);
            expect(answers[q]!.map((hit) => hit.id)).toEqual(expected.map((hit) => hit.id));
          });
        }),
        { numRuns: 20, seed: 7 },
      );
    });
  });
}
