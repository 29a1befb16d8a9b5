// The weights of a language model as its graph wants them: float32 matrices straight from the files they
// lie in, everything else (other dtypes, quantised forms) from one disposable cache file (weights-cache.ts).
import { FromageError } from '../errors.ts';
import type { TensorLocation, WeightStore } from '../formats/types.ts';
import type { ExternalTensor } from '../onnx/graph/index.ts';
import type { ModelConfig } from './language-model-config.ts';
import { type Bits, blockSize, headBlockSize, isBlockDType, meanColumns, quantizedRowBytes, quantizeRows, repackBlocks, uninterleaveHeads, widenBlocks } from './quantize.ts';
import { type CacheEntry, openWeightsCache } from './weights-cache.ts';
import type { MatrixPart, MatrixSpec, VectorPart, WeightsLayout } from './weights-layout.ts';

/** How the linear layers are kept: exact, 8 bits, 4 bits. Levels that are in 4-bit blocks already are never rounded again. */
export type WeightScheme = 'fp32' | 'q8' | 'q4';

export type MatrixWeight =
  /** One float32 matrix, or several in different places whose products are joined. */
  | { readonly kind: 'float32'; readonly rows: number; readonly columns: number; readonly parts: readonly ExternalTensor[] }
  /** Operands of MatMulNBits. */
  | {
      readonly kind: 'blocks';
      readonly rows: number;
      readonly columns: number;
      readonly bits: Bits;
      /** Values that share a scale. */
      readonly blockSize: number;
      /** Columns that multiply the inputs themselves; any more are those of `repackBlocks`. */
      readonly inputColumns: number;
      readonly data: ExternalTensor;
      readonly scales: ExternalTensor;
      readonly zeroPoints: ExternalTensor;
    };

export interface LanguageModelWeights {
  readonly config: ModelConfig;
  readonly scheme: WeightScheme;
  matrix(name: string): MatrixWeight;
  vector(name: string): Float32Array;
  /** Rows of the input embedding table `[ids.length, embedSize]`. */
  embed(ids: readonly number[]): Float32Array;
  close(): void;
}

export interface WeightsOptions {
  readonly scheme: WeightScheme;
  /** Where converted weights are kept; may be emptied at any time. */
  readonly cacheDir: string;
  /** Called while weights are converted, with the part done in (0, 1]. */
  readonly onProgress?: (done: number) => void;
}

/** Rows handled at once: bounds memory at 64 MB of float32 for a width of 16384. */
const chunkRows = 1024;

/**
 * Checks every tensor's shape and prepares the matrices, converting into the cache what has to be.
 *
 * @param store stays in use until `close`, which closes it
 * @throws FromageError `FORMAT_TENSOR_MISSING`, `MODEL_WEIGHT_SHAPE`, `MODEL_CACHE_WRITE`
 */
export async function prepareWeights(config: ModelConfig, layout: WeightsLayout, store: WeightStore, options: WeightsOptions): Promise<LanguageModelWeights> {
  const table = locate(store, layout.embedding, [config.vocabSize, config.embedSize]);
  for (const parts of layout.vectors.values()) for (const part of parts) locate(store, part.tensor, [part.length]);
  const entries: CacheEntry[] = [];
  const waiting = new Map<string, (cached: ReadonlyMap<string, ExternalTensor>) => MatrixWeight>();
  for (const [name, spec] of layout.matrices) {
    const located = spec.parts.map((part) => locate(store, part.tensor, [part.rows, spec.columns]));
    waiting.set(name, planMatrix(name, spec, located, store, options.scheme, entries));
  }
  const cached = entries.length === 0 ? new Map<string, ExternalTensor>() : await openWeightsCache(options.cacheDir, store, options.scheme, entries, options.onProgress);
  const matrices = new Map([...waiting].map(([name, finish]) => [name, finish(cached)]));
  return {
    config,
    scheme: options.scheme,
    matrix: (name) => known(matrices, name),
    vector: (name) => joinVector(known(layout.vectors, name), store),
    embed: (ids) => gatherRows(store, table, ids),
    close: () => store.close(),
  };
}

/** Bits for one matrix; 32 means float32. */
export function bitsFor(spec: MatrixSpec, scheme: WeightScheme): Bits | 32 {
  if (scheme === 'fp32' || spec.precision === 'float32') return 32;
  return scheme === 'q8' || spec.precision === 'head' ? 8 : 4;
}

