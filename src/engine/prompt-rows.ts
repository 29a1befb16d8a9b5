// A prompt as rows of the language model's input: token embeddings, the adapter's [RET] row and visual
// prefixes in order. Rows are made only for the positions that are read, chunk by chunk.
import type { Adapter } from '../model/types.ts';
import type { PooledImage } from './image-features.ts';
import type { EngineParts, PromptLayout } from './parts.ts';
import type { PositionKey } from './prefix-cache.ts';

export class PromptRows {
  readonly length: number;
  /** What stands at each position. */
  readonly keys: readonly PositionKey[];
  /** Ids of the tokens, pictures left out. */
  readonly tokenIds: readonly number[];
  /** Token id at each position, −1 where a picture stands. */
  readonly labels: readonly number[];
  /** Positions of [RET]. */
  readonly retPositions: readonly number[];
  readonly #images: readonly { readonly position: number; readonly features: PooledImage }[];
  readonly #adapter: Adapter;
  readonly #parts: EngineParts;
  readonly #prefixes = new Map<number, Float32Array>();

  /** @param features of `layout.images`, in order */
  constructor(layout: PromptLayout, features: readonly PooledImage[], adapter: Adapter, parts: EngineParts) {
    const keys = layout.tokenIds.map((id) => tokenKey(id, adapter));
    this.#images = layout.images.map(({ position }, index) => {
      const image = features[index];
      if (image === undefined) throw new RangeError(`${features.length} pictures were resolved for a prompt of ${layout.images.length}`);
      for (let place = 0; place < adapter.visualTokens; place++) keys[position + place] = `v:${adapter.hash}:${image.hash}:${place}`;
      return { position, features: image };
    });
    this.#adapter = adapter;
    this.#parts = parts;
    this.keys = keys;
    this.labels = layout.tokenIds;
    this.length = keys.length;
    this.tokenIds = layout.tokenIds.filter((id) => id >= 0);
    this.retPositions = layout.tokenIds.flatMap((id, position) => (id === adapter.ret.id ? [position] : []));
  }

  /** Rows `[end − start, embedSize]` of positions `[start, end)`. */
  embeds(start: number, end: number): Float32Array {
    const size = this.#parts.languageModel.config.embedSize;
    const { visualTokens, ret } = this.#adapter;
    // Any row will do where a picture goes: it is written over.
    const rows = this.#parts.embedTokens(this.labels.slice(start, end).map((id) => (id < 0 ? ret.id : id)), this.#adapter);
    for (const [index, { position, features }] of this.#images.entries()) {
      const from = Math.max(start, position);
      const to = Math.min(end, position + visualTokens);
      if (from < to) rows.set(this.#prefix(index, features).subarray((from - position) * size, (to - position) * size), (from - start) * size);
    }
    return rows;
  }

  #prefix(index: number, features: PooledImage): Float32Array {
    const known = this.#prefixes.get(index);
    if (known !== undefined) return known;
    const prefix = this.#adapter.visualPrefix(features.pooled, 1);
    this.#prefixes.set(index, prefix);
    return prefix;
  }
}

/** [RET] is another row under each adapter, so its key names the adapter. */
export function tokenKey(id: number, adapter: Adapter): PositionKey {
  return id === adapter.ret.id ? `r:${adapter.hash}` : id;
}
