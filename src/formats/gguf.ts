// GGUF, llama.cpp's container: metadata of thirteen kinds, then tensor descriptions, then aligned data.
// Read by header only. GGUF lists the fastest axis first; shapes are turned round to row-major here.
// Source: ggml's docs/gguf.md.
import { ByteCursor } from './byte-cursor.ts';
import { WeightFile } from './byte-range.ts';
import { FormatError } from './errors.ts';
import { checkOverlaps, closingOnError, makeStore } from './store.ts';
import { countBytes } from './tensor-layout.ts';
import type { DType, TensorLocation, WeightStore } from './types.ts';

/** ggml_type numbers of the types that are read. */
const TYPES: ReadonlyMap<number, DType> = new Map([
  [0, 'F32'], [1, 'F16'], [2, 'Q4_0'], [3, 'Q4_1'], [8, 'Q8_0'],
  [24, 'I8'], [25, 'I16'], [26, 'I32'], [27, 'I64'], [28, 'F64'], [30, 'BF16'],
]);
/** Smallest bytes of a value of each metadata kind, 0 (uint8) to 12 (float64). */
const KIND_BYTES = [1, 1, 2, 2, 4, 4, 4, 1, 8, 12, 8, 8, 8];
const MAX_ARRAY_DEPTH = 4;
/** Metadata values in all; the largest vocabularies are below a million. */
const MAX_VALUES = 16_000_000;
const MAX_TENSORS = 1_000_000;
const MAX_STRING_BYTES = 64 * 2 ** 20;

/** Opens a GGUF file (version 2 or 3); reads its header only. @throws FormatError */
export function openGguf(path: string): WeightStore {
  return closingOnError(new WeightFile(path), (file) => {
    const header = new HeaderReader(file);
    const { tensorCount, valueCount } = header.start();
    const metadata = header.metadata(valueCount);
    const described = header.tensors(tensorCount);
    const start = alignedStart(file, metadata, header.cursor.at);
    const tensors = new Map<string, TensorLocation>();
    for (const { name, dtype, shape, offset } of described) {
      const place = { file: file.file, offset: header.cursor.at, name };
      if (offset % start.alignment !== 0) throw new FormatError({ code: 'FORMAT_INVALID', file: file.file, offset, what: `${name} is not aligned to ${start.alignment} bytes` });
      const byteLength = countBytes(shape, dtype, place);
      const range = file.range().slice(start.at + offset, byteLength, `tensor ${name}`);
      tensors.set(name, { name, dtype, shape, file: file.file, offset: range.start, byteLength });
    }
    checkOverlaps(file.file, tensors.values());
    return makeStore({ path, files: [file], tensors, metadata });
  });
}

function alignedStart(file: WeightFile, metadata: Readonly<Record<string, unknown>>, headerEnd: number): { at: number; alignment: number } {
  const alignment = Object.hasOwn(metadata, 'general.alignment') ? metadata['general.alignment'] : 32;
  if (typeof alignment !== 'number' || !Number.isInteger(alignment) || alignment < 1 || alignment > 65_536) {
    throw new FormatError({ code: 'FORMAT_INVALID', file: file.file, what: `general.alignment is ${String(alignment)}` });
  }
  return { at: Math.ceil(headerEnd / alignment) * alignment, alignment };
}

class HeaderReader {
  readonly cursor: ByteCursor;
  readonly #file: string;
  #values = 0;

  constructor(file: WeightFile) {
    this.#file = file.file;
    this.cursor = new ByteCursor(file.range());
  }

  start(): { tensorCount: number; valueCount: number } {
    const magic = this.cursor.u32('the magic number');
    if (magic !== 0x46554747) throw this.#fail('FORMAT_INVALID', 'does not begin with GGUF');
    const version = this.cursor.u32('the version');
    if (version !== 2 && version !== 3) throw this.#fail('FORMAT_UNSUPPORTED', `GGUF version ${version}, 2 and 3 are read (little-endian)`);
    const tensorCount = this.cursor.size('the number of tensors');
    const valueCount = this.cursor.size('the number of metadata values');
    // A tensor's description takes at least 24 bytes, a value 13: counts beyond that are lies.
    if (tensorCount > MAX_TENSORS || tensorCount * 24 > this.cursor.remaining) throw this.#fail('FORMAT_TRUNCATED', `${tensorCount} tensors cannot be described in ${this.cursor.remaining} bytes`);
    if (valueCount > MAX_VALUES || valueCount * 13 > this.cursor.remaining) throw this.#fail('FORMAT_TRUNCATED', `${valueCount} metadata values cannot stand in ${this.cursor.remaining} bytes`);
    return { tensorCount, valueCount };
  }

