// What a pickle can hold here: plain values, byte ranges that stay in the file, and the few torch and
// numpy things that the closed list of classes makes. All are inert data.
import type { ByteRange } from '../byte-range.ts';
import type { DType } from '../types.ts';

export type PickleValue =
  | null | boolean | number | bigint | string
  | ByteRange
  | PickleValue[]
  | Map<PickleValue, PickleValue>
  | Set<PickleValue>
  | PickledTensor | PickledStorage | PickledArray | PickledDType | PickledClass | PickledRecord;

/** A name from the closed list that stands on the stack until it is called. */
export class PickledClass {
  readonly name: string;
  /** The torch storage's element type; null for every other class and for untyped bytes. */
  readonly dtype: DType | null;
  readonly call: ((args: readonly PickleValue[], context: CallContext) => PickleValue) | null;

  constructor(name: string, call: PickledClass['call'], dtype: DType | null = null) {
    this.name = name;
    this.call = call;
    this.dtype = dtype;
  }
}

/** What a class's function may ask of the reader. */
export interface CallContext {
  readonly file: string;
  /** Bytes of memory that the call is about to take. */
  charge(bytes: number): void;
  /** Reads a `torch.save` stream that stands inside the pickle. */
  nested(bytes: ByteRange): PickleValue;
  /** Makes the error for a wrong argument. */
  invalid(what: string): Error;
  unsupported(what: string): Error;
}

/** Elements of one torch storage; `bytes` is set once their place is known. */
export class PickledStorage {
  /** Null for an untyped storage, whose elements are bytes. */
  readonly dtype: DType | null;
  readonly elements: number;
  bytes: ByteRange | null = null;

  constructor(dtype: DType | null, elements: number) {
    this.dtype = dtype;
    this.elements = elements;
  }
}

/** A torch tensor: a view of a storage. Not checked before it is located. */
export class PickledTensor {
  readonly storage: PickledStorage;
  readonly dtype: DType;
  /** In elements. */
  readonly first: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];

  constructor(storage: PickledStorage, dtype: DType, first: number, shape: readonly number[], strides: readonly number[]) {
    this.storage = storage;
    this.dtype = dtype;
    this.first = first;
    this.shape = shape;
    this.strides = strides;
  }
}

/** A numpy dtype; `code` is its letter and size ('f4'). */
export class PickledDType {
  readonly code: string;
  bigEndian = false;

  constructor(code: string) {
    this.code = code;
  }
}

/** A numpy array; empty until BUILD has given its state. */
export class PickledArray {
  dtype: DType = 'F32';
  shape: readonly number[] = [0];
  fortranOrder = false;
  bytes: ByteRange | null = null;
}

/** An object of a known class that is kept as its name and state only (optimizers, schedulers). */
export class PickledRecord {
  readonly name: string;
  state: PickleValue = null;

  constructor(name: string) {
    this.name = name;
  }
}
