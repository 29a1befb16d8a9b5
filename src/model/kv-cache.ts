// Keys and values of several sequences in plain arrays of our own: the graph returns only new columns and
// they are written here. Neighbouring slots go into the next run as one view without a copy.
import { FromageError } from '../errors.ts';
import type { KvCache, KvSnapshot } from './types.ts';

export interface KvShape {
  readonly numLayers: number;
  readonly numKvHeads: number;
  readonly headDim: number;
  readonly contextWindow: number;
}

/** The past of a run: per layer keys and values `[slots.length, numKvHeads, columns, headDim]`. */
export interface Past {
  readonly columns: number;
  keys(layer: number): Float32Array;
  values(layer: number): Float32Array;
}

/**
 * Columns a slot may hold before the arrays grow: steps of 64 up to 512, then about an eighth. Every column is
 * read in every step, used or not, so room costs time; growing copies the cache, so steps must not be tiny.
 */
export function capacityBucket(columns: number, contextWindow: number): number {
  let step = 64;
  while (columns > 8 * step) step *= 2;
  return Math.min(Math.max(1, Math.ceil(columns / step)) * step, contextWindow);
}

/** Per layer one array of keys and one of values `[slots, numKvHeads, capacity, headDim]`. */
export class SlotKvCache implements KvCache {
  readonly slots: number;
  readonly #shape: KvShape;
  readonly #lengths: number[];
  #keys: Float32Array[] = [];
  #values: Float32Array[] = [];
  #capacity = 0;
  #scratch: Float32Array[] = [];

  constructor(shape: KvShape, slots: number) {
    if (!Number.isInteger(slots) || slots < 1) throw new FromageError({ code: 'MODEL_CACHE_SLOT', what: `a cache of ${slots} slots was asked for` });
    this.slots = slots;
    this.#shape = shape;
    this.#lengths = new Array<number>(slots).fill(0);
  }

  get capacity(): number {
    return this.#capacity;
  }

