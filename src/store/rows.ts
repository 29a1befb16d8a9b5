// Between rows and plain values: times as BigInt, JSON as text, floats as bytes, text that both databases
// can hold.
import type { JsonObject, JsonValue } from '../chat/contracts.ts';

export const toTime = (milliseconds: number): bigint => BigInt(Math.round(milliseconds));
export const fromTime = (column: bigint): number => Number(column);
export const fromTimeOrNull = (column: bigint | null): number | null => (column === null ? null : Number(column));

/** JSON text. It escapes NUL and lone surrogates, which PostgreSQL's text cannot hold. */
export const toJson = (value: JsonValue): string => JSON.stringify(value);
export const fromJson = (text: string): JsonValue => JSON.parse(text) as JsonValue;
export const fromJsonObject = (text: string): JsonObject => JSON.parse(text) as JsonObject;
export const fromJsonOrNull = (text: string | null): JsonValue => (text === null ? null : fromJson(text));

/** Text as both databases can hold it: NUL is dropped, lone surrogates become U+FFFD. */
export function toText(text: string): string {
  return text.replaceAll('\u0000', '').toWellFormed();
}
export const toTextOrNull = (text: string | null | undefined): string | null => (text === null || text === undefined ? null : toText(text));

/** float32, little endian: the order of every machine that runs Node. */
export function toBytes(values: Float32Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(values.slice().buffer);
}

/** A copy: rows come back as views of a larger buffer at any offset. */
export function fromBytes(bytes: Uint8Array): Float32Array {
  const copy = new Uint8Array(bytes.byteLength);
  copy.set(bytes);
  return new Float32Array(copy.buffer);
}

/** Rows that one query with children may give: SQLite takes 999 values in a statement, one per parent. */
export const pageSize = 500;

/** In pieces, because a statement takes a bounded number of values. */
export function* chunks<T>(list: readonly T[], size = pageSize): Generator<readonly T[]> {
  for (let start = 0; start < list.length; start += size) yield list.slice(start, start + size);
}

/**
 * Reads up to `limit` rows page by page.
 *
 * @param read gives the next rows, at most `take`, behind the last row of the page before
 */
export async function inPages<T>(limit: number, read: (take: number, last: T | undefined) => Promise<readonly T[]>): Promise<T[]> {
  const rows: T[] = [];
  while (rows.length < limit) {
    const take = Math.min(pageSize, limit - rows.length);
    const page = await read(take, rows.at(-1));
    rows.push(...page);
    if (page.length < take) break;
  }
  return rows;
}
