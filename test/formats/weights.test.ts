// What each reader gives back, on files made here.
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { floatToHalf, FormatError, halfToFloat, openGguf, openSafetensors, openTorch, openWeights, writeSafetensors, writeTorchArchive } from '../../src/formats/index.ts';
import { planZip } from '../../src/formats/zip-write.ts';
import { floats, gguf, ggufValue, legacyHead, pickle, sampleGguf, storage, temporaryFolder, tensor, text, u64, writeSamples } from './samples.ts';

const folder = temporaryFolder();
const files = writeSamples(folder);

function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    expect(error.file).not.toBe('');
    return error.code;
  }
  return 'none';
}

function written(name: string, bytes: Uint8Array): string {
  const file = join(folder, name);
  writeFileSync(file, bytes);
  return file;
}

describe('safetensors', () => {
  test('what is written is read back, with rows and metadata', () => {
    const store = openSafetensors(files.safetensors);
    expect(store.metadata).toEqual({ format: 'pt' });
    expect(store.locate('a')).toMatchObject({ dtype: 'F32', shape: [8, 8], byteLength: 256 });
    expect(Array.from(store.readRowsFloat32('a', 2, 1))).toEqual([2, 2.125, 2.25, 2.375, 2.5, 2.625, 2.75, 2.875]);
    expect(Array.from(store.readFloat32('b'))).toEqual([2]);
    expect(store.locate('a').offset % 8).toBe(0);
    expect(codeOf(() => store.locate('c'))).toBe('FORMAT_TENSOR_MISSING');
    expect(codeOf(() => store.readRowsFloat32('a', 7, 2))).toBe('FORMAT_RANGE');
    store.close();
    expect(codeOf(() => store.readBytes('a'))).toBe('FORMAT_CLOSED');
  });

  const header = (json: string, data = Buffer.alloc(8)): string => written('hostile.safetensors', Buffer.concat([u64(Buffer.byteLength(json)), Buffer.from(json), data]));
  const entry = (offsets: string, shape = '[2]'): string => `{"dtype":"F32","shape":${shape},"data_offsets":${offsets}}`;
  test.each([
    ['a tensor beyond the end', () => header(`{"a":${entry('[0,80]', '[20]')}}`), 'FORMAT_TRUNCATED'],
    ['negative offsets', () => header(`{"a":${entry('[-8,0]')}}`), 'FORMAT_INVALID'],
    ['a negative extent', () => header(`{"a":${entry('[0,8]', '[-1,-2]')}}`), 'FORMAT_SHAPE'],
    ['a huge extent', () => header(`{"a":${entry('[0,8]', '[1e15,1e15]')}}`), 'FORMAT_SHAPE'],
    ['shape and bytes that differ', () => header(`{"a":${entry('[0,8]', '[3]')}}`), 'FORMAT_SHAPE'],
    ['overlapping tensors', () => header(`{"a":${entry('[0,8]')},"b":${entry('[4,12]')}}`, Buffer.alloc(16)), 'FORMAT_OVERLAP'],
    ['bytes that belong to no tensor', () => header(`{"a":${entry('[0,8]')}}`, Buffer.alloc(16)), 'FORMAT_INVALID'],
    ['a name twice', () => header(`{"a":${entry('[0,8]')},"\\u0061":${entry('[0,8]')}}`), 'FORMAT_DUPLICATE'],
    ['deep nesting', () => header('['.repeat(100_000)), 'FORMAT_LIMIT'],
    ['an unknown type', () => header('{"a":{"dtype":"F8","shape":[8],"data_offsets":[0,8]}}'), 'FORMAT_UNSUPPORTED'],
    ['a header of 2^60 bytes', () => written('hostile.safetensors', Buffer.concat([u64(2n ** 60n), Buffer.from('{}')])), 'FORMAT_INVALID'],
    ['a header longer than the file', () => written('hostile.safetensors', Buffer.concat([u64(99), Buffer.from('{}')])), 'FORMAT_TRUNCATED'],
    ['a folder', () => folder, 'FORMAT_FILE'],
  ])('refuses %s', (_name, make, code) => {
    const file = make();
    expect(codeOf(() => openSafetensors(file))).toBe(code);
  });
});