  get byteLength(): number {
    const arrays = [...this.#keys, ...this.#values, ...this.#scratch];
    return arrays.reduce((sum, array) => sum + array.byteLength, 0);
  }

  length(slot: number): number {
    const length = this.#lengths[slot];
    if (length === undefined) throw new FromageError({ code: 'MODEL_CACHE_SLOT', what: `slot ${slot} was named in a cache of ${this.slots} slots` });
    return length;
  }

  truncate(slot: number, length: number): void {
    this.#lengths[slot] = this.#within(length, this.length(slot));
  }

  move(from: number, to: number): void {
    const length = this.length(from);
    this.length(to);
    if (from === to) return;
    for (const array of [...this.#keys, ...this.#values]) this.#eachHead((head) => array.copyWithin(this.#at(to, head), this.#at(from, head), this.#at(from, head) + length * this.#shape.headDim));
    this.#lengths[to] = length;
    this.#lengths[from] = 0;
  }

  snapshot(slot: number, length: number): KvSnapshot {
    this.#within(length, this.length(slot));
    const { numLayers, numKvHeads, headDim } = this.#shape;
    const data = new Float32Array(2 * numLayers * numKvHeads * length * headDim);
    let to = 0;
    for (const array of [...this.#keys, ...this.#values]) {
      this.#eachHead((head) => {
        data.set(array.subarray(this.#at(slot, head), this.#at(slot, head) + length * headDim), to);
        to += length * headDim;
      });
    }
    return new CopiedColumns(length, data);
  }

  restore(slot: number, snapshot: KvSnapshot, length: number): void {
    this.length(slot);
    this.#within(length, snapshot.length);
    const { numLayers, numKvHeads, headDim } = this.#shape;
    if (!(snapshot instanceof CopiedColumns) || snapshot.data.length !== 2 * numLayers * numKvHeads * snapshot.length * headDim) {
      throw new FromageError({ code: 'MODEL_CACHE_SNAPSHOT', what: 'a snapshot of another model was to be restored', todo: 'drop it and run its tokens again' });
    }
    this.#lengths[slot] = 0;
    this.reserve(length);
    let from = 0;
    for (const array of [...this.#keys, ...this.#values]) {
      this.#eachHead((head) => {
        array.set(snapshot.data.subarray(from, from + length * headDim), this.#at(slot, head));
        from += snapshot.length * headDim;
      });
    }
    this.#lengths[slot] = length;
  }

  /** Makes room for `columns` in every slot; gives memory back when all slots have become much shorter. */
  reserve(columns: number): void {
    const needed = Math.max(columns, ...this.#lengths);
    const bucket = capacityBucket(needed, this.#shape.contextWindow);
    const roomy = capacityBucket(2 * needed, this.#shape.contextWindow);
    if (bucket <= this.#capacity && this.#capacity <= roomy) return;
    const { numLayers, numKvHeads, headDim } = this.#shape;
    const grow = (old: Float32Array | undefined): Float32Array => {
      const array = new Float32Array(this.slots * numKvHeads * bucket * headDim);
      if (old === undefined) return array;
      this.#lengths.forEach((length, slot) => {
        this.#eachHead((head) => array.set(old.subarray(this.#at(slot, head), this.#at(slot, head) + length * headDim), (slot * numKvHeads + head) * bucket * headDim));
      });
      return array;
    };
    for (let layer = 0; layer < numLayers; layer++) {
      this.#keys[layer] = grow(this.#keys[layer]);
      this.#values[layer] = grow(this.#values[layer]);
    }
    this.#capacity = bucket;
    this.#scratch = [];
  }

  /**
   * @param slots ascending; a view where they are neighbours, else copies good until the next call
   * @param least columns given even where nothing is cached; they hold zeros, to be masked
   */
  past(slots: readonly number[], least = 0): Past {
    const longest = Math.max(...slots.map((slot) => this.length(slot)));
    if (longest === 0) {
      const nothing = new Float32Array(slots.length * this.#shape.numKvHeads * least * this.#shape.headDim);
      return { columns: least, keys: () => nothing, values: () => nothing };
    }
    const first = slots[0]!;
    if (slots.every((slot, i) => slot === first + i)) {
      const view = (array: Float32Array): Float32Array => array.subarray(this.#at(first, 0), this.#at(first + slots.length, 0));
      return { columns: this.#capacity, keys: (layer) => view(this.#keys[layer]!), values: (layer) => view(this.#values[layer]!) };
    }
    const { numKvHeads, headDim, numLayers } = this.#shape;
    const size = slots.length * numKvHeads * longest * headDim;
    const gather = (array: Float32Array, index: number): Float32Array => {
      if ((this.#scratch[index]?.length ?? 0) < size) this.#scratch[index] = new Float32Array(size);
      const copy = this.#scratch[index]!.subarray(0, size);
      slots.forEach((slot, row) => {
        const length = this.length(slot) * headDim;
        this.#eachHead((head) => copy.set(array.subarray(this.#at(slot, head), this.#at(slot, head) + length), (row * numKvHeads + head) * longest * headDim));
      });
      return copy;
    };
    return { columns: longest, keys: (layer) => gather(this.#keys[layer]!, layer), values: (layer) => gather(this.#values[layer]!, numLayers + layer) };
  }

  /**
   * Appends new columns `[counts.length, 2 · numLayers · numKvHeads, padded, headDim]` (keys of all layers,
   * then values): of row r the first `counts[r]` go behind what slot `slots[r]` holds.
   */
  append(columns: Float32Array, slots: readonly number[], counts: readonly number[], padded: number): void {
    const { numKvHeads, headDim } = this.#shape;
    let from = 0;
    slots.forEach((slot, row) => {
      const behind = this.length(slot) * headDim;
      const size = counts[row]! * headDim;
      for (const arrays of [this.#keys, this.#values]) {
        for (const array of arrays) {
          for (let head = 0; head < numKvHeads; head++) {
            array.set(columns.subarray(from, from + size), this.#at(slot, head) + behind);
            from += padded * headDim;
          }
        }
      }
      this.#lengths[slot] = this.length(slot) + counts[row]!;
    });
  }

  #at(slot: number, head: number): number {
    return (slot * this.#shape.numKvHeads + head) * this.#capacity * this.#shape.headDim;
  }

  #eachHead(visit: (head: number) => void): void {
    for (let head = 0; head < this.#shape.numKvHeads; head++) visit(head);
  }

  #within(length: number, most: number): number {
    if (!Number.isInteger(length) || length < 0 || length > most) throw new FromageError({ code: 'MODEL_CACHE_LENGTH', what: `${length} columns were asked of ${most}` });
    return length;
  }
}

/** `[2 · layers, numKvHeads, length, headDim]`: keys of all layers, then values. */
class CopiedColumns implements KvSnapshot {
  readonly length: number;
  readonly data: Float32Array;

  constructor(length: number, data: Float32Array) {
    this.length = length;
    this.data = data;
  }

  get byteLength(): number {
    return this.data.byteLength;
  }
}
