// numpy's part of the closed list: dtypes, arrays and scalars as its own __reduce__ writes them, in the
// spellings of numpy 1 (numpy.core) and 2 (numpy._core).
import { ByteRange } from '../byte-range.ts';
import { toFloat32 } from '../dequantize.ts';
import type { DType } from '../types.ts';
import { PickledArray, PickledClass, PickledDType } from './values.ts';
import type { CallContext, PickleValue } from './values.ts';

const CODES: Readonly<Record<string, DType>> = {
  f8: 'F64', f4: 'F32', f2: 'F16', i8: 'I64', i4: 'I32', i2: 'I16', i1: 'I8', u1: 'U8', b1: 'BOOL',
};

/** `numpy.dtype('f4', align, copy)`. */
export function dtypeOf(args: readonly PickleValue[], context: CallContext): PickleValue {
  const code = args[0];
  if (typeof code !== 'string') throw context.invalid('the name of a dtype was expected');
  const bare = code.replace(/^[<|=]/, '');
  if (!Object.hasOwn(CODES, bare)) throw context.unsupported(`the numpy dtype ${JSON.stringify(code.slice(0, 40))}`);
  return new PickledDType(bare);
}

/** BUILD of a dtype: (version, byte order, …). */
export function setDTypeState(dtype: PickledDType, state: PickleValue, context: CallContext): void {
  if (!Array.isArray(state)) throw context.invalid('the state of a dtype was expected');
  dtype.bigEndian = state[1] === '>';
}

/** `_reconstruct(ndarray, (0,), b'b')`: an array that BUILD fills. */
export function reconstruct(args: readonly PickleValue[], context: CallContext): PickleValue {
  if (!(args[0] instanceof PickledClass) || args[0].name !== 'numpy ndarray') throw context.invalid('numpy.ndarray was expected');
  return new PickledArray();
}

/** BUILD of an array: (version, shape, dtype, fortran order, data). */
export function setArrayState(array: PickledArray, state: PickleValue, context: CallContext): void {
  if (!Array.isArray(state) || state.length !== 5) throw context.invalid('the state of an array was expected');
  const [, shape, dtype, fortranOrder, data] = state;
  fill(array, data, dtype, shape, fortranOrder === true, context);
}

/** `_frombuffer(buffer, dtype, shape, order)`, protocol 5's form. */
export function frombuffer(args: readonly PickleValue[], context: CallContext): PickleValue {
  const [data, dtype, shape, order] = args;
  const array = new PickledArray();
  fill(array, data, dtype, shape, order === 'F', context);
  return array;
}

/** `scalar(dtype, bytes)` as a number. */
export function scalar(args: readonly PickleValue[], context: CallContext): PickleValue {
  const [dtype, data] = args;
  const type = elementType(dtype, context);
  if (!(data instanceof ByteRange) || data.size > 8) throw context.invalid('the bytes of a scalar were expected');
  const bytes = data.read(0, data.size, 'a numpy scalar');
  if (type === 'F64' && bytes.length === 8) return new Float64Array(bytes.buffer, bytes.byteOffset, 1)[0] ?? 0;
  if (type === 'I64' && bytes.length === 8) return Number(new BigInt64Array(bytes.buffer, bytes.byteOffset, 1)[0] ?? 0n);
  if (type === 'F64' || type === 'I64' || bytes.length !== itemBytes(type)) throw context.invalid('a numpy scalar has a wrong length');
  const value = toFloat32(bytes, type)[0] ?? 0;
  return type === 'BOOL' ? value === 1 : value;
}

function fill(array: PickledArray, data: PickleValue | undefined, dtype: PickleValue | undefined, shape: PickleValue | undefined, fortranOrder: boolean, context: CallContext): void {
  if (!(data instanceof ByteRange)) throw context.unsupported('a numpy array of objects');
  if (!Array.isArray(shape) || shape.length > 32) throw context.invalid('the shape of an array was expected');
  const extents = shape.map((extent) => {
    if (typeof extent !== 'number' || !Number.isSafeInteger(extent) || extent < 0) throw context.invalid('an array has a wrong extent');
    return extent;
  });
  array.dtype = elementType(dtype, context);
  const expected = extents.reduce((product, extent) => product * extent, itemBytes(array.dtype));
  if (expected !== data.size) throw context.invalid(`an array [${extents.join(', ')}] of ${array.dtype} is ${expected} bytes, ${data.size} are there`);
  array.shape = extents;
  array.fortranOrder = fortranOrder;
  array.bytes = data;
}

function elementType(dtype: PickleValue | undefined, context: CallContext): DType {
  if (!(dtype instanceof PickledDType)) throw context.invalid('a numpy dtype was expected');
  const type = CODES[dtype.code];
  if (type === undefined || dtype.bigEndian) throw context.unsupported(`a ${dtype.bigEndian ? 'big-endian ' : ''}numpy array of ${dtype.code}`);
  return type;
}

function itemBytes(dtype: DType): number {
  if (dtype === 'F64' || dtype === 'I64') return 8;
  if (dtype === 'F32' || dtype === 'I32') return 4;
  return dtype === 'F16' || dtype === 'I16' ? 2 : 1;
}
