// safetensors: eight bytes of header length, a JSON header, then the tensors' bytes without gaps.
// Read by header only; written whole or not at all.
// Source: the format's description in huggingface/safetensors (README, "Format").
import { ByteCursor } from './byte-cursor.ts';
import { WeightFile } from './byte-range.ts';
import { FormatError } from './errors.ts';
import { isRecord, own, parseJsonObject } from './json.ts';
import { checkOverlaps, closingOnError, makeStore } from './store.ts';
import { countBytes } from './tensor-layout.ts';
import type { DType, TensorLocation, WeightStore } from './types.ts';
import { writeFileWhole } from './write-file.ts';

/** A header larger than this names more tensors than any model has. */
const MAX_HEADER_BYTES = 32 * 2 ** 20;
const DTYPES: ReadonlySet<string> = new Set(['F64', 'F32', 'F16', 'BF16', 'I64', 'I32', 'I16', 'I8', 'U8', 'BOOL'] satisfies DType[]);

/** One tensor to be written: float32 values, or bytes of another type. */
export interface WritableTensor {
  readonly shape: readonly number[];
  readonly data: Float32Array | { readonly dtype: DType; readonly bytes: Uint8Array };
}

/** Opens one `.safetensors` file; reads its header only. @throws FormatError */
export function openSafetensors(path: string): WeightStore {
  return closingOnError(new WeightFile(path), (file) => {
    const cursor = new ByteCursor(file.range());
    const headerBytes = cursor.size('the length of the header');
    if (headerBytes > MAX_HEADER_BYTES) {
      throw new FormatError({ code: 'FORMAT_LIMIT', file: file.file, offset: 0, what: `the header is ${headerBytes} bytes, at most ${MAX_HEADER_BYTES} are read` });
    }
    const header = parseJsonObject(cursor.text(headerBytes, 'the header'), file.file, 8);
    const dataStart = 8 + headerBytes;
    const tensors = new Map<string, TensorLocation>();
    for (const [name, entry] of Object.entries(header)) {
      if (name === '__metadata__') continue;
      tensors.set(name, locateEntry(file, dataStart, name, entry));
    }
    checkOverlaps(file.file, tensors.values());
    checkNoGaps(file, dataStart, tensors.values());
    return makeStore({ path, files: [file], tensors, metadata: readMetadata(file.file, own(header, '__metadata__')) });
  });
}

function locateEntry(file: WeightFile, dataStart: number, name: string, entry: unknown): TensorLocation {
  const invalid = (what: string): FormatError => new FormatError({ code: 'FORMAT_INVALID', file: file.file, offset: 8, what: `${JSON.stringify(name)} ${what}` });
  if (!isRecord(entry)) throw invalid('is not described by an object');
  const dtype = own(entry, 'dtype');
  const shape = own(entry, 'shape');
  const offsets = own(entry, 'data_offsets');
  if (!isDType(dtype)) throw new FormatError({ code: 'FORMAT_UNSUPPORTED', file: file.file, offset: 8, what: `${JSON.stringify(name)} has the type ${JSON.stringify(dtype)?.slice(0, 40)}` });
  if (!isNumbers(shape)) throw invalid('has no shape of numbers');
  if (!isNumbers(offsets) || offsets.length !== 2) throw invalid('has no two data_offsets');
  const [begin = 0, end = 0] = offsets;
  if (!Number.isSafeInteger(begin) || !Number.isSafeInteger(end) || begin < 0 || end < begin) throw invalid(`has the data_offsets ${begin} and ${end}`);
  const byteLength = countBytes(shape, dtype, { file: file.file, offset: 8, name });
  if (byteLength !== end - begin) {
    throw new FormatError({ code: 'FORMAT_SHAPE', file: file.file, offset: 8, what: `${name} [${shape.join(', ')}] of ${dtype} is ${byteLength} bytes, its data_offsets hold ${end - begin}` });
  }
  return { name, dtype, shape, file: file.file, offset: file.range().slice(dataStart + begin, byteLength, name).start, byteLength };
}

/** The format allows no byte that belongs to no tensor: nothing can be hidden behind a model. */
function checkNoGaps(file: WeightFile, dataStart: number, tensors: Iterable<TensorLocation>): void {
  let used = 0;
  for (const tensor of tensors) used += tensor.byteLength;
  if (dataStart + used === file.size) return;
  throw new FormatError({ code: 'FORMAT_INVALID', file: file.file, offset: dataStart, what: `the tensors hold ${used} bytes, the file has ${file.size - dataStart} behind its header` });
}

function readMetadata(file: string, value: unknown): Record<string, string> {
  if (value === undefined) return {};
  if (!isRecord(value)) throw new FormatError({ code: 'FORMAT_INVALID', file, offset: 8, what: '__metadata__ is not an object' });
  return Object.fromEntries(Object.entries(value).map(([key, text]) => {
    if (typeof text !== 'string') throw new FormatError({ code: 'FORMAT_INVALID', file, offset: 8, what: `__metadata__.${key} is not a string` });
    return [key, text];
  }));
}

function isDType(value: unknown): value is DType {
  return typeof value === 'string' && DTYPES.has(value);
}

function isNumbers(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((entry) => typeof entry === 'number');
}

/**
 * Writes a `.safetensors` file: beside its place, forced to disk, renamed. Tensors lie in the order
 * given, from a multiple of eight bytes on.
 *
 * @throws FormatError `FORMAT_SHAPE` when data and shape differ, `FORMAT_WRITE` when the disk refuses
 */
export function writeSafetensors(file: string, tensors: ReadonlyMap<string, WritableTensor>, metadata: Readonly<Record<string, string>> = {}): void {
  const entries: [string, unknown][] = Object.keys(metadata).length === 0 ? [] : [['__metadata__', metadata]];
  const chunks: Uint8Array[] = [];
  let at = 0;
  for (const [name, { shape, data }] of tensors) {
    const dtype = data instanceof Float32Array ? 'F32' : data.dtype;
    const bytes = data instanceof Float32Array ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength) : data.bytes;
    if (!isDType(dtype) || name === '__metadata__') throw new FormatError({ code: 'FORMAT_UNSUPPORTED', file, what: `${name} of ${dtype} cannot be written as safetensors` });
    const expected = countBytes(shape, dtype, { file, offset: 0, name });
    if (expected !== bytes.length) throw new FormatError({ code: 'FORMAT_SHAPE', file, what: `${name} [${shape.join(', ')}] of ${dtype} is ${expected} bytes, ${bytes.length} were given` });
    entries.push([name, { dtype, shape, data_offsets: [at, at + bytes.length] }]);
    chunks.push(bytes);
    at += bytes.length;
  }
  const json = Buffer.from(JSON.stringify(Object.fromEntries(entries)));
  const header = Buffer.alloc(8 + Math.ceil(json.length / 8) * 8, ' ');
  header.writeBigUInt64LE(BigInt(header.length - 8));
  json.copy(header, 8);
  writeFileWhole(file, [header, ...chunks]);
}
