// Small real files of every format, made by hand here or by the room's own writers, for tests that read
// and damage them.
import { mkdtempSync, realpathSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeNpy, writeSafetensors, writeTorchArchive } from '../../src/formats/index.ts';

export function temporaryFolder(): string {
  return realpathSync(mkdtempSync(join(tmpdir(), 'fromage-formats-')));
}

/** Pieces of a pickle: texts are latin-1 bytes, numbers single bytes. */
export function pickle(...pieces: (string | number | Uint8Array)[]): Buffer {
  return Buffer.concat(pieces.map((piece) => (typeof piece === 'string' ? Buffer.from(piece, 'latin1') : typeof piece === 'number' ? Buffer.from([piece]) : piece)));
}

export function text(value: string): Buffer {
  return Buffer.concat([Buffer.from('X'), u32(Buffer.byteLength(value)), Buffer.from(value)]);
}

export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

export function u64(value: number | bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt.asUintN(64, BigInt(value)));
  return bytes;
}

export function int(value: number): Buffer {
  const bytes = Buffer.alloc(5);
  bytes.write('J');
  bytes.writeInt32LE(value, 1);
  return bytes;
}

export function floats(...values: number[]): Buffer {
  return Buffer.from(Float32Array.from(values).buffer);
}

/** A storage as a persistent id leaves it on the stack. */
export function storage(key: string, elements: number, kind = 'FloatStorage', legacy = false): Buffer {
  return pickle('(', text('storage'), `ctorch\n${kind}\n`, text(key), text('cpu'), longInt(elements), legacy ? 'N' : '', 'tQ');
}

export function longInt(value: number): Buffer {
  return pickle(0x8a, 8, u64(value));
}

export function tensor(store: Buffer, first: number, shape: readonly number[], strides: readonly number[]): Buffer {
  return pickle('ctorch._utils\n_rebuild_tensor_v2\n(', store, longInt(first), '(', ...shape.map(longInt), 't(', ...strides.map(longInt), 't', 0x89, 'ccollections\nOrderedDict\n)RtR');
}

/** The stream before the storages: `body` is the pickled object, `keys` the storages in order. */
export function legacyHead(body: Buffer, keys: readonly string[]): Buffer {
  return pickle(
    0x80, 2, 0x8a, 10, Buffer.from('6cfc9c46f9206aa85019', 'hex'), '.', 0x80, 2, 'M', 0xe9, 3, '.', 0x80, 2, '}', text('little_endian'), 0x88, 's.',
    0x80, 2, body, '.', 0x80, 2, '](', ...keys.map(text), 'e.',
  );
}

/** A dict of named tensors over one storage, as the older torch.save wrote it. */
export function legacyCheckpoint(): Buffer {
  const store = storage('7', 6, 'FloatStorage', true);
  const body = pickle('}(', text('plain'), tensor(store, 0, [2, 3], [3, 1]), text('turned'), tensor(store, 0, [3, 2], [1, 3]), text('last'), tensor(store, 5, [], []), 'u');
  return Buffer.concat([legacyHead(body, ['7']), u64(6), floats(1, 2, 3, 4, 5, 6)]);
}

function ggufText(value: string): Buffer {
  return Buffer.concat([u64(Buffer.byteLength(value)), Buffer.from(value)]);
}

/** One metadata value: its key, kind and bytes. */
export function ggufValue(key: string, kind: number, ...bytes: Buffer[]): Buffer {
  return Buffer.concat([ggufText(key), u32(kind), ...bytes]);
}

export interface GgufTensor {
  readonly name: string;
  /** Fastest axis first, as the format has it. */
  readonly extents: readonly number[];
  readonly type: number;
  readonly bytes: Buffer;
}

export function gguf(values: readonly Buffer[], tensors: readonly GgufTensor[], version = 3): Buffer {
  let at = 0;
  const described = tensors.map(({ name, extents, type, bytes }) => {
    const offset = at;
    at = Math.ceil((at + bytes.length) / 32) * 32;
    return Buffer.concat([ggufText(name), u32(extents.length), ...extents.map(u64), u32(type), u64(offset)]);
  });
  const head = Buffer.concat([Buffer.from('GGUF'), u32(version), u64(tensors.length), u64(values.length), ...values, ...described]);
  const padded = (bytes: Buffer): Buffer => Buffer.concat([bytes, Buffer.alloc((32 - (bytes.length % 32)) % 32)]);
  return Buffer.concat([padded(head), ...tensors.map(({ bytes }) => padded(bytes))]);
}

export { ggufText };

/** Blocks worked by hand: scale 0.5 (0x3800), minimum −1 (0xbc00); nibbles j and 15 − j. */
export function nibbleBlock(head: readonly number[]): Buffer {
  return Buffer.from([...head, ...Array.from({ length: 16 }, (_, j) => j | ((15 - j) << 4))]);
}

