// The closed list: every class and function that a pickle may name, and what each means here. Nothing is
// imported or called but the functions of this file. Names not listed are refused by the reader.
import { ByteRange } from '../byte-range.ts';
import type { DType } from '../types.ts';
import { dtypeOf, frombuffer, reconstruct, scalar } from './numpy.ts';
import { PickledClass, PickledRecord, PickledStorage, PickledTensor } from './values.ts';
import type { CallContext, PickleValue } from './values.ts';

type Call = PickledClass['call'];

const STORAGES: Readonly<Record<string, DType>> = {
  FloatStorage: 'F32', DoubleStorage: 'F64', HalfStorage: 'F16', BFloat16Storage: 'BF16',
  LongStorage: 'I64', IntStorage: 'I32', ShortStorage: 'I16', CharStorage: 'I8', ByteStorage: 'U8', BoolStorage: 'BOOL',
};
const TORCH_DTYPES: Readonly<Record<string, DType>> = {
  float32: 'F32', float: 'F32', float64: 'F64', double: 'F64', float16: 'F16', half: 'F16', bfloat16: 'BF16',
  int64: 'I64', long: 'I64', int32: 'I32', int: 'I32', int16: 'I16', short: 'I16', int8: 'I8', uint8: 'U8', bool: 'BOOL',
};
/** Classes whose objects stand in training checkpoints beside the weights; kept as name and state. */
const RECORDS = [
  'argparse Namespace',
  'torch.optim.adam Adam', 'torch.optim.adamw AdamW', 'torch.optim.sgd SGD',
  ...['StepLR', 'MultiStepLR', 'LambdaLR', 'LinearLR', 'ConstantLR', 'ExponentialLR', 'CosineAnnealingLR', 'SequentialLR', 'ReduceLROnPlateau']
    .map((name) => `torch.optim.lr_scheduler ${name}`),
  'warmup_scheduler.scheduler GradualWarmupScheduler',
];

function build(): ReadonlyMap<string, PickledClass> {
  const list = new Map<string, PickledClass>();
  const add = (name: string, call: Call, dtype: DType | null = null): void => {
    list.set(name, new PickledClass(name, call, dtype));
  };
  add('collections OrderedDict', mapping);
  add('collections defaultdict', () => new Map());
  add('collections Counter', mapping);
  for (const module of ['builtins', '__builtin__']) {
    add(`${module} set`, collection);
    add(`${module} frozenset`, collection);
    add(`${module} bytearray`, (args, context) => (args.length === 0 ? emptyBytes(context) : bytes(args[0], context)));
    add(`${module} bytes`, (args, context) => (args.length === 0 ? emptyBytes(context) : bytes(args[0], context)));
    for (const inert of ['object', 'list', 'dict', 'tuple', 'int', 'float', 'str', 'bool']) add(`${module} ${inert}`, null);
  }
  add('_codecs encode', encodeLatin1);
  for (const module of ['copyreg', 'copy_reg']) add(`${module} _reconstructor`, reconstructor);
  for (const name of RECORDS) add(name, () => new PickledRecord(name));

  for (const [name, dtype] of Object.entries(STORAGES)) {
    add(`torch ${name}`, null, dtype);
    add(`torch.cuda ${name}`, null, dtype);
  }
  for (const name of ['torch UntypedStorage', 'torch.storage UntypedStorage', 'torch.storage TypedStorage', 'torch.storage _UntypedStorage']) add(name, null);
  for (const [name, dtype] of Object.entries(TORCH_DTYPES)) add(`torch ${name}`, null, dtype);
  add('torch Size', (args, context) => numbers(args[0] ?? [], context));
  add('torch device', (args) => args.map(String).join(':'));
  add('torch._utils _rebuild_tensor', tensor);
  add('torch._utils _rebuild_tensor_v2', tensor);
  add('torch._utils _rebuild_tensor_v3', typedTensor);
  add('torch._utils _rebuild_parameter', parameter);
  add('torch._utils _rebuild_parameter_with_state', parameter);
  add('torch.storage _load_from_bytes', (args, context) => context.nested(bytes(args[0], context)));

  add('numpy ndarray', null);
  add('numpy dtype', dtypeOf);
  for (const core of ['numpy.core', 'numpy._core']) {
    add(`${core}.multiarray _reconstruct`, reconstruct);
    add(`${core}.multiarray scalar`, scalar);
    add(`${core}.numeric _frombuffer`, frombuffer);
  }
  return list;
}

