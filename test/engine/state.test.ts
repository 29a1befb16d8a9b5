import { describe, expect, test } from '@jest/globals';
import fc from '../setup/seeded.ts';
import { EventStream } from '../../src/engine/event-stream.ts';
import { LruMap } from '../../src/engine/lru.ts';
import { PrefixCache } from '../../src/engine/prefix-cache.ts';
import { SlotTable } from '../../src/engine/slots.ts';
import { violations } from '../../src/engine/invariants.ts';
import type { KvCache, KvSnapshot } from '../../src/model/types.ts';

/** A cache that holds names in place of columns: what is moved where can be read off. */
class NamedCache implements KvCache {
  readonly held: string[][];
  readonly slots: number;
  readonly byteLength = 0;
  constructor(slots: number) {
    this.slots = slots;
    this.held = Array.from({ length: slots }, () => []);
  }
  length(slot: number): number {
    return this.held[slot]!.length;
  }
  truncate(slot: number, length: number): void {
    this.held[slot]!.length = length;
  }
  move(from: number, to: number): void {
    if (this.held[to]!.length > 0) throw new Error('columns of another sequence were written over');
    this.held[to] = this.held[from]!;
    this.held[from] = [];
  }
  snapshot(): KvSnapshot {
    throw new Error('not used');
  }
  restore(): void {
    throw new Error('not used');
  }
}

describe('slots', () => {
  test('whatever comes and goes, decoding rows are the first slots and every sequence keeps its own columns', () => {
    const actions = fc.array(fc.record({ kind: fc.constantFrom('admit', 'promote', 'release'), pick: fc.nat(100) }), { maxLength: 60 });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5 }), actions, (maxRows, list) => {
        const cache = new NamedCache(maxRows + 1);
        const slots = new SlotTable<string>(cache);
        const prefilling: string[] = [];
        const decoding: string[] = [];
        let next = 0;
        const take = (from: string[], pick: number): string => from.splice(pick % from.length, 1)[0]!;
        for (const { kind, pick } of list) {
          if (kind === 'admit' && prefilling.length + decoding.length < maxRows) {
            const name = `s${next++}`;
            cache.held[slots.allocate(name)]!.push(name);
            prefilling.push(name);
          } else if (kind === 'promote' && prefilling.length > 0) {
            const name = take(prefilling, pick);
            slots.promote(name);
            decoding.push(name);
          } else if (kind === 'release' && prefilling.length + decoding.length > 0) {
            const from = prefilling.length === 0 || (decoding.length > 0 && pick % 2 === 0) ? decoding : prefilling;
            slots.release(take(from, pick));
          }
          for (const name of [...prefilling, ...decoding]) expect(cache.held[slots.slotOf(name)]).toEqual([name]);
          expect(decoding.map((name) => slots.slotOf(name)).sort((a, b) => a - b)).toEqual(decoding.map((_, i) => i));
          expect(slots.decoding).toBe(decoding.length);
          expect(cache.held.flat()).toHaveLength(prefilling.length + decoding.length);
        }
      }),
    );
  });
});

describe('invariants', () => {
  test('name what is wrong', () => {
    const cache = new NamedCache(2);
    const slots = new SlotTable<never>(cache);
    cache.held[1]!.push('left behind');
    expect(violations({ running: [], queued: [], slots, cache, maxRows: 1 })).toEqual(['slot 1 is free and holds 1 columns']);
    expect(violations({ running: [{} as never], queued: [], slots, cache: new NamedCache(2), maxRows: 0 })).toEqual(
      expect.arrayContaining(['1 sequences run, 0 may', 'slots are held by others than the running sequences', 'a running sequence does not hold exactly one slot']),
    );
  });
});

describe('the prefix cache', () => {
  const columns = (length: number): KvSnapshot => ({ length, byteLength: length * 10 });

  test('gives the longest common prefix, and only to the conversation that it is of', () => {
    const keys = fc.array(fc.constantFrom<number | string>(1, 2, 'v:a:p:0'), { minLength: 1, maxLength: 6 });
    const names = fc.constantFrom('a', 'b', 'c');
    const actions = fc.array(fc.record({ store: fc.boolean(), name: names, keys }), { maxLength: 40 });
    fc.assert(
      fc.property(actions, (list) => {
        const cache = new PrefixCache(100);
        const last = new Map<string, { keys: readonly (number | string)[]; snapshot: KvSnapshot }>();
        for (const action of list) {
          if (action.store) {
            const snapshot = columns(action.keys.length);
            cache.store(action.name, action.keys, snapshot);
            last.set(action.name, { keys: action.keys, snapshot });
          } else {
            const match = cache.match(action.name, action.keys);
            const own = last.get(action.name);
            if (match === null) continue;
            expect(match.snapshot).toBe(own!.snapshot);
            expect(action.keys.slice(0, match.length)).toEqual(own!.keys.slice(0, match.length));
            if (match.length < Math.min(action.keys.length, own!.keys.length)) expect(action.keys[match.length]).not.toBe(own!.keys[match.length]);
          }
          expect(cache.byteLength).toBeLessThanOrEqual(100);
        }
      }),
    );
  });

  test('forgets the least recently used when it is full, and never takes what is larger than itself', () => {
    const cache = new PrefixCache(30);
    for (const name of ['a', 'b', 'c']) cache.store(name, [1], columns(1));
    expect(cache.match('a', [1])).not.toBeNull();
    cache.store('d', [1], columns(1));
    expect(cache.match('b', [1])).toBeNull();
    expect(cache.match('a', [1])).not.toBeNull();
    cache.store('a', [1, 2, 3, 4], columns(4));
    expect(cache.match('a', [1])).toBeNull();
    expect(cache.size).toBe(2);
    expect(cache.byteLength).toBe(20);
  });
});

describe('an event stream', () => {
  test('joins unread text, keeps the newest place, and takes nothing after its end', async () => {
    const stream = new EventStream();
    stream.push({ type: 'queued', position: 2 });
    stream.push({ type: 'queued', position: 1 });
    for (const text of ['a', 'b', 'c']) stream.push({ type: 'text', text });
    stream.push({ type: 'ret', embedding: Float32Array.of(1), after: 3, probability: 0.5 });
    stream.push({ type: 'text', text: 'd' });
    expect(stream.pending).toBe(4);
    stream.fail(new Error('over'));
    stream.push({ type: 'text', text: 'too late' });
    const seen: string[] = [];
    await expect((async () => {
      for await (const event of stream.read()) seen.push(event.type === 'text' ? event.text : event.type === 'queued' ? `place ${event.position}` : event.type);
    })()).rejects.toThrow('over');
    expect(seen).toEqual(['place 1', 'abc', 'ret', 'd']);
  });
});

test('an LRU map forgets what was not used for longest', () => {
  const map = new LruMap<string, number>(2);
  map.set('a', 1);
  map.set('b', 2);
  map.get('a');
  map.set('c', 3);
  expect([map.get('a'), map.get('b'), map.get('c'), map.size]).toEqual([1, undefined, 3, 2]);
});
