// Stored elements widened to float32, exactly. The block formats are ggml's: 32 elements, one float16
// scale (and, in Q4_1, one float16 minimum); a nibble byte j holds elements j (low) and j + 16 (high).
// Source: ggml-quants.c, dequantize_row_q4_0, _q4_1, _q8_0.
import type { DType } from './types.ts';

/** Elements per block and bytes per block; plain types are blocks of one. */
export const BLOCKS: Readonly<Record<DType, { readonly elements: number; readonly bytes: number }>> = {
  F64: { elements: 1, bytes: 8 }, F32: { elements: 1, bytes: 4 }, F16: { elements: 1, bytes: 2 }, BF16: { elements: 1, bytes: 2 },
  I64: { elements: 1, bytes: 8 }, I32: { elements: 1, bytes: 4 }, I16: { elements: 1, bytes: 2 }, I8: { elements: 1, bytes: 1 },
  U8: { elements: 1, bytes: 1 }, BOOL: { elements: 1, bytes: 1 },
  Q4_0: { elements: 32, bytes: 18 }, Q4_1: { elements: 32, bytes: 20 }, Q8_0: { elements: 32, bytes: 34 },
};

let halfTable: Float32Array | null = null;

/** float32 of a float16 bit pattern. */
export function halfToFloat(bits: number): number {
  return halves()[bits]!;
}

/** The 65,536 float16 values; faster than arithmetic and made once. */
function halves(): Float32Array {
  if (halfTable !== null) return halfTable;
  const table = new Float32Array(65_536);
  for (let bits = 0; bits < 65_536; bits++) {
    const exponent = (bits >> 10) & 31;
    const fraction = bits & 1023;
    let value: number;
    if (exponent === 31) value = fraction === 0 ? Infinity : NaN;
    else if (exponent === 0) value = fraction * 2 ** -24;
    else value = (1 + fraction / 1024) * 2 ** (exponent - 15);
    table[bits] = bits & 0x8000 ? -value : value;
  }
  halfTable = table;
  return table;
}

/** The nearest float16 bit pattern, ties to even, as numpy's astype('f2'). */
export function floatToHalf(value: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const size = Math.abs(value);
  if (Number.isNaN(value)) return 0x7e00;
  if (size >= 65_520) return sign | 0x7c00;
  if (size < 2 ** -14) return sign | roundToEven(size * 2 ** 24);
  let exponent = Math.floor(Math.log2(size));
  if (2 ** exponent > size) exponent--;
  else if (2 ** (exponent + 1) <= size) exponent++;
  // A fraction that rounds up to 1024 carries into the exponent by plain addition.
  return sign | (((exponent + 15) << 10) + roundToEven((size / 2 ** exponent - 1) * 1024));
}

function roundToEven(value: number): number {
  const low = Math.floor(value);
  const rest = value - low;
  if (rest !== 0.5) return rest < 0.5 ? low : low + 1;
  return low % 2 === 0 ? low : low + 1;
}

/**
 * Contiguous stored elements as float32.
 *
 * @param bytes a whole number of elements (or blocks), little-endian
 * @returns the caller owns it; for F32 with an aligned buffer it shares `bytes`' memory
 * I64, I32 and F64 are rounded to the nearest float32, all other types are exact.
 */
export function toFloat32(bytes: Uint8Array, dtype: DType): Float32Array {
  const aligned = bytes.byteOffset % 8 === 0 ? bytes : bytes.slice();
  const { buffer, byteOffset, byteLength } = aligned;
  switch (dtype) {
    case 'F32': return new Float32Array(buffer, byteOffset, byteLength / 4);
    case 'F64': return Float32Array.from(new Float64Array(buffer, byteOffset, byteLength / 8));
    case 'F16': return fromHalves(new Uint16Array(buffer, byteOffset, byteLength / 2));
    case 'BF16': return fromBrainFloats(new Uint16Array(buffer, byteOffset, byteLength / 2));
    case 'I64': return Float32Array.from(new BigInt64Array(buffer, byteOffset, byteLength / 8), Number);
    case 'I32': return Float32Array.from(new Int32Array(buffer, byteOffset, byteLength / 4));
    case 'I16': return Float32Array.from(new Int16Array(buffer, byteOffset, byteLength / 2));
    case 'I8': return Float32Array.from(new Int8Array(buffer, byteOffset, byteLength));
    case 'U8': return Float32Array.from(aligned);
    case 'BOOL': return Float32Array.from(aligned, (value) => (value === 0 ? 0 : 1));
    case 'Q4_0': return fromNibbles(aligned, 2);
    case 'Q4_1': return fromNibbles(aligned, 4);
    case 'Q8_0': return fromBytes(aligned);
    default: return dtype satisfies never;
  }
}

function fromHalves(bits: Uint16Array): Float32Array {
  const table = halves();
  const values = new Float32Array(bits.length);
  for (let i = 0; i < bits.length; i++) values[i] = table[bits[i]!]!;
  return values;
}

/** bfloat16 is the upper half of a float32. */
function fromBrainFloats(bits: Uint16Array): Float32Array {
  const words = new Uint32Array(bits.length);
  for (let i = 0; i < bits.length; i++) words[i] = bits[i]! << 16;
  return new Float32Array(words.buffer);
}

/** Q4_0 (head 2: the scale, nibbles centred at 8) and Q4_1 (head 4: scale and minimum). */
function fromNibbles(bytes: Uint8Array, head: 2 | 4): Float32Array {
  const table = halves();
  const blocks = bytes.length / (head + 16);
  const values = new Float32Array(blocks * 32);
  for (let block = 0; block < blocks; block++) {
    const at = block * (head + 16);
    const scale = table[bytes[at]! | (bytes[at + 1]! << 8)]!;
    const minimum = head === 4 ? table[bytes[at + 2]! | (bytes[at + 3]! << 8)]! : 0;
    const centre = head === 4 ? 0 : 8;
    const to = block * 32;
    for (let j = 0; j < 16; j++) {
      const pair = bytes[at + head + j]!;
      values[to + j] = ((pair & 15) - centre) * scale + minimum;
      values[to + j + 16] = ((pair >> 4) - centre) * scale + minimum;
    }
  }
  return values;
}

function fromBytes(bytes: Uint8Array): Float32Array {
  const table = halves();
  const blocks = bytes.length / 34;
  const values = new Float32Array(blocks * 32);
  for (let block = 0; block < blocks; block++) {
    const at = block * 34;
    const scale = table[bytes[at]! | (bytes[at + 1]! << 8)]!;
    for (let j = 0; j < 32; j++) values[block * 32 + j] = ((bytes[at + 2 + j]! << 24) >> 24) * scale;
  }
  return values;
}
