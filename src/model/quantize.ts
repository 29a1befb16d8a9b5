// Block quantisation as MatMulNBits of ONNX Runtime reads it: blocks of 32 along a row, w = (q - z) * s
// with a whole zero point z of 4 or 8 bits. Pure arithmetic on rows; files are language-model-weights'.
import { FromageError } from '../errors.ts';
import { halfToFloat } from '../formats/index.ts';
import type { DType } from '../formats/types.ts';

export const blockSize = 32;

/**
 * Of the head where 8 bits are enough for it: the kernel is a quarter faster on these (EXPERIMENTS.md), and a
 * range four times as wide costs little at 256 levels.
 */
export const headBlockSize = 128;

export type Bits = 4 | 8;

/** Quantised rows. `data` `[rows, blocks, size * bits / 8]`, `scales` `[rows, blocks]`, `zeroPoints` `[rows, ceil(blocks * bits / 8)]`. */
export interface QuantizedRows {
  readonly data: Uint8Array;
  readonly scales: Float32Array;
  readonly zeroPoints: Uint8Array;
}

/** Bytes per row of each part, for laying out files. */
export function quantizedRowBytes(columns: number, bits: Bits, size: number = blockSize): { data: number; scales: number; zeroPoints: number } {
  const blocks = Math.ceil(columns / size);
  return { data: (blocks * size * bits) / 8, scales: blocks * 4, zeroPoints: Math.ceil((blocks * bits) / 8) };
}

/**
 * Quantises float32 rows, asymmetric: each block's range (with 0 in it) is spread over all levels.
 *
 * @param values `[rows, columns]`; a last short block is filled up with zeros
 */
export function quantizeRows(values: Float32Array, rows: number, columns: number, bits: Bits, size: number = blockSize): QuantizedRows {
  const blocks = Math.ceil(columns / size);
  const out = emptyRows(rows, columns, bits, size);
  const levels = 2 ** bits - 1;
  for (let row = 0; row < rows; row++) {
    for (let block = 0; block < blocks; block++) {
      const start = row * columns + block * size;
      const end = Math.min(start + size, (row + 1) * columns);
      let low = 0;
      let high = 0;
      for (let i = start; i < end; i++) {
        const value = values[i]!;
        if (value < low) low = value;
        else if (value > high) high = value;
      }
      const scale = Math.fround((high - low) / levels);
      const inverse = scale === 0 ? 0 : 1 / scale;
      const zero = Math.round(-low * inverse);
      out.scales[row * blocks + block] = scale;
      putZero(out.zeroPoints, row, block, blocks, bits, zero);
      const at = ((row * blocks + block) * size * bits) / 8;
      for (let i = 0; i < size; i++) {
        const value = start + i < end ? values[start + i]! : 0;
        const q = Math.min(levels, Math.max(0, Math.round(value * inverse) + zero));
        if (bits === 8) out.data[at + i] = q;
        else out.data[at + (i >> 1)]! |= q << (4 * (i & 1));
      }
    }
  }
  return out;
}

/**
 * Rewrites GGUF blocks as 8-bit blocks. Q8_0 and Q4_0 are exact. Q4_1 (w = d·q + m) has a zero point
 * -m/d between the whole numbers: the levels are stretched by the factor a ≤ 17 that brings a·m/d nearest
 * to a whole number, which leaves an error of at most d/34 per weight and mostly a tenth of that.
 *
 * @param bytes the stored blocks of `[rows, columns]`; columns are whole blocks
 */