function planMatrix(name: string, spec: MatrixSpec, located: readonly TensorLocation[], store: WeightStore, scheme: WeightScheme, entries: CacheEntry[]): (cached: ReadonlyMap<string, ExternalTensor>) => MatrixWeight {
  const rows = spec.parts.reduce((sum, part) => sum + part.rows, 0);
  const { columns } = spec;
  const wanted = bitsFor(spec, scheme);
  if (wanted === 32) {
    if (located.every((tensor, i) => tensor.dtype === 'F32' && tensor.strides === undefined && spec.parts[i]?.interleaved === undefined)) {
      const parts = located.map(({ shape, file, offset, byteLength }): ExternalTensor => ({ type: 'float32', dims: shape, file, offset, byteLength }));
      return () => ({ kind: 'float32', rows, columns, parts });
    }
    entries.push({
      tensors: [{ name, type: 'float32', dims: [rows, columns] }],
      *chunks() {
        for (const { part, first, count } of chunksOf(spec)) {
          const values = store.readRowsFloat32(part.tensor, first, count);
          yield [ordered(bytes(values), columns * 4, part)];
        }
      },
    });
    return (cached) => ({ kind: 'float32', rows, columns, parts: [known(cached, name)] });
  }
  // Rounded to 4 bits a second time, levels of 4-bit blocks lose far too much: they are kept, or made 8 bits.
  const repacked = wanted === 4 && located.every((tensor) => tensor.dtype === 'Q4_1');
  const bits = repacked || !located.some((tensor) => isBlockDType(tensor.dtype)) ? wanted : 8;
  const { means, padding } = meanColumns(columns);
  const stored = repacked ? columns + 2 * means + padding : columns;
  // Only what is in 8-bit blocks already, or never was in blocks, bears a wider range.
  const wide = spec.precision === 'head' && bits === 8 && located.every((tensor) => tensor.dtype === 'Q8_0' || !isBlockDType(tensor.dtype));
  const size = wide ? headBlockSize : blockSize;
  const perRow = quantizedRowBytes(stored, bits, size);
  const blocks = perRow.scales / 4;
  const names = { data: `${name}.data`, scales: `${name}.scales`, zeroPoints: `${name}.zero_points` };
  entries.push({
    tensors: [
      { name: names.scales, type: 'float32', dims: [rows * blocks] },
      { name: names.data, type: 'uint8', dims: [rows, blocks, (size * bits) / 8] },
      { name: names.zeroPoints, type: 'uint8', dims: [rows * perRow.zeroPoints] },
    ],
    *chunks() {
      for (const { part, first, count, whole } of chunksOf(spec)) {
        const { dtype, byteLength } = store.locate(part.tensor);
        const rowBytes = byteLength / part.rows;
        const blocksOfRows = (): Uint8Array => whole(() => store.readBytes(part.tensor)).subarray(first * rowBytes, (first + count) * rowBytes);
        const quantized = repacked
          ? repackBlocks(blocksOfRows(), count, columns)
          : isBlockDType(dtype) && !wide
            ? widenBlocks(blocksOfRows(), dtype, count, columns)
            : quantizeRows(store.readRowsFloat32(part.tensor, first, count), count, columns, bits, size);
        yield [ordered(bytes(quantized.scales), perRow.scales, part), ordered(quantized.data, perRow.data, part), ordered(quantized.zeroPoints, perRow.zeroPoints, part)];
      }
    },
  });
  return (cached) => ({ kind: 'blocks', rows, columns: stored, inputColumns: columns, bits, blockSize: size, data: known(cached, names.data), scales: known(cached, names.scales), zeroPoints: known(cached, names.zeroPoints) });
}

/** The rows of a matrix in pieces that hold whole heads; `whole` keeps a part's stored bytes between its pieces. */
function* chunksOf(spec: MatrixSpec) {
  for (const part of spec.parts) {
    const step = part.interleaved === undefined ? chunkRows : Math.max(1, Math.floor(chunkRows / part.interleaved)) * part.interleaved;
    let stored: Uint8Array | undefined;
    const whole = (read: () => Uint8Array): Uint8Array => (stored ??= read());
    for (let first = 0; first < part.rows; first += step) yield { part, first, count: Math.min(step, part.rows - first), whole };
  }
}

function ordered(rows: Uint8Array, rowBytes: number, part: MatrixPart): Uint8Array {
  return part.interleaved === undefined ? rows : uninterleaveHeads(rows, rowBytes, part.interleaved);
}

function joinVector(parts: readonly VectorPart[], store: WeightStore): Float32Array {
  const joined = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    const values = store.readFloat32(part.tensor);
    joined.set(part.interleaved === undefined ? values : new Float32Array(uninterleaveHeads(bytes(values), 4, part.interleaved).buffer), at);
    at += part.length;
  }
  return joined;
}

function gatherRows(store: WeightStore, table: TensorLocation, ids: readonly number[]): Float32Array {
  const [rows = 0, width = 0] = table.shape;
  const out = new Float32Array(ids.length * width);
  ids.forEach((id, i) => {
    if (!Number.isInteger(id) || id < 0 || id >= rows) throw new FromageError({ code: 'MODEL_TOKEN_RANGE', what: `token ${id} has no row in a table of ${rows}`, todo: 'tokens that an adapter adds bring their own rows' });
    out.set(store.readRowsFloat32(table.name, id, 1), i * width);
  });
  return out;
}

function locate(store: WeightStore, name: string, shape: readonly number[]): TensorLocation {
  const tensor = store.locate(name);
  if (tensor.shape.length !== shape.length || tensor.shape.some((extent, axis) => extent !== shape[axis])) {
    throw new FromageError({ code: 'MODEL_WEIGHT_SHAPE', what: `${name} is [${tensor.shape.join(', ')}], expected [${shape.join(', ')}]`, why: 'weights and configuration do not belong together', todo: 'check config.json against the checkpoint' });
  }
  return tensor;
}

function known<T>(map: ReadonlyMap<string, T>, name: string): T {
  const value = map.get(name);
  if (value === undefined) throw new FromageError({ code: 'MODEL_WEIGHT_UNKNOWN', what: `the graph asks for ${name}, which its architecture does not list` });
  return value;
}

function bytes(values: Float32Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}