describe('GGUF', () => {
  test('reads all kinds of metadata', () => {
    const store = openGguf(files.gguf);
    expect(store.metadata).toEqual({
      'general.architecture': 'llama', u8: 200, i8: -56, u16: 513, i16: -1, u32: 4_000_000_000, i32: -1, f32: 1.5, yes: true,
      tokens: ['a', 'é'], nested: [[7, 8]], u64: 2n ** 63n, i64: -5, f64: 0.1,
    });
    store.close();
  });

  test('dequantises blocks worked out by hand, shapes row-major, raw blocks as stored', () => {
    const store = openGguf(files.gguf);
    expect(store.locate('f32').shape).toEqual([2, 3]);
    const low = Array.from({ length: 16 }, (_, j) => j);
    const nibbles = [...low, ...low.map((j) => 15 - j)];
    expect(Array.from(store.readFloat32('q4_0'))).toEqual(nibbles.map((q) => (q - 8) / 2));
    expect(Array.from(store.readFloat32('q4_1'))).toEqual([...nibbles.map((q) => q / 2 - 1), ...nibbles.map((q) => 1 - q / 2)]);
    expect(Array.from(store.readRowsFloat32('q4_1', 1, 1))).toEqual(nibbles.map((q) => 1 - q / 2));
    expect(store.readBytes('q4_1')).toHaveLength(40);
    expect(Array.from(store.readFloat32('q8_0'))).toEqual(Array.from({ length: 32 }, (_, j) => ((((j * 9 - 128) & 255) << 24) >> 24) / 2));
    expect(Array.from(store.readFloat32('f16'))).toEqual([2 ** -24, 65504]);
    expect(Array.from(store.readFloat32('bf16'))).toEqual([1, -3.140625]);
    store.close();
  });

  test.each([
    ['version 1', () => gguf([], [], 1), 'FORMAT_UNSUPPORTED'],
    ['more tensors than bytes', () => Buffer.concat([Buffer.from('GGUF\x03\0\0\0'), u64(2n ** 40n), u64(0)]), 'FORMAT_TRUNCATED'],
    ['an array longer than the file', () => gguf([ggufValue('a', 9, Buffer.from([0, 0, 0, 0]), u64(2n ** 50n))], []), 'FORMAT_TRUNCATED'],
    ['a metadata key twice', () => gguf([ggufValue('a', 0, Buffer.from([1])), ggufValue('a', 0, Buffer.from([1]))], []), 'FORMAT_DUPLICATE'],
    ['a tensor twice', () => gguf([], [{ name: 'a', extents: [1], type: 0, bytes: floats(1) }, { name: 'a', extents: [1], type: 0, bytes: floats(1) }]), 'FORMAT_DUPLICATE'],
    ['rows of part blocks', () => gguf([], [{ name: 'a', extents: [31], type: 2, bytes: floats(1) }]), 'FORMAT_SHAPE'],
    ['an unknown tensor type', () => gguf([], [{ name: 'a', extents: [1], type: 12, bytes: floats(1) }]), 'FORMAT_UNSUPPORTED'],
    ['a cut file', () => sampleGguf().subarray(0, -40), 'FORMAT_TRUNCATED'],
  ])('refuses %s', (_name, make, code) => {
    const file = written('hostile.gguf', make());
    expect(codeOf(() => openGguf(file))).toBe(code);
  });
});

