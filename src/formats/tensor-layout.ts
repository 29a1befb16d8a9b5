// Shapes and strides: element counts that cannot overflow, where a strided view begins and ends, and
// the copy that makes a view contiguous.
import { BLOCKS } from './dequantize.ts';
import { FormatError } from './errors.ts';
import type { DType } from './types.ts';

const MAX_RANK = 32;
/** A view may repeat elements (stride 0); this much is allowed even where the file is smaller. */
const REPEAT_ALLOWANCE_BYTES = 64 * 2 ** 20;

/** Where a layout is found to be wrong, for the error. */
export interface Place {
  readonly file: string;
  readonly offset: number;
  readonly name: string;
}

/** Product of the extents; `[]` is one element. */
export function countElements(shape: readonly number[], place: Place): number {
  if (shape.length > MAX_RANK) throw bad(place, `has ${shape.length} axes, at most ${MAX_RANK} are read`);
  let count = 1;
  for (const extent of shape) {
    if (!Number.isSafeInteger(extent) || extent < 0) throw bad(place, `has the extent ${extent}`);
    count *= extent;
    if (!Number.isSafeInteger(count)) throw bad(place, `has more elements than any file: [${shape.join(', ')}]`);
  }
  return count;
}

/** Bytes of a contiguous tensor; block formats need whole blocks along the last axis. */
export function countBytes(shape: readonly number[], dtype: DType, place: Place): number {
  const { elements, bytes } = BLOCKS[dtype];
  const count = countElements(shape, place);
  if (elements > 1 && (shape.at(-1) ?? 1) % elements !== 0) {
    throw bad(place, `has rows of ${shape.at(-1) ?? 1} elements, ${dtype} needs whole blocks of ${elements}`);
  }
  const total = (count / elements) * bytes;
  if (!Number.isSafeInteger(total)) throw bad(place, `has more bytes than any file: [${shape.join(', ')}]`);
  return total;
}

export function contiguousStrides(shape: readonly number[]): number[] {
  const strides = new Array<number>(shape.length);
  let step = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = step;
    step *= shape[axis] ?? 1;
  }
  return strides;
}

/** True when the strides walk the elements in row-major order; axes of length one do not matter. */
export function isContiguous(shape: readonly number[], strides: readonly number[]): boolean {
  const plain = contiguousStrides(shape);
  return shape.includes(0) || shape.every((extent, axis) => extent === 1 || strides[axis] === plain[axis]);
}

/**
 * Elements from the first to the last of a view, both included.
 *
 * @throws FormatError for negative strides and for views that repeat a small file into a huge tensor
 */
export function viewSpan(shape: readonly number[], strides: readonly number[], itemBytes: number, fileBytes: number, place: Place): number {
  const count = countElements(shape, place);
  if (strides.length !== shape.length) throw bad(place, `has ${shape.length} axes and ${strides.length} strides`);
  if (count === 0) return 0;
  let last = 0;
  for (const [axis, stride] of strides.entries()) {
    if (!Number.isSafeInteger(stride) || stride < 0) throw bad(place, `has the stride ${stride}`);
    last += ((shape[axis] ?? 1) - 1) * stride;
  }
  if (!Number.isSafeInteger(last)) throw bad(place, 'spans more than any file');
  if (count * itemBytes > Math.max(fileBytes, REPEAT_ALLOWANCE_BYTES)) {
    throw new FormatError({
      code: 'FORMAT_LIMIT', file: place.file, offset: place.offset,
      what: `${place.name} is a view of ${count} elements over ${last + 1}`, why: 'reading it would take more memory than the file has bytes',
    });
  }
  return last + 1;
}

/** The elements of a view in row-major order, `bytes` itself if they are; it holds the view from its first to its last element. */
export function gather(bytes: Uint8Array, itemBytes: number, shape: readonly number[], strides: readonly number[]): Uint8Array {
  if (isContiguous(shape, strides)) return bytes;
  const count = shape.reduce((product, extent) => product * extent, 1);
  const result = new Uint8Array(count * itemBytes);
  const index = new Array<number>(shape.length).fill(0);
  let from = 0;
  for (let to = 0; to < count; to++) {
    const at = from * itemBytes;
    for (let b = 0; b < itemBytes; b++) result[to * itemBytes + b] = bytes[at + b]!;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      index[axis]!++;
      from += strides[axis]!;
      if (index[axis]! < shape[axis]!) break;
      from -= shape[axis]! * strides[axis]!;
      index[axis] = 0;
    }
  }
  return result;
}

function bad(place: Place, what: string): FormatError {
  return new FormatError({ code: 'FORMAT_SHAPE', file: place.file, offset: place.offset, what: `${place.name} ${what}` });
}
