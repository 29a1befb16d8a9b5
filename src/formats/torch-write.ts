// Writes a checkpoint as torch.save does: a stored zip archive with a protocol 2 pickle and one file per
// storage, readable by torch.load(weights_only=True). The authors' adapters have this form.
import { basename } from 'node:path';
import { crc32 } from 'node:zlib';
import { FormatError } from './errors.ts';
import { contiguousStrides, countBytes } from './tensor-layout.ts';
import { writeFileWhole } from './write-file.ts';
import { planZip } from './zip-write.ts';

export interface FloatTensor {
  readonly shape: readonly number[];
  /** Row-major. */
  readonly data: Float32Array;
}

/** A checkpoint's root: the tensors, and scalars beside them. */
export interface TorchContent {
  readonly state_dict: ReadonlyMap<string, FloatTensor> | Readonly<Record<string, FloatTensor>>;
  /** Such as `epoch` and `best_score`. */
  readonly values?: Readonly<Record<string, number | string | boolean | null>>;
}

/**
 * Writes `{'state_dict': OrderedDict, ...values}` beside its place, forces it to disk and renames it.
 *
 * @throws FormatError `FORMAT_SHAPE` when data and shape differ, `FORMAT_WRITE` when the disk refuses
 */
export function writeTorchArchive(file: string, content: TorchContent): void {
  const tensors = content.state_dict instanceof Map ? [...content.state_dict] as [string, FloatTensor][] : Object.entries(content.state_dict as Record<string, FloatTensor>);
  for (const [name, { shape, data }] of tensors) {
    const expected = countBytes(shape, 'F32', { file, offset: 0, name });
    if (expected !== data.byteLength) throw new FormatError({ code: 'FORMAT_SHAPE', file, what: `${name} [${shape.join(', ')}] is ${expected} bytes, ${data.byteLength} were given` });
  }
  const folder = basename(file).replace(/\.[^.]*$/, '') || 'archive';
  const parts: [string, Uint8Array][] = [
    ['data.pkl', pickleRoot(tensors, content.values ?? {})],
    ['byteorder', Buffer.from('little')],
    ...tensors.map(([, { data }], i): [string, Uint8Array] => [`data/${i}`, new Uint8Array(data.buffer, data.byteOffset, data.byteLength)]),
    ['version', Buffer.from('3\n')],
  ];
  const plan = planZip(parts.map(([name, bytes]) => ({ name: `${folder}/${name}`, byteLength: bytes.length, crc32: crc32(bytes) })));
  const chunks = parts.flatMap(([, bytes], i) => [plan.entries[i]?.header ?? new Uint8Array(0), bytes]);
  writeFileWhole(file, [...chunks, plan.tail]);
}

/** Protocol 2 without a memo: nothing is shared. */
function pickleRoot(tensors: readonly (readonly [string, FloatTensor])[], values: Readonly<Record<string, number | string | boolean | null>>): Uint8Array {
  const stateDict = [...ORDERED_DICT, '(', ...tensors.flatMap(([name, { shape }], i) => [text(name), ...tensor(i, shape)]), 'u'];
  const others = Object.entries(values).filter(([key]) => key !== 'state_dict').flatMap(([key, value]) => [text(key), scalar(value)]);
  const pieces = ['\x80\x02', '}', '(', text('state_dict'), ...stateDict, ...others, 'u', '.'];
  return Buffer.concat(pieces.map((piece) => (typeof piece === 'string' ? Buffer.from(piece, 'latin1') : piece)));
}

const ORDERED_DICT = ['ccollections\nOrderedDict\n', ')', 'R'];

function tensor(key: number, shape: readonly number[]): (string | Buffer)[] {
  const elements = shape.reduce((product, extent) => product * extent, 1);
  return [
    'ctorch._utils\n_rebuild_tensor_v2\n', '(',
    '(', text('storage'), 'ctorch\nFloatStorage\n', text(String(key)), text('cpu'), integer(elements), 't', 'Q',
    integer(0), tuple(shape), tuple(contiguousStrides(shape)), '\x89', ...ORDERED_DICT, 't', 'R',
  ];
}

function tuple(values: readonly number[]): Buffer {
  return Buffer.concat([Buffer.from('('), ...values.map(integer), Buffer.from('t')]);
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  const head = Buffer.alloc(5);
  head.write('X');
  head.writeUInt32LE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
}

/** BININT where it fits, else LONG1 of eight bytes. */
function integer(value: number): Buffer {
  const small = value === (value | 0);
  const piece = Buffer.alloc(small ? 5 : 10);
  if (small) {
    piece.write('J');
    piece.writeInt32LE(value, 1);
  } else {
    piece.writeUInt8(0x8a);
    piece.writeUInt8(8, 1);
    piece.writeBigInt64LE(BigInt(value), 2);
  }
  return piece;
}

function scalar(value: number | string | boolean | null): Buffer {
  if (value === null) return Buffer.from('N');
  if (typeof value === 'boolean') return Buffer.from([value ? 0x88 : 0x89]);
  if (typeof value === 'string') return text(value);
  if (Number.isSafeInteger(value) && !Object.is(value, -0)) return integer(value);
  const piece = Buffer.alloc(9);
  piece.write('G');
  piece.writeDoubleBE(value, 1);
  return piece;
}
