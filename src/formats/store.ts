// The one WeightStore behind all readers: a map of locations and the open files they point into.
import type { WeightFile } from './byte-range.ts';
import { BLOCKS, toFloat32 } from './dequantize.ts';
import { FormatError } from './errors.ts';
import { gather } from './tensor-layout.ts';
import type { TensorLocation, WeightStore } from './types.ts';

/** What a reader hands over once its header is checked; the store owns the files from then on. */
export interface StoreParts {
  /** Path the caller opened, for errors. */
  readonly path: string;
  readonly files: readonly WeightFile[];
  readonly tensors: ReadonlyMap<string, TensorLocation>;
  readonly metadata: Readonly<Record<string, unknown>>;
}

/** A store over locations that were checked against the sizes of their files. */
export function makeStore(parts: StoreParts): WeightStore {
  const byPath = new Map(parts.files.map((file) => [file.file, file]));

  function locate(name: string): TensorLocation {
    const found = parts.tensors.get(name);
    if (found !== undefined) return found;
    throw new FormatError({
      code: 'FORMAT_TENSOR_MISSING', file: parts.path,
      what: `there is no tensor ${JSON.stringify(name)} among ${parts.tensors.size}`,
      todo: 'check that the weights belong to the configuration',
    });
  }

  function read(location: TensorLocation, offset: number, length: number): Uint8Array {
    const file = byPath.get(location.file);
    if (file === undefined) throw new FormatError({ code: 'FORMAT_FILE', file: location.file, what: 'is not part of the opened weights' });
    return file.read(offset, length, `tensor ${location.name}`);
  }

  /** Rows of the leading axis, contiguous; `null` for the whole tensor. */
  function readPart(location: TensorLocation, rows: { readonly first: number; readonly count: number } | null): Uint8Array {
    const { bytes: blockBytes, elements } = BLOCKS[location.dtype];
    const shape = rows === null ? location.shape : [rows.count, ...location.shape.slice(1)];
    if (location.strides !== undefined) {
      const start = location.offset + (rows === null ? 0 : rows.first * (location.strides[0] ?? 0) * blockBytes);
      if (shape.includes(0)) return new Uint8Array(0);
      const span = shape.reduce((sum, extent, axis) => sum + (extent - 1) * (location.strides?.[axis] ?? 0), 1);
      return gather(read(location, start, span * blockBytes), blockBytes, shape, location.strides);
    }
    if (rows === null) return read(location, location.offset, location.byteLength);
    const rowBytes = (location.shape.slice(1).reduce((product, extent) => product * extent, 1) / elements) * blockBytes;
    return read(location, location.offset + rows.first * rowBytes, rows.count * rowBytes);
  }

  return {
    tensors: parts.tensors,
    metadata: parts.metadata,
    locate,
    readBytes: (name) => readPart(locate(name), null),
    readFloat32(name) {
      const location = locate(name);
      return toFloat32(readPart(location, null), location.dtype);
    },
    readRowsFloat32(name, first, count) {
      const location = locate(name);
      const rows = location.shape[0] ?? 0;
      // Blocks lie along the last axis: a vector of blocks has no rows that could be read alone.
      const whole = location.shape.length > 1 || BLOCKS[location.dtype].elements === 1;
      if (!whole || !Number.isSafeInteger(first) || !Number.isSafeInteger(count) || first < 0 || count < 0 || first + count > rows) {
        throw new FormatError({
          code: 'FORMAT_RANGE', file: location.file, offset: location.offset,
          what: `${name} is [${location.shape.join(', ')}], rows ${first} to ${first + count} were asked for`,
        });
      }
      return toFloat32(readPart(location, { first, count }), location.dtype);
    },
    close() {
      for (const file of parts.files) file.close();
    },
  };
}

/** Runs a reader on freshly opened files and closes them if it fails. */
export function closingOnError<T>(file: WeightFile, read: (file: WeightFile) => T): T {
  try {
    return read(file);
  } catch (error) {
    file.close();
    throw error;
  }
}

/** @throws FormatError `FORMAT_OVERLAP` when two pieces of one file share bytes */
export function checkOverlaps(file: string, pieces: Iterable<{ readonly name: string; readonly offset: number; readonly byteLength: number }>): void {
  const ordered = [...pieces].filter((piece) => piece.byteLength > 0).sort((a, b) => a.offset - b.offset);
  for (const [i, piece] of ordered.entries()) {
    const before = ordered[i - 1];
    if (before !== undefined && before.offset + before.byteLength > piece.offset) {
      throw new FormatError({
        code: 'FORMAT_OVERLAP', file, offset: piece.offset,
        what: `${piece.name} begins before ${before.name} ends (${before.offset + before.byteLength})`,
      });
    }
  }
}
