// Steps over a cache give what one run over the whole sequence gives: batched, in chunks, ragged, after
// truncation, moves and restores. float32 throughout, so small tolerances tell.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { loadLanguageModel } from '../../src/model/language-model.ts';
import type { KvCache, LanguageModel, StepRow } from '../../src/model/types.ts';
import { writeTinyLlama, writeTinyOpt } from '../tiny/language-model.ts';
import { uniform } from '../tiny/random.ts';
import { relativeError } from './relative-error.ts';

const folder = mkdtempSync(join(tmpdir(), 'fromage-lm-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Sums in another order, through a few layers. */
const tolerance = 1e-5;

describe.each([
  ['llama', writeTinyLlama],
  ['opt', writeTinyOpt],
] as const)('%s', (family, write) => {
  let model: LanguageModel;
  beforeAll(async () => {
    const source = join(folder, family);
    write(source, 11, family === 'opt' ? { word_embed_proj_dim: 16 } : {});
    model = await loadLanguageModel({ source, weights: 'fp32', cacheDir: folder, threads: 1, hiddenLayers: [1] });
  });
  afterAll(() => model.close());

  const sequence = (seed: number, length: number): number[] => {
    const next = uniform(seed);
    return Array.from({ length }, () => Math.floor(next() * 256));
  };
  const row = (slot: number, ids: readonly number[], select: readonly number[] = [ids.length - 1]): StepRow => ({ slot, embeds: model.embed(ids), select });
  /** Logits of the last position of a fresh run over the whole sequence. */
  const alone = async (ids: readonly number[]): Promise<Float32Array> => (await model.step(model.createCache(1), [row(0, ids)])).logits;
  const next = async (cache: KvCache, slot: number, id: number): Promise<Float32Array> => (await model.step(cache, [row(slot, [id])])).logits;

  test('ragged rows together equal each row alone, in the order they were given', async () => {
    const rows = [sequence(1, 5), sequence(2, 17), sequence(3, 33), sequence(4, 50)];
    const cache = model.createCache(4);
    const order = [2, 0, 3, 1];
    const { logits, hidden } = await model.step(cache, order.map((slot) => row(slot, rows[slot]!)));
    const { vocabSize } = model.config;
    for (const [i, slot] of order.entries()) expect(relativeError(logits.subarray(i * vocabSize, (i + 1) * vocabSize), await alone(rows[slot]!))).toBeLessThan(tolerance);
    expect(hidden.get(1)).toHaveLength(4 * 32);
    expect(order.map((slot) => cache.length(slot))).toEqual([33, 5, 50, 17]);
  });

  test('a chunk on top of a past, ragged and beside single tokens, equals the whole sequence', async () => {
    const whole = [sequence(5, 60), sequence(6, 41), sequence(7, 23), sequence(8, 20)];
    const first = [30, 1, 22, 19];
    const cache = model.createCache(4);
    await model.step(cache, whole.map((ids, slot) => row(slot, ids.slice(0, first[slot]), [])));
    const { logits } = await model.step(cache, whole.map((ids, slot) => row(slot, ids.slice(first[slot]))));
    const { vocabSize } = model.config;
    for (const [slot, ids] of whole.entries()) expect(relativeError(logits.subarray(slot * vocabSize, (slot + 1) * vocabSize), await alone(ids))).toBeLessThan(tolerance);
  });

  test('token by token over the cache equals the whole sequence, through growing buckets', async () => {
    const ids = sequence(9, 140);
    const cache = model.createCache(2);
    await model.step(cache, [row(1, ids.slice(0, 120), [])]);
    const small = cache.byteLength;
    let last = new Float32Array();
    for (const id of ids.slice(120)) last = Float32Array.from(await next(cache, 1, id));
    expect(relativeError(last, await alone(ids))).toBeLessThan(tolerance);
    expect(cache.byteLength).toBe((192 / 128) * small);
  });

  test('several selected positions of several rows come out in order', async () => {
    const [a, b] = [sequence(10, 6), sequence(11, 9)];
    const { logits } = await model.step(model.createCache(2), [row(1, a, [5, 0]), row(0, b, [8, 2, 3])]);
    const expected = [a, a.slice(0, 1), b, b.slice(0, 3), b.slice(0, 4)];
    const { vocabSize } = model.config;
    expect(logits).toHaveLength(5 * vocabSize);
    for (const [i, ids] of expected.entries()) expect(relativeError(logits.subarray(i * vocabSize, (i + 1) * vocabSize), await alone(ids))).toBeLessThan(tolerance);
  });

  test('slots that are not neighbours run together', async () => {
    const whole = [sequence(12, 12), sequence(13, 4), sequence(14, 9)];
    const slots = [0, 2, 5];
    const cache = model.createCache(6);
    await model.step(cache, whole.map((ids, i) => row(slots[i]!, ids.slice(0, -1), [])));
    const { logits } = await model.step(cache, whole.map((ids, i) => row(slots[i]!, ids.slice(-1))));
    const { vocabSize } = model.config;
    for (const [i, ids] of whole.entries()) expect(relativeError(logits.subarray(i * vocabSize, (i + 1) * vocabSize), await alone(ids))).toBeLessThan(tolerance);
  });

  test('a snapshot restored, cut short, in another cache goes on as a fresh run does', async () => {
    const ids = sequence(15, 30);
    const cache = model.createCache(2);
    await model.step(cache, [row(0, ids, [])]);
    const snapshot = cache.snapshot(0, 25);
    expect(snapshot.byteLength).toBe(25 * 2 * model.config.numLayers * model.config.numKvHeads * model.config.headDim * 4);
    const other = model.createCache(3);
    other.restore(2, snapshot, 20);
    expect(other.length(2)).toBe(20);
    expect(relativeError(await next(other, 2, 99), await alone([...ids.slice(0, 20), 99]))).toBeLessThan(tolerance);
  });

  test('truncation forgets, and a move takes a sequence along', async () => {
    const [a, b] = [sequence(16, 30), sequence(17, 12)];
    const cache = model.createCache(2);
    await model.step(cache, [row(0, a, []), row(1, b, [])]);
    cache.truncate(0, 10);
    expect(relativeError(await next(cache, 0, 42), await alone([...a.slice(0, 10), 42]))).toBeLessThan(tolerance);
    cache.move(1, 0);
    expect([cache.length(0), cache.length(1)]).toEqual([12, 0]);
    expect(relativeError(await next(cache, 0, 43), await alone([...b, 43]))).toBeLessThan(tolerance);
  });

  test('rows that make no sense are refused, and the cache stays as it was', async () => {
    const cache = model.createCache(2);
    await model.step(cache, [row(0, [1, 2, 3], [])]);
    const code = async (rows: readonly StepRow[]): Promise<unknown> => model.step(cache, rows).catch((error: { code: string }) => error.code);
    expect(await code([{ slot: 0, embeds: new Float32Array(3), select: [] }])).toBe('MODEL_STEP_ROW');
    expect(await code([row(0, [1]), row(0, [2])])).toBe('MODEL_STEP_ROW');
    expect(await code([row(0, [1], [1])])).toBe('MODEL_STEP_ROW');
    expect(await code([row(2, [1])])).toBe('MODEL_CACHE_SLOT');
    expect(await code([row(0, sequence(18, 510))])).toBe('MODEL_CONTEXT_FULL');
    expect(() => cache.truncate(0, 4)).toThrow('MODEL_CACHE_LENGTH');
    expect(() => model.embed([model.config.vocabSize])).toThrow('MODEL_TOKEN_RANGE');
    expect(cache.length(0)).toBe(3);
    expect(relativeError(await next(cache, 0, 4), await alone([1, 2, 3, 4]))).toBeLessThan(tolerance);
  });

  test('the context window can be filled to its last position', async () => {
    const ids = sequence(19, model.config.contextWindow);
    const cache = model.createCache(1);
    await model.step(cache, [row(0, ids.slice(0, -1), [])]);
    expect(relativeError(await next(cache, 0, ids.at(-1)!), await alone(ids))).toBeLessThan(tolerance);
  });
});
