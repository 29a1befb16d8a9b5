// Finds pictures that look alike by their perceptual hashes without comparing all with all: two hashes
// that differ in at most four bits agree in at least one of five pieces.
import type { PictureStore } from '../contracts.ts';

const pieces = [13, 13, 13, 13, 12] as const;
/** One bit less than there are pieces: then one piece is equal. */
const maxDistance = pieces.length - 1;

interface Known {
  readonly id: string;
  readonly tenant: string;
  readonly high: number;
  readonly low: number;
}

/** Perceptual hashes of the gallery, by tenant. */
export class NearDuplicates {
  readonly #buckets = new Map<number, Known[]>();
  readonly #byId = new Map<string, Known>();

  get size(): number {
    return this.#byId.size;
  }

  /** @param hash 16 hexadecimal digits; anything else is left out */
  add(id: string, tenant: string, hash: string | null): void {
    if (hash === null || !/^[0-9a-f]{16}$/.test(hash)) return;
    this.remove(id);
    const known = { id, tenant, ...halves(hash) };
    this.#byId.set(id, known);
    for (const key of keysOf(known)) {
      const bucket = this.#buckets.get(key);
      if (bucket) bucket.push(known);
      else this.#buckets.set(key, [known]);
    }
  }

  remove(id: string): void {
    const known = this.#byId.get(id);
    if (!known) return;
    this.#byId.delete(id);
    for (const key of keysOf(known)) {
      const bucket = this.#buckets.get(key) ?? [];
      const left = bucket.filter((other) => other.id !== id);
      if (left.length === 0) this.#buckets.delete(key);
      else this.#buckets.set(key, left);
    }
  }

  /** The nearest picture of a tenant within `distance` bits (four at most); null when there is none. */
  find(hash: string, tenant: string, distance: number = maxDistance): string | null {
    const wanted = halves(hash);
    let best: { id: string; bits: number } | null = null;
    for (const key of keysOf(wanted)) {
      for (const known of this.#buckets.get(key) ?? []) {
        if (known.tenant !== tenant) continue;
        const bits = countBits(known.high ^ wanted.high) + countBits(known.low ^ wanted.low);
        if (bits <= Math.min(distance, maxDistance) && (best === null || bits < best.bits)) best = { id: known.id, bits };
      }
    }
    return best?.id ?? null;
  }
}

function halves(hash: string): { high: number; low: number } {
  return { high: Number.parseInt(hash.slice(0, 8), 16) | 0, low: Number.parseInt(hash.slice(8), 16) | 0 };
}

/** The pieces as numbers, each made distinct by its place. */
function keysOf({ high, low }: { readonly high: number; readonly low: number }): number[] {
  const bits = (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
  let shift = 0n;
  return pieces.map((width, i) => {
    const piece = Number((bits >> shift) & ((1n << BigInt(width)) - 1n));
    shift += BigInt(width);
    return i * 2 ** 13 + piece;
  });
}

function countBits(value: number): number {
  let bits = value - ((value >>> 1) & 0x55555555);
  bits = (bits & 0x33333333) + ((bits >>> 2) & 0x33333333);
  return Math.imul((bits + (bits >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

/** The hashes of every row. */
export async function loadDuplicates(pictures: PictureStore): Promise<NearDuplicates> {
  const duplicates = new NearDuplicates();
  for (let after: string | undefined; ; ) {
    const page = await pictures.list({ includeDead: true }, { limit: 5000, ...(after === undefined ? {} : { after }) });
    for (const { id, tenant, perceptualHash } of page) duplicates.add(id, tenant, perceptualHash);
    after = page.at(-1)?.id;
    if (after === undefined) return duplicates;
  }
}