  metadata(count: number): Record<string, unknown> {
    const entries = new Map<string, unknown>();
    for (let i = 0; i < count; i++) {
      const key = this.#string('a metadata key');
      if (entries.has(key)) throw this.#fail('FORMAT_DUPLICATE', `the metadata key ${JSON.stringify(key)} stands twice`);
      entries.set(key, this.#value(this.cursor.u32(`the kind of ${key}`), key, 0));
    }
    return Object.fromEntries(entries);
  }

  tensors(count: number): { name: string; dtype: DType; shape: number[]; offset: number }[] {
    const names = new Set<string>();
    return Array.from({ length: count }, () => {
      const name = this.#string('a tensor name');
      if (names.has(name)) throw this.#fail('FORMAT_DUPLICATE', `the tensor ${JSON.stringify(name)} stands twice`);
      names.add(name);
      const axes = this.cursor.u32(`the axes of ${name}`);
      if (axes > 8) throw this.#fail('FORMAT_SHAPE', `${name} has ${axes} axes, GGUF allows 4`);
      const shape = Array.from({ length: axes }, () => this.cursor.size(`the shape of ${name}`)).reverse();
      const type = this.cursor.u32(`the type of ${name}`);
      const dtype = TYPES.get(type);
      if (dtype === undefined) {
        throw this.#fail('FORMAT_UNSUPPORTED', `${name} has ggml type ${type}; F32, F16, BF16, Q4_0, Q4_1 and Q8_0 are read`, 'take a Q8_0, Q4_0 or F16 file of the same model');
      }
      return { name, dtype, shape, offset: this.cursor.size(`the place of ${name}`) };
    });
  }

  #value(kind: number, key: string, depth: number): unknown {
    if (++this.#values > MAX_VALUES) throw this.#fail('FORMAT_LIMIT', `more than ${MAX_VALUES} metadata values`);
    switch (kind) {
      case 0: return this.cursor.u8(key);
      case 1: return this.cursor.i8(key);
      case 2: return this.cursor.u16(key);
      case 3: return this.cursor.i16(key);
      case 4: return this.cursor.u32(key);
      case 5: return this.cursor.i32(key);
      case 6: return this.cursor.f32(key);
      case 7: return this.#boolean(key);
      case 8: return this.#string(key);
      case 9: return this.#array(key, depth);
      case 10: return narrow(this.cursor.u64(key));
      case 11: return narrow(this.cursor.i64(key));
      case 12: return this.cursor.f64(key);
      default: throw this.#fail('FORMAT_INVALID', `${key} has the unknown metadata kind ${kind}`);
    }
  }

  #boolean(key: string): boolean {
    const value = this.cursor.u8(key);
    if (value > 1) throw this.#fail('FORMAT_INVALID', `${key} is a boolean of value ${value}`);
    return value === 1;
  }

  #array(key: string, depth: number): unknown[] {
    if (depth >= MAX_ARRAY_DEPTH) throw this.#fail('FORMAT_LIMIT', `${key} is nested deeper than ${MAX_ARRAY_DEPTH}`);
    const kind = this.cursor.u32(`the kind of ${key}`);
    const count = this.cursor.size(`the length of ${key}`);
    const least = KIND_BYTES[kind];
    if (least === undefined) throw this.#fail('FORMAT_INVALID', `${key} has the unknown metadata kind ${kind}`);
    if (count * least > this.cursor.remaining) throw this.#fail('FORMAT_TRUNCATED', `${key} has ${count} entries, ${this.cursor.remaining} bytes are left`);
    const values: unknown[] = [];
    for (let i = 0; i < count; i++) values.push(this.#value(kind, key, depth + 1));
    return values;
  }

  #string(what: string): string {
    const length = this.cursor.size(`the length of ${what}`);
    if (length > MAX_STRING_BYTES) throw this.#fail('FORMAT_LIMIT', `${what} is ${length} bytes, at most ${MAX_STRING_BYTES} are read`);
    return this.cursor.text(length, what);
  }

  #fail(code: string, what: string, todo?: string): FormatError {
    return new FormatError({ code, file: this.#file, offset: this.cursor.offset, what, ...(todo === undefined ? {} : { todo }) });
  }
}

/** A number where it is exact, else the bigint. */
function narrow(value: bigint): number | bigint {
  return value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value;
}
