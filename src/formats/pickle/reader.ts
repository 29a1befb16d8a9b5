// The one pickle reader: a stack machine for protocols 0 to 5 that builds plain data and executes
// nothing. Opcodes and classes come from closed lists; byte strings stay where they are in the file.
import { ByteCursor } from '../byte-cursor.ts';
import type { ByteRange } from '../byte-range.ts';
import { FormatError } from '../errors.ts';
import { PickleBudget } from './budget.ts';
import { CLASSES } from './classes.ts';
import { setArrayState, setDTypeState } from './numpy.ts';
import { MAX_LINE, memoEntriesUsed, nextOpcode, OP, payloadLength } from './opcodes.ts';
import { parseInteger, readLong, readNumber, readString } from './scalars.ts';
import { PickledArray, PickledClass, PickledDType, PickledRecord } from './values.ts';
import type { CallContext, PickleValue } from './values.ts';

/** Above this size a first pass finds which memo entries are needed. */
const TWO_PASS_BYTES = 4 * 2 ** 20;
/** Rough bytes of an empty list, tuple, dict or set, and of one entry. */
const CONTAINER_BYTES = 64;
const ENTRY_BYTES = 32;
/** Below what a JavaScript map can hold. */
const MAX_KEYS = 8_000_000;

export interface PickleOptions {
  /** Turns torch's persistent ids into storages; without it BINPERSID is refused. */
  readonly persistentLoad?: (id: PickleValue, fail: (what: string) => FormatError) => PickleValue;
  /** Reads a `torch.save` stream inside the pickle; without it such a call is refused. */
  readonly nested?: (bytes: ByteRange) => PickleValue;
  readonly budget?: PickleBudget;
}

/** Default for a pickle beside tensors. */
export const CHECKPOINT_BUDGET_BYTES = 256 * 2 ** 20;

/**
 * Reads one pickle from `at` on.
 *
 * @returns the value and the position behind STOP
 * @throws FormatError `FORMAT_FORBIDDEN` for opcodes and classes outside the lists
 */
export function unpickle(range: ByteRange, at = 0, options: PickleOptions = {}): { value: PickleValue; end: number } {
  const used = range.size - at > TWO_PASS_BYTES ? memoEntriesUsed(new ByteCursor(range, at)) : null;
  return new Machine(new ByteCursor(range, at), options, used).run();
}

class Machine implements CallContext {
  readonly file: string;
  readonly #cursor: ByteCursor;
  readonly #options: PickleOptions;
  readonly #budget: PickleBudget;
  readonly #memo = new Map<number, PickleValue>();
  readonly #memoUsed: ReadonlySet<number> | null;
  #memoCount = 0;
  #stack: PickleValue[] = [];
  /** Stack heights at the open marks. */
  #marks: number[] = [];
  #opcodeOffset = 0;

  constructor(cursor: ByteCursor, options: PickleOptions, memoUsed: ReadonlySet<number> | null) {
    this.file = cursor.range.file;
    this.#cursor = cursor;
    this.#options = options;
    this.#budget = options.budget ?? new PickleBudget(CHECKPOINT_BUDGET_BYTES);
    this.#memoUsed = memoUsed;
  }

