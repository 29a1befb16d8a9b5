// The cache by itself: neighbouring slots are handed out without a copy, others as copies of what they hold,
// and capacity follows what is needed, both ways.
import { expect, test } from '@jest/globals';
import { capacityBucket, SlotKvCache } from '../../src/model/kv-cache.ts';

const shape = { numLayers: 2, numKvHeads: 3, headDim: 4, contextWindow: 1000 };

/** Appends `count` columns to a slot: keys are 1000·layer + 100·head + column (counted from `first`), values their negatives. */
function append(cache: SlotKvCache, slot: number, count: number, first = 0): void {
  cache.reserve(cache.length(slot) + count);
  const columns: number[] = [];
  for (const sign of [1, -1]) {
    for (let layer = 0; layer < 2; layer++) for (let head = 0; head < 3; head++) for (let i = 0; i < count; i++) for (let d = 0; d < 4; d++) columns.push(sign * (1000 * layer + 100 * head + first + i));
  }
  cache.append(Float32Array.from(columns), [slot], [count], count);
}

test('neighbouring slots are one view of the arrays, and later columns appear in it', () => {
  const cache = new SlotKvCache(shape, 4);
  append(cache, 1, 5);
  append(cache, 2, 3);
  const past = cache.past([1, 2]);
  const perSlot = 3 * past.columns * 4;
  expect(past.columns).toBe(cache.capacity);
  expect(past.keys(0)).toHaveLength(2 * perSlot);
  expect(past.keys(0).buffer).toBe(cache.past([2]).keys(0).buffer);
  expect(past.keys(1)[perSlot + 2 * past.columns * 4 + 2 * 4]).toBe(1202);
  append(cache, 2, 1, 3);
  expect(past.values(1)[perSlot + 2 * past.columns * 4 + 3 * 4]).toBe(-1203);
});

test('other slots are copied, no wider than the longest', () => {
  const cache = new SlotKvCache(shape, 4);
  append(cache, 0, 5);
  append(cache, 1, 90);
  append(cache, 3, 7);
  const past = cache.past([0, 3]);
  expect(past.columns).toBe(7);
  expect(past.keys(1)).toHaveLength(2 * 3 * 7 * 4);
  expect(past.keys(1)[(3 + 1) * 7 * 4 + 6 * 4]).toBe(1106);
});

test('a past of nothing has no columns', () => {
  const cache = new SlotKvCache(shape, 2);
  expect(cache.past([0, 1]).columns).toBe(0);
  expect(cache.byteLength).toBe(0);
});

test('capacity grows in steps, keeps what it holds, and shrinks when all slots have become short', () => {
  const cache = new SlotKvCache(shape, 2);
  append(cache, 1, 60);
  expect(cache.capacity).toBe(64);
  for (let i = 60; i < 400; i++) append(cache, 1, 1, i);
  expect(cache.capacity).toBe(448);
  expect(cache.past([1]).keys(1)[2 * 448 * 4 + 63 * 4]).toBe(1263);
  cache.truncate(1, 10);
  append(cache, 0, 2);
  expect(cache.capacity).toBe(64);
  expect(cache.past([1]).values(0)[100 * 0 + 9 * 4]).toBe(-9);
  expect(cache.length(1)).toBe(10);
});

test('steps of capacity are never smaller than an eighth of it, and end at the context window', () => {
  for (let columns = 1; columns <= 5000; columns += 37) {
    const bucket = capacityBucket(columns, 4500);
    expect(bucket).toBeGreaterThanOrEqual(Math.min(columns, 4500));
    expect(bucket - columns).toBeLessThan(Math.max(64, columns / 4));
    expect(bucket).toBeLessThanOrEqual(4500);
  }
  expect([1, 64, 65, 512, 513, 1025].map((columns) => capacityBucket(columns, 8192))).toEqual([64, 64, 128, 512, 640, 1280]);
});
