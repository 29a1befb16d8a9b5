// What the readers of weight files have in common: named tensors with their place in a file, so that
// ONNX Runtime can map them from where they are, and a way to read one as float32.

/** Element types as safetensors spells them, plus GGUF's block formats. */
export type DType =
  | 'F64' | 'F32' | 'F16' | 'BF16'
  | 'I64' | 'I32' | 'I16' | 'I8' | 'U8' | 'BOOL'
  | 'Q4_0' | 'Q4_1' | 'Q8_0';

/** One tensor and where its bytes lie. Little-endian, row-major. */
export interface TensorLocation {
  readonly name: string;
  readonly dtype: DType;
  /** Row-major extents; `[]` is a scalar. GGUF's reversed order is turned round by its reader. */
  readonly shape: readonly number[];
  /** Absolute real path. */
  readonly file: string;
  /** Bytes from the start of the file. */
  readonly offset: number;
  readonly byteLength: number;
  /** Present (in elements) only where the stored tensor is a strided view; `offset` is its first element. */
  readonly strides?: readonly number[];
}

/** Named tensors of one model, in one file or several. Opening reads headers only. */
export interface WeightStore {
  readonly tensors: ReadonlyMap<string, TensorLocation>;
  /** Header metadata (GGUF keys, safetensors `__metadata__`, scalars of a PyTorch checkpoint). */
  readonly metadata: Readonly<Record<string, unknown>>;
  /** @throws FormatError `FORMAT_TENSOR_MISSING` when there is no tensor of that name */
  locate(name: string): TensorLocation;
  /** The stored bytes, contiguous. The caller owns them. */
  readBytes(name: string): Uint8Array;
  /** Any dtype widened (or dequantised exactly) to float32, row-major. The caller owns it. */
  readFloat32(name: string): Float32Array;
  /** Rows `[first, first + count)` of the leading axis as float32: an embedding row without its table. */
  readRowsFloat32(name: string, first: number, count: number): Float32Array;
  close(): void;
}