describe('PyTorch', () => {
  test('the zip form is read back, scalars as metadata, data at multiples of 64', () => {
    const store = openTorch(files.zip);
    expect([...store.tensors.keys()]).toEqual(['a.weight', 'a.bias']);
    expect(store.metadata).toEqual({ epoch: 3, best_score: 0.25, note: 'é', done: true });
    expect(Array.from(store.readFloat32('a.bias'))).toEqual([1, -1]);
    for (const location of store.tensors.values()) expect(location.offset % 64).toBe(0);
    store.close();
  });

  test('the older stream: views of one storage, strided ones in row-major order', () => {
    const store = openTorch(files.legacy);
    expect(Array.from(store.readFloat32('plain'))).toEqual([1, 2, 3, 4, 5, 6]);
    expect(Array.from(store.readFloat32('turned'))).toEqual([1, 4, 2, 5, 3, 6]);
    expect(Array.from(store.readRowsFloat32('turned', 1, 2))).toEqual([2, 5, 3, 6]);
    expect(Array.from(store.readFloat32('last'))).toEqual([6]);
    expect(store.locate('turned').strides).toEqual([1, 3]);
    expect(store.locate('plain').strides).toBeUndefined();
    store.close();
  });

  const legacy = (...body: Buffer[]): string => written('hostile.pth', Buffer.concat([legacyHead(pickle('}', text('a'), ...body, 's'), ['7']), u64(2), floats(1, 2)]));
  const two = storage('7', 2, 'FloatStorage', true);
  test.each([
    ['a view beyond its storage', () => legacy(tensor(two, 1, [2], [1])), 'FORMAT_TRUNCATED'],
    ['a negative offset', () => legacy(tensor(two, -1, [1], [1])), 'FORMAT_TRUNCATED'],
    ['a view that repeats one element into terabytes', () => legacy(tensor(two, 0, [2 ** 20, 2 ** 20], [0, 0])), 'FORMAT_LIMIT'],
    ['more axes than strides', () => legacy(tensor(two, 0, [1, 2], [1])), 'FORMAT_SHAPE'],
    ['a storage of another size than described', () => legacy(tensor(storage('7', 9, 'FloatStorage', true), 0, [2], [1])), 'FORMAT_INVALID'],
    ['a storage that is not there', () => legacy(tensor(storage('8', 2, 'FloatStorage', true), 0, [2], [1])), 'FORMAT_INVALID'],
    ['a storage of 2^52 elements', () => legacy(tensor(storage('7', 2 ** 52, 'FloatStorage', true), 0, [2], [1])), 'FORMAT_INVALID'],
  ])('refuses %s', (_name, make, code) => {
    const file = make();
    expect(codeOf(() => openTorch(file))).toBe(code);
  });

  test('a zip entry that is compressed, doubled or overlapping is refused', () => {
    const body = pickle(0x80, 2, '}.');
    const archive = (names: readonly string[], change: (bytes: Buffer) => void): string => {
      const plan = planZip(names.map((name) => ({ name, byteLength: body.length, crc32: 0 })));
      const bytes = Buffer.concat([...plan.entries.flatMap(({ header }) => [header, body]), plan.tail]);
      change(bytes);
      return written('hostile.zip', bytes);
    };
    const directory = (bytes: Buffer): number => bytes.indexOf(Buffer.from('PK\x01\x02', 'latin1'));
    expect(codeOf(() => openTorch(archive(['x/data.pkl'], () => {})))).toBe('none');
    expect(codeOf(() => openTorch(archive(['x/data.pkl', 'x/data.pkl'], () => {})))).toBe('FORMAT_DUPLICATE');
    expect(codeOf(() => openTorch(archive(['x/data.pkl'], (bytes) => bytes.writeUInt16LE(8, directory(bytes) + 10))))).toBe('FORMAT_UNSUPPORTED');
    expect(codeOf(() => openTorch(archive(['x/data.pkl', 'x/b'], (bytes) => bytes.writeUInt32LE(0, bytes.indexOf('x/b', directory(bytes)) - 4))))).toBe('FORMAT_OVERLAP');
    expect(codeOf(() => openTorch(archive(['x/data.pkl'], (bytes) => bytes.writeUInt32LE(2 ** 31, directory(bytes) + 42))))).toBe('FORMAT_TRUNCATED');
  });

  test('the writer refuses data that does not fit the shape and leaves no file', () => {
    const file = join(folder, 'none.pth');
    expect(codeOf(() => writeTorchArchive(file, { state_dict: { a: { shape: [3], data: Float32Array.of(1) } } }))).toBe('FORMAT_SHAPE');
    expect(codeOf(() => openTorch(file))).toBe('FORMAT_FILE');
    expect(codeOf(() => writeTorchArchive(join(folder, 'no', 'such', 'folder'), { state_dict: {} }))).toBe('FORMAT_WRITE');
  });
});

