// The adapters that are loaded, which one serves, and how many requests still need each. Exchanging them
// touches no session: they are matrices outside.
import { FromageError } from '../errors.ts';
import type { Adapter } from '../model/types.ts';
import type { AdapterInfo } from './types.ts';

interface Entry {
  readonly adapter: Adapter;
  users: number;
  /** Set while an unload waits for the users. */
  onUnused: (() => void) | null;
}

/** A use of an adapter; `release` exactly once. */
export interface AdapterUse {
  readonly adapter: Adapter;
  release(): void;
}

export class AdapterRegistry {
  readonly #entries = new Map<string, Entry>();
  #serving: string;

  constructor(first: Adapter) {
    this.#entries.set(first.id, { adapter: first, users: 0, onUnused: null });
    this.#serving = first.id;
  }

  get serving(): string {
    return this.#serving;
  }

  list(): readonly AdapterInfo[] {
    return [...this.#entries.values()].filter((entry) => entry.onUnused === null).map((entry) => describeAdapter(entry.adapter));
  }

  /**
   * @param id the serving adapter when absent
   * @throws FromageError `ENGINE_ADAPTER_UNKNOWN`
   */
  use(id: string | undefined): AdapterUse {
    const entry = this.#find(id ?? this.#serving);
    entry.users++;
    let released = false;
    return {
      adapter: entry.adapter,
      release() {
        if (released) return;
        released = true;
        entry.users--;
        if (entry.users === 0) entry.onUnused?.();
      },
    };
  }

  /** @throws FromageError `ENGINE_ADAPTER_EXISTS` when the id is taken */
  assertFree(id: string): void {
    if (this.#entries.has(id)) {
      throw new FromageError({ code: 'ENGINE_ADAPTER_EXISTS', what: `an adapter "${id}" is loaded already`, todo: 'choose another id, or unload that one first' });
    }
  }

  add(adapter: Adapter): AdapterInfo {
    this.assertFree(adapter.id);
    this.#entries.set(adapter.id, { adapter, users: 0, onUnused: null });
    return describeAdapter(adapter);
  }

  serve(id: string): void {
    this.#find(id);
    this.#serving = id;
  }

  /**
   * Takes the adapter away from new requests and resolves once the last user has let go of it.
   *
   * @throws FromageError `ENGINE_ADAPTER_SERVING` for the one that serves
   */
  async unload(id: string): Promise<void> {
    const entry = this.#find(id);
    if (id === this.#serving) {
      throw new FromageError({ code: 'ENGINE_ADAPTER_SERVING', what: `the adapter "${id}" serves`, todo: 'promote another one first' });
    }
    await new Promise<void>((resolve) => {
      entry.onUnused = resolve;
      if (entry.users === 0) resolve();
    });
    this.#entries.delete(id);
  }

  #find(id: string): Entry {
    const entry = this.#entries.get(id);
    if (entry === undefined || entry.onUnused !== null) {
      throw new FromageError({ code: 'ENGINE_ADAPTER_UNKNOWN', what: `no adapter "${id.slice(0, 80)}" is loaded`, why: `loaded are: ${[...this.#entries.keys()].join(', ')}`, todo: 'load it first' });
    }
    return entry;
  }
}

function describeAdapter(adapter: Adapter): AdapterInfo {
  const { id, visualTokens, retrievalDim, hash, visualHash, metadata } = adapter;
  return { id, visualTokens, retrievalDim, hash, visualHash, metadata };
}
