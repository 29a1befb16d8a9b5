// Keys and values kept from turn to turn of a conversation, so that the next turn reads only what is new.
// Entries are found by conversation only: nothing of one chat can reach another.
import type { KvSnapshot } from '../model/types.ts';

/**
 * What stands at a position: a token's id, or a text that names a row which depends on an adapter
 * (a visual token or [RET]): the adapter's hash, the picture's hash and the place in it.
 */
export type PositionKey = number | string;

export interface PrefixMatch {
  readonly snapshot: KvSnapshot;
  /** Columns that may be taken over. */
  readonly length: number;
}

interface Entry {
  readonly keys: readonly PositionKey[];
  readonly snapshot: KvSnapshot;
}

/** One entry per conversation, least recently used out first, bounded in bytes. */
export class PrefixCache {
  readonly #maxBytes: number;
  /** In order of use: the oldest first. */
  readonly #entries = new Map<string, Entry>();
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get byteLength(): number {
    return this.#bytes;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** False when nothing would be kept anyway. */
  get enabled(): boolean {
    return this.#maxBytes > 0;
  }

  /** Replaces what was kept of the conversation. */
  store(conversation: string, keys: readonly PositionKey[], snapshot: KvSnapshot): void {
    this.forget(conversation);
    if (snapshot.length === 0 || snapshot.length > keys.length || snapshot.byteLength > this.#maxBytes) return;
    this.#entries.set(conversation, { keys: keys.slice(0, snapshot.length), snapshot });
    this.#bytes += snapshot.byteLength;
    for (const oldest of this.#entries.keys()) {
      if (this.#bytes <= this.#maxBytes) break;
      this.forget(oldest);
    }
  }

  /** The longest common prefix of `keys` with what was kept of this conversation; null when there is none. */
  match(conversation: string, keys: readonly PositionKey[]): PrefixMatch | null {
    const entry = this.#entries.get(conversation);
    if (entry === undefined) return null;
    this.#entries.delete(conversation);
    this.#entries.set(conversation, entry);
    const limit = Math.min(keys.length, entry.keys.length);
    let length = 0;
    while (length < limit && keys[length] === entry.keys[length]) length++;
    return length === 0 ? null : { snapshot: entry.snapshot, length };
  }

  forget(conversation: string): void {
    const entry = this.#entries.get(conversation);
    if (entry === undefined) return;
    this.#entries.delete(conversation);
    this.#bytes -= entry.snapshot.byteLength;
  }
}
