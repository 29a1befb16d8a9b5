// The authors' `cc3m_embeddings*.pkl`: a pickle of {'paths': [...], 'embeddings': rows}, where the rows
// are one array, a list of arrays or a list of torch tensors. Rows are read one after the other from the
// file, so three gigabytes of them need no three gigabytes of memory.
import type { ByteRange } from './byte-range.ts';
import { WeightFile } from './byte-range.ts';
import { BLOCKS, toFloat32 } from './dequantize.ts';
import { FormatError } from './errors.ts';
import { PickleBudget } from './pickle/budget.ts';
import { unpickle } from './pickle/reader.ts';
import { PickledArray, PickledStorage, PickledTensor } from './pickle/values.ts';
import type { PickleValue } from './pickle/values.ts';
import { closingOnError } from './store.ts';
import { contiguousStrides, countElements, gather, viewSpan } from './tensor-layout.ts';
import { locateTensor } from './torch.ts';
import { isLegacyTorch, readLegacyTorch } from './torch-legacy.ts';
import type { DType } from './types.ts';

/** Names and row descriptions of some millions of pictures, temporaries included. */
const BUDGET_BYTES = 8 * 2 ** 30;
/** Rows of one array that are read at once. */
const CHUNK_BYTES = 4 * 2 ** 20;

/** Pictures' names and their embeddings; open until `close`. */
export interface EmbeddingsPickle {
  readonly paths: readonly string[];
  /** Rows, equal to the number of paths. */
  readonly count: number;
  /** Numbers per row. */
  readonly dim: number;
  /** The rows in order, float32 `[dim]` each; the caller owns them. May be called again. */
  rows(): Generator<Float32Array, void, undefined>;
  close(): void;
}

/** Rows that lie together. */
interface Block {
  readonly rows: number;
  readonly dim: number;
  read(first: number, count: number): Float32Array;
}

/** Opens such a pickle; reads names and places, no rows. @throws FormatError */
export function readEmbeddingsPickle(path: string): EmbeddingsPickle {
  const weightFile = new WeightFile(path);
  return closingOnError(weightFile, (file) => {
    const invalid = (what: string): FormatError => new FormatError({ code: 'FORMAT_INVALID', file: file.file, what });
    const root = readRoot(file);
    if (!(root instanceof Map)) throw invalid('the pickle holds no dict');
    const paths = root.get('paths');
    const embeddings = root.get('embeddings');
    if (!isTexts(paths)) throw invalid("'paths' is no list of texts");
    const blocks = Array.isArray(embeddings) ? [...blocksOfList(embeddings, file)] : [blockOf(embeddings ?? null, file, false)];
    const count = blocks.reduce((sum, block) => sum + block.rows, 0);
    const dim = blocks[0]?.dim ?? 0;
    const odd = blocks.find((block) => block.dim !== dim);
    if (odd !== undefined) throw invalid(`embeddings have ${dim} and ${odd.dim} numbers`);
    if (count !== paths.length) throw invalid(`there are ${paths.length} paths and ${count} embeddings`);
    return { paths, count, dim, rows: () => rowsOf(blocks, dim), close: () => file.close() };
  });
}

function readRoot(file: WeightFile): PickleValue {
  const budget = new PickleBudget(BUDGET_BYTES);
  return unpickle(file.range(), 0, {
    budget,
    nested(bytes) {
      if (!isLegacyTorch(bytes.read(0, Math.min(8, bytes.size), 'a torch stream'))) {
        throw new FormatError({ code: 'FORMAT_UNSUPPORTED', file: bytes.file, offset: bytes.start, what: 'a stream inside the pickle is not torch.save\'s' });
      }
      return readLegacyTorch(bytes, budget);
    },
  }).value;
}

function isTexts(value: PickleValue | undefined): value is string[] {
  return Array.isArray(value) && value.every((entry) => typeof entry === 'string');
}

/**
 * The rows of a list. Plain rows of one size become one block of places, eight bytes each: millions of
 * small objects would take as much memory as the rows.
 */
