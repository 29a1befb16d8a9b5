// numpy's .npy files, versions 1 to 3: a magic, a header that is a Python dict literal, the elements.
// Source: numpy/lib/format.py.
import { WeightFile } from './byte-range.ts';
import { BLOCKS, floatToHalf, toFloat32 } from './dequantize.ts';
import { FormatError } from './errors.ts';
import { closingOnError } from './store.ts';
import { contiguousStrides, countBytes, gather } from './tensor-layout.ts';
import { writeFileWhole } from './write-file.ts';

/** Element types as .npy spells them, little-endian. */
export type NpyDType = 'f8' | 'f4' | 'f2' | 'i8' | 'i4' | 'u1' | 'b1';
export type NpyData = Float64Array | Float32Array | BigInt64Array | Int32Array | Uint8Array;

/** A dense array. f2 is widened to Float32Array; b1 is a Uint8Array of 0 and 1. */
export interface NpyArray {
  readonly dtype: NpyDType;
  readonly shape: readonly number[];
  /** Row-major, whatever order the file has. */
  readonly data: NpyData;
}

const DTYPES = { f8: 'F64', f4: 'F32', f2: 'F16', i8: 'I64', i4: 'I32', u1: 'U8', b1: 'BOOL' } as const;
const MAX_HEADER_BYTES = 65_536;

/** Reads a whole .npy file. The caller owns the data. @throws FormatError */
export function readNpy(path: string): NpyArray {
  const file = new WeightFile(path);
  const array = closingOnError(file, readArray);
  file.close();
  return array;
}

function readArray(file: WeightFile): NpyArray {
  const head = file.read(0, 8, 'the magic number');
  const version = head[6] ?? 0;
  if (Buffer.from(head.subarray(0, 6)).toString('latin1') !== '\x93NUMPY' || version < 1 || version > 3) {
    throw new FormatError({ code: 'FORMAT_INVALID', file: file.file, offset: 0, what: 'is no .npy file of version 1 to 3' });
  }
  const lengthBytes = version === 1 ? 2 : 4;
  const headerBytes = Buffer.from(file.read(8, lengthBytes, 'the length of the header')).readUIntLE(0, lengthBytes);
  const headerStart = 8 + lengthBytes;
  if (headerBytes > MAX_HEADER_BYTES) throw new FormatError({ code: 'FORMAT_LIMIT', file: file.file, offset: 8, what: `the header is ${headerBytes} bytes, at most ${MAX_HEADER_BYTES} are read` });
  const { dtype, shape, fortranOrder } = parseHeader(Buffer.from(file.read(headerStart, headerBytes, 'the header')).toString('utf8'), file.file, headerStart);
  const byteLength = countBytes(shape, DTYPES[dtype], { file: file.file, offset: headerStart, name: 'the array' });
  const stored = file.read(headerStart + headerBytes, byteLength, 'the elements');
  const bytes = fortranOrder && shape.length > 1 ? gather(stored, BLOCKS[DTYPES[dtype]].bytes, shape, fortranStrides(shape)) : stored;
  return { dtype, shape, data: toData(bytes, dtype) };
}

/** The literal numpy writes: three keys, in any order, with simple values. */
function parseHeader(text: string, file: string, offset: number): { dtype: NpyDType; shape: number[]; fortranOrder: boolean } {
  const pairs = new Map<string, string>();
  const pair = /\s*'(descr|fortran_order|shape)'\s*:\s*('[^']*'|True|False|\([\d,\sL]*\))\s*(,|(?=\}))/y;
  const body = /^\s*\{/.exec(text);
  pair.lastIndex = body === null ? text.length : body[0].length;
  let end = pair.lastIndex;
  for (let match = pair.exec(text); match !== null; match = pair.exec(text)) {
    if (pairs.has(match[1] ?? '')) throw new FormatError({ code: 'FORMAT_DUPLICATE', file, offset, what: `the key ${match[1] ?? ''} stands twice` });
    pairs.set(match[1] ?? '', match[2] ?? '');
    end = pair.lastIndex;
  }
  const descr = pairs.get('descr');
  const order = pairs.get('fortran_order');
  const shape = pairs.get('shape');
  if (!/^\s*\}\s*$/.test(text.slice(end)) || descr === undefined || shape?.startsWith('(') !== true || (order !== 'True' && order !== 'False')) {
    throw new FormatError({ code: 'FORMAT_INVALID', file, offset, what: `the header ${JSON.stringify(text.slice(0, 120))} is not understood` });
  }
  const code = /^'[<|=]?(f8|f4|f2|i8|i4|u1|b1)'$/.exec(descr)?.[1];
  if (code === undefined) throw new FormatError({ code: 'FORMAT_UNSUPPORTED', file, offset, what: `elements of type ${descr}`, why: 'little-endian f2, f4, f8, i4, i8, u1 and bool are read' });
  const extents = shape.slice(1, -1).split(',').map((part) => part.trim()).filter((part) => part !== '').map((part) => Number(part.replace(/L$/, '')));
  return { dtype: code as NpyDType, shape: extents, fortranOrder: order === 'True' };
}

