// The opcodes that are read, with the form of their argument. Not listed, and therefore refused: INST,
// OBJ, EXT1, EXT2, EXT4, PERSID, NEWOBJ_EX, NEXT_BUFFER, READONLY_BUFFER.
// Source: CPython's Lib/pickletools.py.
import type { ByteCursor } from '../byte-cursor.ts';
import { FormatError } from '../errors.ts';

/** A number is a fixed count of bytes; `size…` a length followed by so many bytes. */
export type Argument = number | 'line' | 'two-lines' | 'size1' | 'size4' | 'size8';

export const OP = {
  MARK: 0x28, EMPTY_TUPLE: 0x29, STOP: 0x2e, POP: 0x30, POP_MARK: 0x31, DUP: 0x32,
  BINBYTES: 0x42, SHORT_BINBYTES: 0x43, FLOAT: 0x46, BINFLOAT: 0x47, INT: 0x49, BININT: 0x4a, BININT1: 0x4b, LONG: 0x4c, BININT2: 0x4d,
  NONE: 0x4e, BINPERSID: 0x51, REDUCE: 0x52, STRING: 0x53, BINSTRING: 0x54, SHORT_BINSTRING: 0x55, UNICODE: 0x56, BINUNICODE: 0x58,
  EMPTY_LIST: 0x5d, APPEND: 0x61, BUILD: 0x62, GLOBAL: 0x63, DICT: 0x64, APPENDS: 0x65, GET: 0x67, BINGET: 0x68, LONG_BINGET: 0x6a,
  LIST: 0x6c, PUT: 0x70, BINPUT: 0x71, LONG_BINPUT: 0x72, SETITEM: 0x73, TUPLE: 0x74, SETITEMS: 0x75, EMPTY_DICT: 0x7d,
  PROTO: 0x80, NEWOBJ: 0x81, TUPLE1: 0x85, TUPLE2: 0x86, TUPLE3: 0x87, NEWTRUE: 0x88, NEWFALSE: 0x89, LONG1: 0x8a, LONG4: 0x8b,
  SHORT_BINUNICODE: 0x8c, BINUNICODE8: 0x8d, BINBYTES8: 0x8e, EMPTY_SET: 0x8f, ADDITEMS: 0x90, FROZENSET: 0x91,
  STACK_GLOBAL: 0x93, MEMOIZE: 0x94, FRAME: 0x95, BYTEARRAY8: 0x96,
} as const;

const WITH_ARGUMENT: readonly (readonly [number, Argument])[] = [
  [OP.BINBYTES, 'size4'], [OP.SHORT_BINBYTES, 'size1'], [OP.FLOAT, 'line'], [OP.BINFLOAT, 8], [OP.INT, 'line'], [OP.BININT, 4], [OP.BININT1, 1],
  [OP.LONG, 'line'], [OP.BININT2, 2], [OP.STRING, 'line'], [OP.BINSTRING, 'size4'], [OP.SHORT_BINSTRING, 'size1'], [OP.UNICODE, 'line'],
  [OP.BINUNICODE, 'size4'], [OP.GLOBAL, 'two-lines'], [OP.GET, 'line'], [OP.BINGET, 1], [OP.LONG_BINGET, 4], [OP.PUT, 'line'], [OP.BINPUT, 1],
  [OP.LONG_BINPUT, 4], [OP.PROTO, 1], [OP.LONG1, 'size1'], [OP.LONG4, 'size4'], [OP.SHORT_BINUNICODE, 'size1'], [OP.BINUNICODE8, 'size8'],
  [OP.BINBYTES8, 'size8'], [OP.FRAME, 8], [OP.BYTEARRAY8, 'size8'],
];

const ARGUMENTS: ReadonlyMap<number, Argument> = new Map<number, Argument>([
  ...Object.values(OP).map((code): [number, Argument] => [code, 0]),
  ...WITH_ARGUMENT,
]);

/** Far more than any pickler shares, and below what a JavaScript set can hold. */
const MAX_MEMO_USED = 8_000_000;
/** Longest line of the text opcodes: a name or a number. */
export const MAX_LINE = 65_536;

/** The next opcode; refuses those that are not listed. */
export function nextOpcode(cursor: ByteCursor): number {
  const offset = cursor.offset;
  const code = cursor.u8('the pickle');
  if (ARGUMENTS.has(code)) return code;
  throw new FormatError({
    code: 'FORMAT_FORBIDDEN', file: cursor.range.file, offset,
    what: `the pickle uses the opcode 0x${code.toString(16).padStart(2, '0')}`,
    why: 'only opcodes that build plain data are read',
    todo: 'do not load this file elsewhere before you know who made it',
  });
}

/** The length that stands before an opcode's bytes. */
export function payloadLength(cursor: ByteCursor, kind: 'size1' | 'size4' | 'size8'): number {
  if (kind === 'size1') return cursor.u8('a length');
  return kind === 'size4' ? cursor.u32('a length') : cursor.size('a length');
}

/**
 * The memo entries that a pickle ever reads back. Picklers memoise every object; keeping only these lets
 * the temporaries of millions of rows go.
 */
export function memoEntriesUsed(cursor: ByteCursor): ReadonlySet<number> {
  const used = new Set<number>();
  for (;;) {
    const offset = cursor.offset;
    const code = nextOpcode(cursor);
    if (code === OP.STOP) return used;
    if (used.size > MAX_MEMO_USED) throw new FormatError({ code: 'FORMAT_LIMIT', file: cursor.range.file, offset, what: `the pickle reads back more than ${MAX_MEMO_USED} values` });
    if (code === OP.BINGET) used.add(cursor.u8('a memo index'));
    else if (code === OP.LONG_BINGET) used.add(cursor.u32('a memo index'));
    else if (code === OP.GET) used.add(Number(cursor.line(MAX_LINE, 'a memo index')));
    else skipArgument(cursor, ARGUMENTS.get(code) ?? 0);
  }
}

function skipArgument(cursor: ByteCursor, argument: Argument): void {
  if (typeof argument === 'number') cursor.skip(argument, 'an argument');
  else if (argument === 'line') cursor.line(MAX_LINE, 'an argument');
  else if (argument === 'two-lines') {
    cursor.line(MAX_LINE, 'a module');
    cursor.line(MAX_LINE, 'a name');
  } else cursor.skip(payloadLength(cursor, argument), 'an argument');
}
