// Logits over the whole vocabulary of a FROMAGe model: the frozen head's, with the rows that stand outside
// it ([RET], and `<|image|>` where a folder gives it) beside them, since the head is tied to the table.
import { dot } from '../tensor/index.ts';
import type { Adapter, AddedToken } from './types.ts';

/**
 * @param frozen `[n, frozenSize]` from the language model
 * @param hidden `[n, D]`, what the head reads (layer −1)
 * @returns `[n, size]`: as the reference's resized table, rows of the frozen head after [RET] are left out;
 *   a token without any row gets −Infinity
 */
export function vocabularyLogits(frozen: Float32Array, hidden: Float32Array, n: number, adapter: Adapter, added: readonly AddedToken[] = []): { readonly logits: Float32Array; readonly size: number } {
  const frozenSize = n === 0 ? 0 : frozen.length / n;
  const width = n === 0 ? 0 : hidden.length / n;
  const size = adapter.ret.id + 1;
  const logits = new Float32Array(n * size).fill(Number.NEGATIVE_INFINITY);
  const ret = adapter.retLogits(hidden, n);
  for (let i = 0; i < n; i++) {
    logits.set(frozen.subarray(i * frozenSize, i * frozenSize + Math.min(frozenSize, size)), i * size);
    for (const { id, row } of added) if (id < size) logits[i * size + id] = dot(hidden, i * width, row, 0, width);
    logits[i * size + adapter.ret.id] = ret[i] ?? Number.NEGATIVE_INFINITY;
  }
  return { logits, size };
}