/** Strides in elements when the first axis is the fastest. */
function fortranStrides(shape: readonly number[]): number[] {
  return contiguousStrides([...shape].reverse()).reverse();
}

function toData(bytes: Uint8Array, dtype: NpyDType): NpyData {
  switch (dtype) {
    case 'f8': return new Float64Array(bytes.buffer, bytes.byteOffset, bytes.length / 8);
    case 'f4': case 'f2': return toFloat32(bytes, DTYPES[dtype]);
    case 'i8': return new BigInt64Array(bytes.buffer, bytes.byteOffset, bytes.length / 8);
    case 'i4': return new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
    case 'u1': return bytes;
    case 'b1': return bytes.map((value) => (value === 0 ? 0 : 1));
    default: return dtype satisfies never;
  }
}

/** How an array is stored; by default its data's own type, in C order, version 1. */
export interface NpyWriteOptions {
  readonly dtype?: NpyDType;
  readonly fortranOrder?: boolean;
  readonly version?: 1 | 2 | 3;
}

/**
 * Writes a .npy file, whole or not at all.
 *
 * @param array row-major; `options.dtype` f2 takes a Float32Array, b1 a Uint8Array
 * @throws FormatError `FORMAT_SHAPE` when data and shape differ
 */
export function writeNpy(file: string, array: { readonly shape: readonly number[]; readonly data: NpyData }, options: NpyWriteOptions = {}): void {
  const { shape, data } = array;
  const natural = naturalDType(data);
  const dtype = options.dtype ?? natural;
  const fits = dtype === natural || (dtype === 'f2' && natural === 'f4') || (dtype === 'b1' && natural === 'u1');
  const elements = countBytes(shape, 'U8', { file, offset: 0, name: 'the array' });
  if (!fits || elements !== data.length) throw new FormatError({ code: 'FORMAT_SHAPE', file, what: `${data.length} elements of ${natural} cannot be written as [${shape.join(', ')}] of ${dtype}` });
  const plain = dtype === 'f2' ? Uint16Array.from(data as Float32Array, floatToHalf) : data;
  const rowMajor = new Uint8Array(plain.buffer, plain.byteOffset, plain.byteLength);
  const reversed = [...shape].reverse();
  const bytes = options.fortranOrder === true ? gather(rowMajor, BLOCKS[DTYPES[dtype]].bytes, reversed, contiguousStrides(shape).reverse()) : rowMajor;
  const order = options.fortranOrder === true ? 'True' : 'False';
  const descr = `${dtype === 'u1' || dtype === 'b1' ? '|' : '<'}${dtype}`;
  const literal = `{'descr': '${descr}', 'fortran_order': ${order}, 'shape': (${shape.join(', ')}${shape.length === 1 ? ',' : ''}), }`;
  writeFileWhole(file, [npyHead(literal, options.version ?? 1), bytes]);
}

/** Magic, version, length and the literal, padded so that the elements begin at a multiple of 64. */
function npyHead(literal: string, version: 1 | 2 | 3): Uint8Array {
  const fixed = version === 1 ? 10 : 12;
  const total = Math.ceil((fixed + literal.length + 1) / 64) * 64;
  const head = Buffer.alloc(total, ' ');
  head.write('\x93NUMPY', 0, 'latin1');
  head.writeUInt8(version, 6);
  head.writeUInt8(0, 7);
  head.writeUIntLE(total - fixed, 8, fixed - 8);
  head.write(literal, fixed, 'latin1');
  head.write('\n', total - 1);
  return head;
}

function naturalDType(data: NpyData): NpyDType {
  if (data instanceof Float32Array) return 'f4';
  if (data instanceof Float64Array) return 'f8';
  if (data instanceof BigInt64Array) return 'i8';
  return data instanceof Int32Array ? 'i4' : 'u1';
}