/** By 'module name', as GLOBAL and STACK_GLOBAL give the two. */
export const CLASSES: ReadonlyMap<string, PickledClass> = build();

function emptyBytes(context: CallContext): ByteRange {
  return new ByteRange(context.file, new Uint8Array(0), 0, 0);
}

function bytes(value: PickleValue | undefined, context: CallContext): ByteRange {
  if (value instanceof ByteRange) return value;
  throw context.invalid('bytes were expected');
}

/** A copy, so that a later APPEND to the memoised list changes nothing that was checked. */
function numbers(value: PickleValue | undefined, context: CallContext): number[] {
  if (!Array.isArray(value) || value.length > 64) throw context.invalid('a tuple of at most 64 numbers was expected');
  return value.map((entry) => number(entry, context));
}

function number(value: PickleValue | undefined, context: CallContext): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value)) throw context.invalid('a whole number was expected');
  return value;
}

/** Nothing, a mapping, or a list of pairs. */
function mapping(args: readonly PickleValue[], context: CallContext): PickleValue {
  const source = args[0] ?? [];
  const result = new Map<PickleValue, PickleValue>();
  if (!(source instanceof Map) && !Array.isArray(source)) throw context.invalid('pairs were expected');
  context.charge(64 * (source instanceof Map ? source.size : source.length));
  for (const pair of source) {
    if (!Array.isArray(pair) || pair.length !== 2) throw context.invalid('a pair was expected');
    result.set(pair[0] ?? null, pair[1] ?? null);
  }
  return result;
}

function collection(args: readonly PickleValue[], context: CallContext): PickleValue {
  const source = args[0] ?? [];
  if (!Array.isArray(source) && !(source instanceof Set)) throw context.invalid('a list was expected');
  context.charge(64 * (Array.isArray(source) ? source.length : source.size));
  return new Set(source);
}

/** How protocols below 3 spell bytes: text whose code points are the bytes. */
function encodeLatin1(args: readonly PickleValue[], context: CallContext): PickleValue {
  const [text, encoding = 'latin1'] = args;
  if (typeof text !== 'string' || (encoding !== 'latin1' && encoding !== 'latin-1')) throw context.invalid('text to encode as latin1 was expected');
  context.charge(text.length);
  const result = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code > 255) throw context.invalid('the text is not latin1');
    result[i] = code;
  }
  return new ByteRange(context.file, result, 0, result.length);
}

function reconstructor(args: readonly PickleValue[], context: CallContext): PickleValue {
  const [kind, base] = args;
  if (!(kind instanceof PickledClass) || !RECORDS.includes(kind.name) || !(base instanceof PickledClass)) throw context.invalid('an object of a known class was expected');
  return new PickledRecord(kind.name);
}

/** (storage, offset, size, stride, …); what follows concerns gradients. */
function tensor(args: readonly PickleValue[], context: CallContext): PickleValue {
  const [storage, first, shape, strides] = args;
  if (!(storage instanceof PickledStorage)) throw context.invalid('a storage was expected');
  return new PickledTensor(storage, storage.dtype ?? 'U8', number(first, context), numbers(shape, context), numbers(strides, context));
}

/** (untyped storage, offset, size, stride, requires_grad, hooks, dtype, …). */
function typedTensor(args: readonly PickleValue[], context: CallContext): PickleValue {
  const [storage, first, shape, strides, , , dtype] = args;
  if (!(storage instanceof PickledStorage) || !(dtype instanceof PickledClass) || dtype.dtype === null) throw context.invalid('a storage and a dtype were expected');
  return new PickledTensor(storage, dtype.dtype, number(first, context), numbers(shape, context), numbers(strides, context));
}

function parameter(args: readonly PickleValue[], context: CallContext): PickleValue {
  if (args[0] instanceof PickledTensor) return args[0];
  throw context.invalid('a tensor was expected');
}