describe('shards and the one door', () => {
  const shards = join(folder, 'shards');
  mkdirSync(shards);
  writeSafetensors(join(shards, 's-1.safetensors'), new Map([['a', { shape: [1], data: Float32Array.of(1) }]]));
  writeTorchArchive(join(shards, 's-2.bin'), { state_dict: { b: { shape: [2, 1], data: Float32Array.of(2, 3) } } });
  const index = (map: Record<string, string>): string => {
    const file = join(shards, 'model.safetensors.index.json');
    writeFileSync(file, JSON.stringify({ metadata: {}, weight_map: map }));
    return file;
  };

  test('tensors come from the shard that the index names', () => {
    index({ a: 's-1.safetensors', b: 's-2.bin' });
    const store = openWeights(shards);
    expect(Array.from(store.readFloat32('a'))).toEqual([1]);
    expect(Array.from(store.readRowsFloat32('b', 1, 1))).toEqual([3]);
    store.close();
  });

  test('an index cannot leave its folder', () => {
    for (const path of ['../model.safetensors', files.safetensors, 'x/../../model.safetensors', 'C:\\model', '..\\model.safetensors']) {
      const file = index({ a: path });
      expect(codeOf(() => openWeights(file))).toBe('FORMAT_PATH');
    }
    symlinkSync(files.safetensors, join(shards, 'link.safetensors'));
    expect(codeOf(() => openWeights(index({ a: 'link.safetensors' })))).toBe('FORMAT_PATH');
    expect(codeOf(() => openWeights(index({ a: 'gone.safetensors' })))).toBe('FORMAT_FILE');
    expect(codeOf(() => openWeights(index({ z: 's-1.safetensors' })))).toBe('FORMAT_TENSOR_MISSING');
    const twice = join(shards, 'model.safetensors.index.json');
    writeFileSync(twice, '{"weight_map":{"a":"s-1.safetensors","a":"s-2.bin"}}');
    expect(codeOf(() => openWeights(twice))).toBe('FORMAT_DUPLICATE');
  });

  test("the hub cache's links from snapshots to blobs are followed", () => {
    const model = join(folder, 'models--x--y');
    const snapshot = join(model, 'snapshots', 'rev');
    mkdirSync(snapshot, { recursive: true });
    mkdirSync(join(model, 'blobs'));
    writeSafetensors(join(model, 'blobs', 'hash'), new Map([['a', { shape: [1], data: Float32Array.of(4) }]]));
    symlinkSync(join('..', '..', 'blobs', 'hash'), join(snapshot, 's.safetensors'));
    writeFileSync(join(snapshot, 'model.safetensors.index.json'), '{"weight_map":{"a":"s.safetensors"}}');
    const store = openWeights(snapshot);
    expect(Array.from(store.readFloat32('a'))).toEqual([4]);
    store.close();
  });

  test('finds the format by content, and prefers safetensors in a folder', () => {
    for (const file of [files.safetensors, files.zip, files.legacy, files.gguf]) openWeights(file).close();
    const store = openWeights(folder);
    expect([...store.tensors.keys()]).toEqual(['a', 'b']);
    store.close();
    expect(codeOf(() => openWeights(files.npy))).toBe('FORMAT_UNKNOWN');
    expect(codeOf(() => openWeights(join(folder, 'models--x--y')))).toBe('FORMAT_UNKNOWN');
    expect(codeOf(() => openWeights(join(folder, 'nothing')))).toBe('FORMAT_FILE');
  });
});

test('float16 goes there and back for every bit pattern, and rounds to even', () => {
  for (let bits = 0; bits < 65_536; bits++) {
    const value = halfToFloat(bits);
    if (!Number.isNaN(value) && floatToHalf(value) !== bits) throw new Error(`0x${bits.toString(16)} came back as 0x${floatToHalf(value).toString(16)}`);
  }
  expect(halfToFloat(floatToHalf(2049))).toBe(2048);
  expect(halfToFloat(floatToHalf(2051))).toBe(2052);
  expect(floatToHalf(65_519)).toBe(0x7bff);
  expect(floatToHalf(65_520)).toBe(0x7c00);
});