export function sampleGguf(): Buffer {
  const q8 = Buffer.from([0x00, 0x38, ...Array.from({ length: 32 }, (_, j) => (j * 9 - 128) & 255)]);
  return gguf([
    ggufValue('general.architecture', 8, ggufText('llama')),
    ggufValue('u8', 0, Buffer.from([200])), ggufValue('i8', 1, Buffer.from([200])), ggufValue('u16', 2, Buffer.from([1, 2])), ggufValue('i16', 3, Buffer.from([255, 255])),
    ggufValue('u32', 4, u32(4_000_000_000)), ggufValue('i32', 5, u32(0xffffffff)), ggufValue('f32', 6, floats(1.5)), ggufValue('yes', 7, Buffer.from([1])),
    ggufValue('tokens', 9, u32(8), u64(2), ggufText('a'), ggufText('é')), ggufValue('nested', 9, u32(9), u64(1), u32(0), u64(2), Buffer.from([7, 8])),
    ggufValue('u64', 10, u64(2n ** 63n)), ggufValue('i64', 11, u64(2n ** 64n - 5n)), ggufValue('f64', 12, Buffer.from(Float64Array.of(0.1).buffer)),
  ], [
    { name: 'f32', extents: [3, 2], type: 0, bytes: floats(1, 2, 3, 4, 5, 6) },
    { name: 'q4_0', extents: [32, 1], type: 2, bytes: nibbleBlock([0x00, 0x38]) },
    { name: 'q4_1', extents: [32, 2], type: 3, bytes: Buffer.concat([nibbleBlock([0x00, 0x38, 0x00, 0xbc]), nibbleBlock([0x00, 0xb8, 0x00, 0x3c])]) },
    { name: 'q8_0', extents: [32], type: 8, bytes: q8 },
    { name: 'f16', extents: [2], type: 1, bytes: Buffer.from([0x01, 0x00, 0xff, 0x7b]) },
    { name: 'bf16', extents: [2], type: 30, bytes: Buffer.from([0x80, 0x3f, 0x49, 0xc0]) },
  ]);
}

/** numpy arrays in a list, protocol 4, as the authors' embeddings; `rows` of two numbers each. */
export function sampleEmbeddings(rows: readonly (readonly [number, number])[]): Buffer {
  const short = (value: string): Buffer => Buffer.concat([Buffer.from([0x8c, value.length]), Buffer.from(value)]);
  const array = (row: readonly number[]): Buffer => pickle(
    short('numpy._core.multiarray'), short('_reconstruct'), 0x93, short('numpy'), short('ndarray'), 0x93, 'K', 0, 0x85, 'C', 1, 'b', 0x87, 'R',
    '(K', 1, 'K', 2, 0x85, short('numpy'), short('dtype'), 0x93, short('f4'), 0x89, 0x88, 0x87, 'R(K', 3, short('<'), 'NNN', int(-1), int(-1), 'K', 0, 'tb', 0x89, 'C', 8, floats(...row), 'tb',
  );
  return pickle(0x80, 4, '}(', short('paths'), '](', ...rows.map((_, i) => short(`${i}.png`)), 'e', short('embeddings'), '](', ...rows.map(array), 'eu.');
}

/** One file of each format with its reader's name, in a folder of its own. */
export function writeSamples(folder: string): Readonly<Record<'safetensors' | 'zip' | 'legacy' | 'gguf' | 'npy' | 'embeddings', string>> {
  const data = Float32Array.from({ length: 64 }, (_, i) => i / 8);
  const files = {
    safetensors: join(folder, 'model.safetensors'), zip: join(folder, 'ckpt.pth.tar'), legacy: join(folder, 'old.pth'),
    gguf: join(folder, 'model.gguf'), npy: join(folder, 'array.npy'), embeddings: join(folder, 'embeddings.pkl'),
  };
  writeSafetensors(files.safetensors, new Map([['a', { shape: [8, 8], data }], ['b', { shape: [], data: Float32Array.of(2) }]]), { format: 'pt' });
  writeTorchArchive(files.zip, { state_dict: { 'a.weight': { shape: [8, 8], data }, 'a.bias': { shape: [2], data: Float32Array.of(1, -1) } }, values: { epoch: 3, best_score: 0.25, note: 'é', done: true } });
  writeFileSync(files.legacy, legacyCheckpoint());
  writeFileSync(files.gguf, sampleGguf());
  writeNpy(files.npy, { shape: [4, 16], data });
  writeFileSync(files.embeddings, sampleEmbeddings([[1, 2], [3, 4], [5, 6]]));
  return files;
}