export function widenBlocks(bytes: Uint8Array, dtype: BlockDType, rows: number, columns: number): QuantizedRows {
  checkWhole(columns, dtype);
  const layout = blockLayouts[dtype];
  const count = rows * (columns / blockSize);
  const out = emptyRows(rows, columns, 8);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let block = 0; block < count; block++) {
    const at = block * layout.bytes;
    const to = block * blockSize;
    const d = halfToFloat(view.getUint16(at, true));
    if (dtype === 'Q8_0') {
      for (let i = 0; i < blockSize; i++) out.data[to + i] = view.getInt8(at + 2 + i) + 128;
      out.scales[block] = d;
      out.zeroPoints[block] = 128;
    } else if (dtype === 'Q4_0') {
      spread(bytes, at + layout.header, out.data, to, 1);
      out.scales[block] = d;
      out.zeroPoints[block] = 8;
    } else {
      const m = halfToFloat(view.getUint16(at + 2, true));
      const exactZero = d === 0 ? -1 : -m / d;
      if (exactZero < 0 || exactZero > 15) {
        requantizeBlock(bytes, at + layout.header, d, m, out, block);
        continue;
      }
      const stretch = bestStretch(exactZero);
      spread(bytes, at + layout.header, out.data, to, stretch);
      out.scales[block] = d / stretch;
      out.zeroPoints[block] = Math.round(exactZero * stretch);
    }
  }
  return out;
}

/** Columns that repacked rows have behind their own: see `repackBlocks`. */
export function meanColumns(columns: number): { readonly means: number; readonly padding: number } {
  const means = columns / blockSize;
  return { means, padding: Math.ceil(means / blockSize) * blockSize - means };
}

/**
 * Rewrites Q4_1 blocks as 4-bit blocks without rounding their levels. The zero point of Q4_1, -m/d, is
 * rounded to a whole number; what that leaves over, m + d·z per block, times the block's sum of inputs, is
 * one more column of the product. These columns, as factors of the blocks' means, follow the row's own,
 * in 4-bit blocks too, and after them, from the next whole block on, what their rounding left over.
 *
 * @returns rows of `columns + means + padding + means` values (`meanColumns`)
 */
export function repackBlocks(bytes: Uint8Array, rows: number, columns: number): QuantizedRows {
  checkWhole(columns, 'Q4_1');
  const { means, padding } = meanColumns(columns);
  const out = emptyRows(rows, columns + 2 * means + padding, 4);
  const perRow = quantizedRowBytes(columns + 2 * means + padding, 4);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const levels = new Uint8Array(blockSize);
  const factors = new Float32Array(means);
  for (let row = 0; row < rows; row++) {
    for (let block = 0; block < means; block++) {
      const at = (row * means + block) * blockLayouts.Q4_1.bytes;
      const d = halfToFloat(view.getUint16(at, true));
      const m = halfToFloat(view.getUint16(at + 2, true));
      const zero = d === 0 ? 0 : Math.min(15, Math.max(0, Math.round(-m / d)));
      factors[block] = (m + d * zero) * blockSize;
      out.scales[(row * perRow.scales) / 4 + block] = d;
      out.zeroPoints[row * perRow.zeroPoints + (block >> 1)]! |= zero << (4 * (block & 1));
      spread(bytes, at + blockLayouts.Q4_1.header, levels, 0, 1);
      const to = row * perRow.data + block * 16;
      for (let i = 0; i < 16; i++) out.data[to + i] = levels[2 * i]! | (levels[2 * i + 1]! << 4);
    }
    const coarse = quantizeRows(factors, 1, means, 4);
    const rest = factors.map((factor, i) => factor - (nibble(coarse.data, i) - nibble(coarse.zeroPoints, i >> 5)) * coarse.scales[i >> 5]!);
    appendBlocks(out, row, perRow, means, coarse);
    appendBlocks(out, row, perRow, means + coarse.scales.length, quantizeRows(rest, 1, means, 4));
  }
  return out;
}

/** Puts one row of 4-bit blocks behind the `blocks` that row `row` of `out` already has. */
function appendBlocks(out: QuantizedRows, row: number, perRow: { data: number; scales: number; zeroPoints: number }, blocks: number, more: QuantizedRows): void {
  out.data.set(more.data, row * perRow.data + blocks * 16);
  out.scales.set(more.scales, (row * perRow.scales) / 4 + blocks);
  more.scales.forEach((_, i) => {
    const block = blocks + i;
    out.zeroPoints[row * perRow.zeroPoints + (block >> 1)]! |= nibble(more.zeroPoints, i) << (4 * (block & 1));
  });
}

