// Reading pieces of a file by place: every read is checked against the size before memory is taken for
// it. A ByteRange is a piece of an open file (or of bytes already in memory) that is read when wanted.
import { closeSync, fstatSync, openSync, readSync, realpathSync, statSync } from 'node:fs';
import { FormatError } from './errors.ts';

/** The largest single read the system call takes. */
const READ_LIMIT = 2 ** 30;

/** A regular file opened for reading by place. The owner closes it. */
export class WeightFile {
  /** Absolute real path. */
  readonly file: string;
  /** Bytes, as they were when the file was opened. */
  readonly size: number;
  #handle: number | null;

  /** @throws FormatError `FORMAT_FILE` when the path is no readable regular file */
  constructor(path: string) {
    try {
      this.file = realpathSync(path);
      // Asked before opening: to open a named pipe would wait for a writer.
      if (!statSync(this.file).isFile()) throw new Error('it is not a regular file');
      this.#handle = openSync(this.file, 'r');
      this.size = fstatSync(this.#handle).size;
    } catch (cause) {
      throw unreadable(path, cause);
    }
  }

  /** The whole file as a range. */
  range(): ByteRange {
    return new ByteRange(this.file, this, 0, this.size);
  }

  /** @returns a buffer of its own; the caller owns it */
  read(offset: number, length: number, what: string): Uint8Array {
    if (this.#handle === null) {
      throw new FormatError({ code: 'FORMAT_CLOSED', file: this.file, what: `${what} was asked for after close()` });
    }
    checkWithin(this.file, 0, this.size, offset, length, what);
    const bytes = new Uint8Array(length);
    let done = 0;
    while (done < length) {
      let got: number;
      try {
        got = readSync(this.#handle, bytes, done, Math.min(READ_LIMIT, length - done), offset + done);
      } catch (cause) {
        throw unreadable(this.file, cause);
      }
      if (got === 0) throw truncated(this.file, offset + done, `${what} ends early, the file became shorter while open`);
      done += got;
    }
    return bytes;
  }

  close(): void {
    if (this.#handle === null) return;
    closeSync(this.#handle);
    this.#handle = null;
  }
}

/** `size` bytes from `start` of a file or of memory; nothing is read before `read`. */
export class ByteRange {
  readonly file: string;
  readonly start: number;
  readonly size: number;
  readonly #source: WeightFile | Uint8Array;

  constructor(file: string, source: WeightFile | Uint8Array, start: number, size: number) {
    this.file = file;
    this.#source = source;
    this.start = start;
    this.size = size;
  }

  /** True where the bytes lie in the file as they are, so that others may map them from `start`. */
  get inFile(): boolean {
    return this.#source instanceof WeightFile;
  }

  /** A copy of `length` bytes from `offset` of this range. */
  read(offset: number, length: number, what: string): Uint8Array {
    checkWithin(this.file, this.start, this.size, offset, length, what);
    if (this.#source instanceof WeightFile) return this.#source.read(this.start + offset, length, what);
    return this.#source.slice(this.start + offset, this.start + offset + length);
  }

  /** A part of this range; reads nothing. */
  slice(offset: number, length: number, what: string): ByteRange {
    checkWithin(this.file, this.start, this.size, offset, length, what);
    return new ByteRange(this.file, this.#source, this.start + offset, length);
  }
}

function checkWithin(file: string, start: number, size: number, offset: number, length: number, what: string): void {
  const sane = Number.isSafeInteger(offset) && Number.isSafeInteger(length) && offset >= 0 && length >= 0;
  if (sane && offset + length <= size) return;
  throw truncated(file, start + (sane ? Math.min(offset, size) : 0), `${what} needs bytes ${offset} to ${offset + length}, there are ${size}`);
}

function truncated(file: string, offset: number, what: string): FormatError {
  return new FormatError({
    code: 'FORMAT_TRUNCATED', file, offset, what,
    why: 'the file is cut short or its sizes are wrong',
    todo: 'fetch it again and compare its checksum',
  });
}

function unreadable(file: string, cause: unknown): FormatError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new FormatError({ code: 'FORMAT_FILE', file, what: `cannot be read: ${reason}`, cause });
}
