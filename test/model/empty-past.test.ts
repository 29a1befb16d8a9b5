import { expect, test } from '@jest/globals';
import { SlotKvCache } from '../../src/model/kv-cache.ts';

const shape = { numLayers: 2, numKvHeads: 3, headDim: 4, contextWindow: 16 };

test('an empty cache gives no columns, or as many zeros as a device needs', () => {
  const cache = new SlotKvCache(shape, 2);
  cache.reserve(1);
  expect(cache.past([0, 1]).columns).toBe(0);
  const { columns, keys, values } = cache.past([0, 1], 1);
  expect(columns).toBe(1);
  expect([keys(1), values(0)]).toEqual([new Float32Array(2 * 3 * 4), new Float32Array(2 * 3 * 4)]);
});

test('a cache that holds something gives what it holds', () => {
  const cache = new SlotKvCache(shape, 1);
  cache.reserve(1);
  cache.append(new Float32Array(2 * 2 * 3 * 4).fill(5), [0], [1], 1);
  expect(cache.past([0], 1).columns).toBe(cache.past([0]).columns);
  expect(cache.past([0], 1).keys(0)[0]).toBe(5);
});