function nibble(bytes: Uint8Array, index: number): number {
  return (bytes[index >> 1]! >> (4 * (index & 1))) & 15;
}

function checkWhole(columns: number, dtype: DType): void {
  if (columns % blockSize !== 0) throw new FromageError({ code: 'MODEL_QUANTIZE', what: `a row of ${columns} ${dtype} values is not whole blocks of ${blockSize}` });
}

/** Element types that come in blocks of 32. */
export type BlockDType = 'Q4_0' | 'Q4_1' | 'Q8_0';

const blockLayouts: Readonly<Record<BlockDType, { readonly bytes: number; readonly header: number }>> = {
  Q4_0: { bytes: 18, header: 2 },
  Q4_1: { bytes: 20, header: 4 },
  Q8_0: { bytes: 34, header: 2 },
};

export function isBlockDType(dtype: DType): dtype is BlockDType {
  return dtype in blockLayouts;
}

/**
 * Undoes the interleaving of q and k rows that GGUF's converter applies: within each head its row
 * 2j + h is row h·headDim/2 + j of Hugging Face's rotation by halves.
 *
 * @param bytes `[rows, rowBytes]`, whole heads
 */
export function uninterleaveHeads(bytes: Uint8Array, rowBytes: number, headDim: number): Uint8Array {
  const out = new Uint8Array(bytes.byteLength);
  const rows = bytes.byteLength / rowBytes;
  const halfDim = headDim / 2;
  for (let row = 0; row < rows; row++) {
    const inHead = row % headDim;
    const source = row - inHead + 2 * (inHead % halfDim) + Math.floor(inHead / halfDim);
    out.set(bytes.subarray(source * rowBytes, (source + 1) * rowBytes), row * rowBytes);
  }
  return out;
}

function emptyRows(rows: number, columns: number, bits: Bits, size: number = blockSize): QuantizedRows {
  const perRow = quantizedRowBytes(columns, bits, size);
  return { data: new Uint8Array(rows * perRow.data), scales: new Float32Array((rows * perRow.scales) / 4), zeroPoints: new Uint8Array(rows * perRow.zeroPoints) };
}

function putZero(zeroPoints: Uint8Array, row: number, block: number, blocks: number, bits: Bits, zero: number): void {
  if (bits === 8) zeroPoints[row * blocks + block] = zero;
  else zeroPoints[row * Math.ceil(blocks / 2) + (block >> 1)]! |= zero << (4 * (block & 1));
}

/** ggml keeps elements j and j + 16 in byte j. */
function spread(bytes: Uint8Array, from: number, data: Uint8Array, to: number, stretch: number): void {
  for (let j = 0; j < 16; j++) {
    const pair = bytes[from + j]!;
    data[to + j] = (pair & 15) * stretch;
    data[to + j + 16] = (pair >> 4) * stretch;
  }
}

function bestStretch(exactZero: number): number {
  let best = 17;
  let bestError = Infinity;
  for (let a = 17; a >= 8; a--) {
    const error = Math.abs(exactZero * a - Math.round(exactZero * a)) / a;
    if (error < bestError) {
      best = a;
      bestError = error;
    }
  }
  return best;
}

/** A Q4_1 block whose range does not hold 0: as floats, then eight bits over its range with 0. */
function requantizeBlock(bytes: Uint8Array, from: number, d: number, m: number, out: QuantizedRows, block: number): void {
  const levels = new Uint8Array(blockSize);
  spread(bytes, from, levels, 0, 1);
  const again = quantizeRows(Float32Array.from(levels, (q) => d * q + m), 1, blockSize, 8);
  out.data.set(again.data, block * blockSize);
  out.scales[block] = again.scales[0]!;
  out.zeroPoints[block] = again.zeroPoints[0]!;
}