function* blocksOfList(list: readonly PickleValue[], file: WeightFile): Generator<Block, void, undefined> {
  let at = 0;
  while (at < list.length) {
    const first = plainRow(list[at] ?? null, file);
    if (first === null) {
      yield blockOf(list[at++] ?? null, file, true);
      continue;
    }
    const starts: number[] = [];
    for (let row: PlainRow | null = first; row?.dtype === first.dtype && row.dim === first.dim; row = plainRow(list[at] ?? null, file)) {
      starts.push(row.start);
      at++;
    }
    yield placedRows(file, Float64Array.from(starts), first.dim, first.dtype);
  }
}

interface PlainRow {
  readonly start: number;
  readonly dim: number;
  readonly dtype: DType;
}

/** A `[dim]` vector whose elements lie side by side in the file; null for all others. */
function plainRow(value: PickleValue, file: WeightFile): PlainRow | null {
  if (!(value instanceof PickledArray) && !(value instanceof PickledTensor)) return null;
  const { range, dtype, shape, strides } = viewOf(value, file);
  const [dim = 0] = shape;
  return shape.length === 1 && range.inFile && dim > 0 && (strides[0] === 1 || dim === 1) ? { start: range.start, dim, dtype } : null;
}

function placedRows(file: WeightFile, starts: Float64Array, dim: number, dtype: DType): Block {
  const rowBytes = dim * BLOCKS[dtype].bytes;
  return {
    rows: starts.length,
    dim,
    read(first, count) {
      const values = new Float32Array(count * dim);
      for (let row = 0; row < count; row++) values.set(toFloat32(file.read(starts[first + row] ?? 0, rowBytes, 'an embedding'), dtype), row * dim);
      return values;
    },
  };
}

/** An array or tensor as rows; `single` when it stands in a list, where `[dim]` is one row. */
function blockOf(value: PickleValue, file: WeightFile, single: boolean): Block {
  const { range, dtype, shape, strides } = viewOf(value, file);
  const flat = shape.length === 1 && single;
  const rows = flat ? 1 : shape[0] ?? 0;
  const dim = flat ? shape[0] ?? 0 : shape[1] ?? 0;
  if (!flat && shape.length !== 2) throw new FormatError({ code: 'FORMAT_SHAPE', file: file.file, offset: range.start, what: `embeddings are [${shape.join(', ')}], [rows, dim] was expected` });
  const rowStride = flat ? 0 : strides[0] ?? 0;
  const columnStride = strides[flat ? 0 : 1] ?? 0;
  const itemBytes = BLOCKS[dtype].bytes;
  return {
    rows,
    dim,
    read(first, count) {
      if (count === 0 || dim === 0) return new Float32Array(count * dim);
      const span = (count - 1) * rowStride + (dim - 1) * columnStride + 1;
      const bytes = range.read(first * rowStride * itemBytes, span * itemBytes, 'embeddings');
      return toFloat32(gather(bytes, itemBytes, [count, dim], [rowStride, columnStride]), dtype);
    },
  };
}

function viewOf(value: PickleValue, file: WeightFile): { range: ByteRange; dtype: DType; shape: readonly number[]; strides: readonly number[] } {
  if (value instanceof PickledTensor) {
    const { range } = locateTensor(value, 'an embedding', file.file, file.size);
    return { range, dtype: value.dtype, shape: value.shape, strides: value.strides };
  }
  if (value instanceof PickledArray && value.bytes !== null) {
    const place = { file: file.file, offset: value.bytes.start, name: 'embeddings' };
    countElements(value.shape, place);
    const strides = value.fortranOrder ? contiguousStrides([...value.shape].reverse()).reverse() : contiguousStrides(value.shape);
    viewSpan(value.shape, strides, BLOCKS[value.dtype].bytes, Math.max(file.size, value.bytes.size), place);
    return { range: value.bytes, dtype: value.dtype, shape: value.shape, strides };
  }
  throw new FormatError({ code: 'FORMAT_INVALID', file: file.file, what: `'embeddings' holds ${value instanceof PickledStorage ? 'a bare storage' : 'something that is no array'}` });
}

function* rowsOf(blocks: readonly Block[], dim: number): Generator<Float32Array, void, undefined> {
  const chunk = Math.max(1, Math.floor(CHUNK_BYTES / 4 / Math.max(1, dim)));
  for (const block of blocks) {
    for (let first = 0; first < block.rows; first += chunk) {
      const count = Math.min(chunk, block.rows - first);
      const values = block.read(first, count);
      for (let row = 0; row < count; row++) yield values.slice(row * dim, (row + 1) * dim);
    }
  }
}