  run(): { value: PickleValue; end: number } {
    for (;;) {
      this.#opcodeOffset = this.#cursor.offset;
      const code = nextOpcode(this.#cursor);
      if (code === OP.STOP) return { value: this.#pop(), end: this.#cursor.at };
      this.#step(code);
    }
  }

  charge(bytes: number): void {
    this.#budget.charge(bytes, this.file, this.#opcodeOffset);
  }

  nested(bytes: ByteRange): PickleValue {
    if (this.#options.nested === undefined) throw this.unsupported('a torch.save stream inside the pickle');
    this.charge(bytes.inFile ? 256 : bytes.size);
    return this.#options.nested(bytes);
  }

  invalid(what: string): FormatError {
    return new FormatError({ code: 'FORMAT_INVALID', file: this.file, offset: this.#opcodeOffset, what: `the pickle is wrong: ${what}` });
  }

  unsupported(what: string): FormatError {
    return new FormatError({ code: 'FORMAT_UNSUPPORTED', file: this.file, offset: this.#opcodeOffset, what: `${what} is not read` });
  }

  #step(code: number): void {
    const cursor = this.#cursor;
    switch (code) {
      case OP.PROTO: {
        const protocol = cursor.u8('the protocol');
        if (protocol > 5) throw this.unsupported(`pickle protocol ${protocol}`);
        return;
      }
      // Frames only help a reader that reads ahead.
      case OP.FRAME: cursor.size('the length of a frame'); return;
      case OP.MARK: this.charge(8); this.#marks.push(this.#stack.length); return;
      case OP.POP: {
        if (this.#marks.at(-1) === this.#stack.length) this.#marks.pop();
        else this.#pop();
        return;
      }
      case OP.POP_MARK: this.#popMark(); return;
      case OP.DUP: this.#push(this.#peek()); return;
      case OP.NONE: this.#push(null); return;
      case OP.NEWTRUE: this.#push(true); return;
      case OP.NEWFALSE: this.#push(false); return;

      case OP.INT: case OP.LONG: case OP.FLOAT: case OP.BININT: case OP.BININT1: case OP.BININT2: case OP.BINFLOAT:
        this.#push(readNumber(cursor, code, this)); return;
      case OP.LONG1: this.#push(readLong(cursor, payloadLength(cursor, 'size1'), this)); return;
      case OP.LONG4: this.#push(readLong(cursor, payloadLength(cursor, 'size4'), this)); return;
      case OP.STRING: case OP.UNICODE: case OP.BINSTRING: case OP.SHORT_BINSTRING: case OP.BINUNICODE: case OP.SHORT_BINUNICODE: case OP.BINUNICODE8:
        this.#push(readString(cursor, code, this)); return;
      case OP.BINBYTES: this.#pushBytes(payloadLength(cursor, 'size4')); return;
      case OP.SHORT_BINBYTES: this.#pushBytes(payloadLength(cursor, 'size1')); return;
      case OP.BINBYTES8: case OP.BYTEARRAY8: this.#pushBytes(payloadLength(cursor, 'size8')); return;

      case OP.EMPTY_LIST: case OP.EMPTY_TUPLE: this.#pushNew([]); return;
      case OP.EMPTY_DICT: this.#pushNew(new Map()); return;
      case OP.EMPTY_SET: this.#pushNew(new Set()); return;
      case OP.LIST: case OP.TUPLE: this.#pushNew(this.#popMark()); return;
      case OP.TUPLE1: this.#pushNew(this.#popMany(1)); return;
      case OP.TUPLE2: this.#pushNew(this.#popMany(2)); return;
      case OP.TUPLE3: this.#pushNew(this.#popMany(3)); return;
      case OP.FROZENSET: this.#pushNew(new Set(this.#popMark())); return;
      case OP.DICT: {
        const map = new Map<PickleValue, PickleValue>();
        this.#setItems(map, this.#popMark());
        this.#pushNew(map);
        return;
      }
      case OP.APPEND: this.#append(this.#popMany(1)); return;
      case OP.APPENDS: this.#append(this.#popMark()); return;
      case OP.SETITEM: { const pair = this.#popMany(2); this.#setItems(this.#peek(), pair); return; }
      case OP.SETITEMS: { const pairs = this.#popMark(); this.#setItems(this.#peek(), pairs); return; }
      case OP.ADDITEMS: {
        const items = this.#popMark();
        const set = this.#peek();
        if (!(set instanceof Set)) throw this.invalid('ADDITEMS without a set');
        this.charge(ENTRY_BYTES * items.length);
        if (set.size + items.length > MAX_KEYS) throw this.invalid(`a set of more than ${MAX_KEYS} values`);
        for (const item of items) set.add(item);
        return;
      }

      case OP.MEMOIZE: this.#memoize(this.#memoCount); return;
      case OP.PUT: this.#memoize(parseInteger(cursor.line(MAX_LINE, 'a memo index'), this)); return;
      case OP.BINPUT: this.#memoize(cursor.u8('a memo index')); return;
      case OP.LONG_BINPUT: this.#memoize(cursor.u32('a memo index')); return;
      case OP.GET: this.#recall(parseInteger(cursor.line(MAX_LINE, 'a memo index'), this)); return;
      case OP.BINGET: this.#recall(cursor.u8('a memo index')); return;
      case OP.LONG_BINGET: this.#recall(cursor.u32('a memo index')); return;

      case OP.GLOBAL: this.#pushClass(cursor.line(MAX_LINE, 'a module'), cursor.line(MAX_LINE, 'a name')); return;
      case OP.STACK_GLOBAL: {
        const [module, name] = this.#popMany(2);
        if (typeof module !== 'string' || typeof name !== 'string') throw this.invalid('a class is named by something that is no text');
        this.#pushClass(module, name);
        return;
      }
      case OP.REDUCE: case OP.NEWOBJ: {
        const [callee, args] = this.#popMany(2);
        this.#push(this.#call(callee ?? null, args ?? null));
        return;
      }
      case OP.BUILD: { const [state] = this.#popMany(1); this.#build(this.#peek(), state ?? null); return; }
      case OP.BINPERSID: {
        const load = this.#options.persistentLoad;
        if (load === undefined) throw this.unsupported('a persistent id');
        this.charge(CONTAINER_BYTES);
        this.#push(load(this.#pop(), (what) => this.invalid(what)));
        return;
      }
      default: throw this.invalid(`opcode ${code}`);
    }
  }

  #call(callee: PickleValue, args: PickleValue): PickleValue {
    if (!(callee instanceof PickledClass) || callee.call === null) {
      throw this.#forbidden(callee instanceof PickledClass ? `calls ${callee.name}` : 'calls something that is no class');
    }
    if (!Array.isArray(args)) throw this.invalid('the arguments of a call are no tuple');
    this.charge(2 * CONTAINER_BYTES);
    return callee.call(args, this);
  }

  #build(target: PickleValue, state: PickleValue): void {
    if (target instanceof PickledArray) setArrayState(target, state, this);
    else if (target instanceof PickledDType) setDTypeState(target, state, this);
    else if (target instanceof PickledRecord) target.state = state;
    // A dict subclass's own attributes (a state dict's _metadata) are of no use here.
    else if (!(target instanceof Map) && !(target instanceof Set)) throw this.#forbidden('sets the state of something that has none');
  }

  #pushClass(module: string, name: string): void {
    const found = CLASSES.get(`${module} ${name}`);
    if (found === undefined) throw this.#forbidden(`names ${JSON.stringify(`${module}.${name}`.slice(0, 200))}`);
    this.#push(found);
  }

  #forbidden(what: string): FormatError {
    return new FormatError({
      code: 'FORMAT_FORBIDDEN', file: this.file, offset: this.#opcodeOffset, what: `the pickle ${what}`,
      why: 'only classes that hold weights and plain data are read',
      todo: 'do not load this file elsewhere before you know who made it',
    });
  }

  #pushBytes(length: number): void {
    this.charge(CONTAINER_BYTES);
    this.#push(this.#cursor.skip(length, 'a byte string'));
  }

  #pushNew(container: PickleValue[] | Map<PickleValue, PickleValue> | Set<PickleValue>): void {
    this.charge(CONTAINER_BYTES + (Array.isArray(container) ? 8 * container.length : ENTRY_BYTES * container.size));
    this.#push(container);
  }

  #push(value: PickleValue): void {
    this.charge(8);
    this.#stack.push(value);
  }

  #peek(): PickleValue {
    if (this.#stack.length <= (this.#marks.at(-1) ?? 0)) throw this.invalid('the stack is empty');
    return this.#stack.at(-1) ?? null;
  }

  #pop(): PickleValue {
    const value = this.#peek();
    this.#stack.pop();
    return value;
  }

  #popMany(count: number): PickleValue[] {
    if (this.#stack.length - (this.#marks.at(-1) ?? 0) < count) throw this.invalid('the stack is empty');
    return this.#stack.splice(this.#stack.length - count, count);
  }

  #popMark(): PickleValue[] {
    const mark = this.#marks.pop();
    if (mark === undefined) throw this.invalid('a mark is missing');
    return this.#stack.splice(mark);
  }

  #append(items: readonly PickleValue[]): void {
    const list = this.#peek();
    if (!Array.isArray(list)) throw this.invalid('APPEND without a list');
    this.charge(8 * items.length);
    for (const item of items) list.push(item);
  }

  #setItems(target: PickleValue, pairs: readonly PickleValue[]): void {
    if (!(target instanceof Map) || pairs.length % 2 !== 0) throw this.invalid('SETITEMS without a dict and pairs');
    this.charge(ENTRY_BYTES * pairs.length);
    if (target.size + pairs.length > MAX_KEYS) throw this.invalid(`a dict of more than ${MAX_KEYS} keys`);
    for (let i = 0; i < pairs.length; i += 2) {
      const key = pairs[i] ?? null;
      if (typeof key === 'string' && target.has(key)) {
        throw new FormatError({ code: 'FORMAT_DUPLICATE', file: this.file, offset: this.#opcodeOffset, what: `the key ${JSON.stringify(key.slice(0, 200))} stands twice` });
      }
      target.set(key, pairs[i + 1] ?? null);
    }
  }

  #memoize(index: number): void {
    this.#memoCount++;
    if (this.#memoUsed !== null && !this.#memoUsed.has(index)) return;
    this.charge(ENTRY_BYTES);
    this.#memo.set(index, this.#peek());
  }

  #recall(index: number): void {
    const value = this.#memo.get(index);
    if (value === undefined) throw this.invalid(`the memo has no entry ${index}`);
    this.#push(value);
  }
}
