// Who holds which slot of the key/value cache. Decoding rows are always the first slots, so that a batch
// is one view of the cache; sequences that still read their prompt sit at the far end.
import type { KvCache } from '../model/types.ts';

/** One spare slot above `maxRows` lets two rows change places. */
export class SlotTable<Id> {
  readonly #cache: KvCache;
  readonly #owners: (Id | undefined)[];
  #decoding = 0;

  constructor(cache: KvCache) {
    this.#cache = cache;
    this.#owners = Array.from({ length: cache.slots }, () => undefined);
  }

  /** Rows that decode: slots `[0, decoding)`. */
  get decoding(): number {
    return this.#decoding;
  }

  owners(): readonly (Id | undefined)[] {
    return this.#owners;
  }

  slotOf(id: Id): number {
    const slot = this.#owners.indexOf(id);
    if (slot < 0) throw new RangeError('the sequence holds no slot');
    return slot;
  }

  /** Takes the last free slot; the caller has made sure that one is free. */
  allocate(id: Id): number {
    const slot = this.#owners.lastIndexOf(undefined);
    if (slot < this.#decoding) throw new RangeError('no slot is free');
    this.#owners[slot] = id;
    return slot;
  }

  /** The sequence has read its prompt: it joins the decoding rows. */
  promote(id: Id): void {
    const from = this.slotOf(id);
    const to = this.#decoding;
    if (from < to) throw new RangeError('the sequence decodes already');
    const inTheWay = this.#owners[to];
    if (from !== to) {
      if (inTheWay !== undefined) this.#move(to, this.#owners.lastIndexOf(undefined));
      this.#move(from, to);
    }
    this.#decoding++;
  }

  /** Gives the slot back; the last decoding row fills the gap. */
  release(id: Id): void {
    const slot = this.slotOf(id);
    this.#owners[slot] = undefined;
    this.#cache.truncate(slot, 0);
    if (slot >= this.#decoding) return;
    this.#decoding--;
    if (slot !== this.#decoding) this.#move(this.#decoding, slot);
  }

  #move(from: number, to: number): void {
    this.#cache.move(from, to);
    this.#owners[to] = this.#owners[from];
    this.#owners[from] = undefined;
  }
}
