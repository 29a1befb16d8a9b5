// Walks through a ByteRange from front to back with a window of 64 KiB: numbers, strings and lines for
// the readers of pickles and GGUF headers. Large payloads are stepped over, not read.
import type { ByteRange } from './byte-range.ts';
import { FormatError } from './errors.ts';

const WINDOW = 65_536;
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export class ByteCursor {
  readonly range: ByteRange;
  /** Position in the range. */
  at: number;
  #window = new Uint8Array(0);
  #windowStart = 0;
  #view = new DataView(this.#window.buffer);

  constructor(range: ByteRange, at = 0) {
    this.range = range;
    this.at = at;
  }

  /** Position in the file, for error messages. */
  get offset(): number {
    return this.range.start + this.at;
  }

  get remaining(): number {
    return this.range.size - this.at;
  }

  u8(what = 'a byte'): number {
    return this.#take(1, what).getUint8(this.#local(1));
  }

  i8(what: string): number {
    return this.#take(1, what).getInt8(this.#local(1));
  }

  u16(what: string): number {
    return this.#take(2, what).getUint16(this.#local(2), true);
  }

  i16(what: string): number {
    return this.#take(2, what).getInt16(this.#local(2), true);
  }

  u32(what: string): number {
    return this.#take(4, what).getUint32(this.#local(4), true);
  }

  i32(what: string): number {
    return this.#take(4, what).getInt32(this.#local(4), true);
  }

  u64(what: string): bigint {
    return this.#take(8, what).getBigUint64(this.#local(8), true);
  }

  i64(what: string): bigint {
    return this.#take(8, what).getBigInt64(this.#local(8), true);
  }

  f32(what: string): number {
    return this.#take(4, what).getFloat32(this.#local(4), true);
  }

  f64(what: string, littleEndian = true): number {
    return this.#take(8, what).getFloat64(this.#local(8), littleEndian);
  }

  /** A 64-bit length or count; one beyond 2^53 cannot fit any file. */
  size(what: string): number {
    const offset = this.offset;
    const value = this.u64(what);
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) {
      throw new FormatError({ code: 'FORMAT_INVALID', file: this.range.file, offset, what: `${what} is ${value}`, why: 'no file is that large' });
    }
    return Number(value);
  }

  /** A copy of the next bytes. */
  bytes(length: number, what: string): Uint8Array {
    if (length <= WINDOW) {
      this.#take(length, what);
      const local = this.#local(length);
      return this.#window.slice(local, local + length);
    }
    const bytes = this.range.read(this.at, length, what);
    this.at += length;
    return bytes;
  }

  /** The next bytes as a range, unread. */
  skip(length: number, what: string): ByteRange {
    const part = this.range.slice(this.at, length, what);
    this.at += length;
    return part;
  }

  /** UTF-8 of the next `length` bytes. */
  text(length: number, what: string): string {
    const offset = this.offset;
    const bytes = this.bytes(length, what);
    try {
      return utf8.decode(bytes);
    } catch (cause) {
      throw new FormatError({ code: 'FORMAT_INVALID', file: this.range.file, offset, what: `${what} is not UTF-8`, cause });
    }
  }

  /** Bytes up to the next newline, which is stepped over; as latin-1. */
  line(limit: number, what: string): string {
    const offset = this.offset;
    let text = '';
    for (;;) {
      const byte = this.u8(what);
      if (byte === 10) return text;
      if (text.length >= limit) {
        throw new FormatError({ code: 'FORMAT_LIMIT', file: this.range.file, offset, what: `${what} is longer than ${limit} bytes` });
      }
      text += String.fromCharCode(byte);
    }
  }

  /** Makes the window cover the next `length` bytes and steps over them. */
  #take(length: number, what: string): DataView {
    const local = this.at - this.#windowStart;
    if (local < 0 || local + length > this.#window.length) {
      const wanted = Math.max(length, Math.min(WINDOW, this.range.size - this.at));
      this.#window = this.range.read(this.at, wanted, what) as Uint8Array<ArrayBuffer>;
      this.#windowStart = this.at;
      this.#view = new DataView(this.#window.buffer);
    }
    this.at += length;
    return this.#view;
  }

  /** Where the bytes just taken begin in the window. */
  #local(length: number): number {
    return this.at - length - this.#windowStart;
  }
}
