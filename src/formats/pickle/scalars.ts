// Numbers and strings of a pickle, binary and as lines of text (protocol 0).
import type { ByteCursor } from '../byte-cursor.ts';
import { MAX_LINE, OP, payloadLength } from './opcodes.ts';
import type { CallContext } from './values.ts';

/** Python's integers have no limit; real ones here are sizes and torch's ten-byte magic number. */
const MAX_LONG_BYTES = 1024;

export function readNumber(cursor: ByteCursor, code: number, context: CallContext): number | bigint | boolean {
  if (code === OP.BININT) return cursor.i32('a number');
  if (code === OP.BININT1) return cursor.u8('a number');
  if (code === OP.BININT2) return cursor.u16('a number');
  if (code === OP.BINFLOAT) return cursor.f64('a number', false);
  const line = cursor.line(MAX_LINE, 'a number');
  if (code === OP.FLOAT) {
    const value = Number(line);
    if (/^[+-]?(inf|nan)$/.test(line)) return line.includes('nan') ? NaN : line.startsWith('-') ? -Infinity : Infinity;
    if (line.trim() === '' || Number.isNaN(value)) throw context.invalid('a float is no number');
    return value;
  }
  // Protocol 0 writes booleans as these two integers.
  if (code === OP.INT && (line === '00' || line === '01')) return line === '01';
  const digits = line.replace(/L$/, '');
  if (!/^[+-]?\d{1,2000}$/.test(digits)) throw context.invalid('an integer is no number');
  return narrow(BigInt(digits));
}

/** Little-endian two's complement. */
export function readLong(cursor: ByteCursor, length: number, context: CallContext): number | bigint {
  if (length > MAX_LONG_BYTES) throw context.invalid(`an integer of ${length} bytes`);
  const bytes = cursor.bytes(length, 'an integer');
  let value = 0n;
  for (let i = length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i] ?? 0);
  return narrow(BigInt.asIntN(length * 8, value));
}

export function readString(cursor: ByteCursor, code: number, context: CallContext): string {
  if (code === OP.UNICODE) return unescapeRaw(cursor.line(MAX_LINE, 'a text'));
  if (code === OP.STRING) {
    const line = cursor.line(MAX_LINE, 'a text').trim();
    const quoted = /^'([^'\\]*)'$|^"([^"\\]*)"$/.exec(line);
    if (quoted === null) throw context.unsupported('a quoted text with escapes');
    return quoted[1] ?? quoted[2] ?? '';
  }
  const length = payloadLength(cursor, code === OP.SHORT_BINUNICODE || code === OP.SHORT_BINSTRING ? 'size1' : code === OP.BINUNICODE8 ? 'size8' : 'size4');
  if (length > cursor.remaining) cursor.skip(length, 'a text');
  context.charge(2 * length + 32);
  if (code === OP.BINSTRING || code === OP.SHORT_BINSTRING) return Buffer.from(cursor.bytes(length, 'a text')).toString('latin1');
  return cursor.text(length, 'a text');
}

export function parseInteger(line: string, context: CallContext): number {
  if (!/^\d{1,10}$/.test(line)) throw context.invalid('a memo index is no number');
  return Number(line);
}

/** Python's raw-unicode-escape: \uXXXX and \UXXXXXXXX, all else latin-1. */
function unescapeRaw(line: string): string {
  return line.replace(/\\u([0-9a-fA-F]{4})|\\U0010([0-9a-fA-F]{4})|\\U000([0-9a-fA-F]{5})/g, (_match, short: string | undefined, top: string | undefined, long: string | undefined) =>
    String.fromCodePoint(top === undefined ? parseInt(short ?? long ?? '0', 16) : 0x100000 + parseInt(top, 16)));
}

function narrow(value: bigint): number | bigint {
  return value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value;
}
