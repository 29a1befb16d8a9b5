// The pickle reader: what it reads of each protocol, and the gadgets that it refuses.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { FormatError, openTorch, readEmbeddingsPickle, readPickle } from '../../src/formats/index.ts';
import { planZip } from '../../src/formats/zip-write.ts';
import { floats, legacyHead, pickle, sampleEmbeddings, storage, temporaryFolder, tensor, text, u32, u64 } from './samples.ts';

const folder = temporaryFolder();

function written(bytes: Uint8Array, name = 'value.pkl'): string {
  const file = join(folder, name);
  writeFileSync(file, bytes);
  return file;
}

function valueOf(...pieces: Parameters<typeof pickle>): unknown {
  const { value, close } = readPickle(written(pickle(...pieces)));
  close();
  return value;
}

function failure(action: () => unknown): FormatError {
  try {
    action();
  } catch (error) {
    if (error instanceof FormatError) return error;
    throw error;
  }
  throw new Error('nothing was refused');
}

describe('plain values', () => {
  test('protocol 0: lines of text', () => {
    expect(valueOf("(dp0\nS'a'\np1\nI1\nsV\\u00e9\np2\n(lp3\nI01\naF1.5\naL-12345678901234567890L\nas.")).toEqual(
      new Map<string, unknown>([['a', 1], ['é', [true, 1.5, -12345678901234567890n]]]),
    );
  });

  test('protocol 2 and 4: binary numbers, texts, containers, memo', () => {
    expect(valueOf(0x80, 2, ']q', 0, '(K', 7, 'M', 1, 2, 'J', u32(0xfffffffe), 'G', Buffer.from('3ff8000000000000', 'hex'), 0x8a, 2, 0, 0x80, 'N', 0x88, 'U', 1, 0xe9, 'e0h', 0, '.')).toEqual([7, 513, -2, 1.5, -32768, null, true, 'é']);
    expect(valueOf(0x80, 4, 0x95, u64(9), '(', 0x8c, 1, 'a', 0x94, 'h', 0, 0x85, 0x8f, '(K', 1, 0x90, 'l.')).toEqual(['a', ['a'], new Set([1])]);
  });

  test('optimizer and scheduler objects are inert records', () => {
    const value = valueOf(0x80, 2, 'ctorch.optim.lr_scheduler\nStepLR\n)', 0x81, '}', text('gamma'), 'K', 2, 'sb.');
    expect(value).toMatchObject({ name: 'torch.optim.lr_scheduler StepLR', state: new Map([['gamma', 2]]) });
  });
});

describe('gadgets', () => {
  const argument = pickle(text('touch /tmp/fromage-owned'), 0x85);
  const named = (module: string, name: string): [string, Buffer][] => [
    [`GLOBAL ${module}.${name}`, pickle(0x80, 2, `c${module}\n${name}\n`, argument, 'R.')],
    [`STACK_GLOBAL ${module}.${name}`, pickle(0x80, 4, text(module), text(name), 0x93, argument, 'R.')],
    [`INST ${module}.${name}`, pickle('(', text('x'), `i${module}\n${name}\n.`)],
    [`OBJ ${module}.${name}`, pickle('(', `c${module}\n${name}\n`, text('x'), 'o.')],
    [`NEWOBJ ${module}.${name}`, pickle(0x80, 2, `c${module}\n${name}\n`, argument, 0x81, '.')],
    [`NEWOBJ_EX ${module}.${name}`, pickle(0x80, 4, `c${module}\n${name}\n`, argument, '}', 0x92, '.')],
  ];
  const callables: [string, string][] = [
    ['os', 'system'], ['posix', 'system'], ['nt', 'system'], ['subprocess', 'Popen'], ['builtins', 'eval'], ['builtins', 'exec'], ['__builtin__', 'eval'],
    ['builtins', 'getattr'], ['builtins', '__import__'], ['builtins', 'open'], ['builtins', 'compile'], ['importlib', 'import_module'], ['torch', 'load'],
    ['torch.serialization', 'load'], ['torch._utils', '_rebuild_tensor_v2.__globals__'], ['numpy', 'load'], ['numpy.core.multiarray', 'fromfile'], ['pickle', 'loads'], ['_pickle', 'loads'],
    ['functools', 'partial'], ['operator', 'attrgetter'], ['operator', 'methodcaller'], ['types', 'FunctionType'], ['codecs', 'open'], ['webbrowser', 'open'],
    ['runpy', 'run_path'], ['ctypes', 'CDLL'], ['socket', 'socket'], ['shutil', 'rmtree'], ['collections', '__builtins__'], ['constructor', 'prototype'], ['__proto__', 'constructor'],
  ];
  const corpus: [string, Buffer][] = [
    ...callables.flatMap(([module, name]) => named(module, name)),
    ['EXT1', pickle(0x80, 2, 0x82, 1, argument, 'R.')],
    ['EXT2', pickle(0x80, 2, 0x83, 1, 0, argument, 'R.')],
    ['EXT4', pickle(0x80, 2, 0x84, u32(1), argument, 'R.')],
    ['PERSID', pickle('Pos.system\n.')],
    ['BINPERSID outside a checkpoint', pickle(0x80, 2, text('x'), 'Q.')],
    ['NEXT_BUFFER', pickle(0x80, 5, 0x97, '.')],
    ['REDUCE of a text', pickle(0x80, 2, text('os.system'), argument, 'R.')],
    ['REDUCE of an inert class', pickle(0x80, 2, 'cbuiltins\nobject\n', argument, 'R.')],
    ['BUILD of a class', pickle(0x80, 2, 'ccollections\nOrderedDict\n}', text('__call__'), 'K', 1, 'sb.')],
    ['BUILD of a list', pickle(0x80, 2, ']}b.')],
    ['_reconstructor of a class off the list', pickle(0x80, 2, 'ccopyreg\n_reconstructor\ncbuiltins\nset\ncbuiltins\nobject\nN', 0x87, 'R.')],
    ['a forbidden class that is never called', pickle(0x80, 2, 'cos\nsystem\n0N.')],
  ];

  test.each(corpus)('%s is refused, alone and in a checkpoint', (_name, bytes) => {
    const alone = failure(() => readPickle(written(bytes)));
    expect(alone.code).toMatch(/^FORMAT_(FORBIDDEN|UNSUPPORTED|INVALID)$/);
    expect(alone.offset).toBeGreaterThanOrEqual(0);
    expect(alone.file).toContain('value.pkl');
    const plan = planZip([{ name: 'x/data.pkl', byteLength: bytes.length, crc32: 0 }]);
    const zip = failure(() => openTorch(written(Buffer.concat([plan.entries[0]?.header ?? bytes, bytes, plan.tail]), 'x.pth')));
    expect(zip.code).toMatch(/^FORMAT_(FORBIDDEN|UNSUPPORTED|INVALID)$/);
  });

  test('a named class off the list is called forbidden, by its name and place', () => {
    const error = failure(() => readPickle(written(pickle(0x80, 2, 'cos\nsystem\n.'))));
    expect(error).toMatchObject({ code: 'FORMAT_FORBIDDEN', offset: 2 });
    expect(error.message).toContain('os.system');
  });
});

describe('bombs', () => {
  test.each([
    ['a stack without end', () => pickle(0x80, 2, 'N'), 'FORMAT_TRUNCATED'],
    ['popping an empty stack', () => pickle(0x80, 2, '0.'), 'FORMAT_INVALID'],
    ['a mark that is missing', () => pickle(0x80, 2, 't.'), 'FORMAT_INVALID'],
    ['an unknown memo entry', () => pickle(0x80, 2, 'h', 9, '.'), 'FORMAT_INVALID'],
    ['a text of 4 GB', () => pickle(0x80, 2, 'X', u32(0xffffffff), 'a.'), 'FORMAT_TRUNCATED'],
    ['bytes of 2^62', () => pickle(0x80, 4, 0x8e, u64(2n ** 62n), '.'), 'FORMAT_INVALID'],
    ['a key twice', () => pickle(0x80, 2, '}(', text('a'), 'N', text('a'), 'Nu.'), 'FORMAT_DUPLICATE'],
    ['protocol 9', () => pickle(0x80, 9, 'N.'), 'FORMAT_UNSUPPORTED'],
    ['ten thousand copies of a megabyte', () => pickle(0x80, 2, text('a'.repeat(2 ** 20)), 'q', 0, '0', Buffer.from('c_codecs\nencode\nh\0\x85R0'.repeat(10_000), 'latin1'), 'N.'), 'FORMAT_LIMIT'],
    ['lists by the million', () => pickle(0x80, 2, Buffer.alloc(4_100_000, ']'), '.'), 'FORMAT_LIMIT'],
  ])('%s', (_name, make, code) => {
    const file = written(make());
    expect(failure(() => readPickle(file)).code).toBe(code);
  });

  test('dicts nested a hundred thousand deep, or shared so that few look like very many', () => {
    const nested = Buffer.from(`}X\x01\0\0\0a`.repeat(100_000), 'latin1');
    const deep = Buffer.concat([legacyHead(pickle(nested, 'N', 's'.repeat(100_000)), []), Buffer.alloc(0)]);
    expect(failure(() => openTorch(written(deep, 'deep.pth'))).code).toBe('FORMAT_LIMIT');
    // Each level holds the one below twice: 2^15 paths at depth 15, one object each.
    const doubled = Array.from({ length: 24 }, (_, i) => pickle('}q', i + 1, '(', text('a'), 'h', i, text('b'), 'h', i, 'u0'));
    const shared = legacyHead(pickle('}q', 0, '0', ...doubled, '}', text('x'), 'h', 24, 's'), []);
    expect(failure(() => openTorch(written(shared, 'shared.pth'))).code).toBe('FORMAT_LIMIT');
  });
});

describe('embeddings', () => {
  test('a list of arrays, row by row', () => {
    const file = readEmbeddingsPickle(written(sampleEmbeddings([[1, 2], [3, 4]])));
    expect(file).toMatchObject({ paths: ['0.png', '1.png'], count: 2, dim: 2 });
    expect([...file.rows()].map((row) => Array.from(row))).toEqual([[1, 2], [3, 4]]);
    expect([...file.rows()]).toHaveLength(2);
    file.close();
  });

  const head = (count: number): Buffer => pickle(0x80, 3, '}(', text('paths'), '](', ...Array.from({ length: count }, (_, i) => text(`p${i}`)), 'e', text('embeddings'));
  const dtype = pickle('cnumpy\ndtype\n(', text('f4'), 'K', 0, 'K', 1, 'tR(K', 3, text('<'), 'NNNJ', u32(0xffffffff), 'J', u32(0xffffffff), 'K', 0, 'tb');
  const array = (data: Buffer, order = 0x89): Buffer => pickle('cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK', 0, 0x85, 'C', 1, 'b', 0x87, 'R(K', 1, 'K', 3, 'K', 2, 0x86, dtype, order, data, 'tb');
  const rowsOf = (bytes: Buffer): number[][] => {
    const file = readEmbeddingsPickle(written(bytes));
    const rows = [...file.rows()].map((row) => Array.from(row));
    file.close();
    return rows;
  };
  const numbers = floats(1, 2, 3, 4, 5, 6);

  test('one array in C order, in Fortran order, and of protocol 2 and 5', () => {
    const raw = pickle('C', 24, numbers);
    expect(rowsOf(pickle(head(3), array(raw), 'u.'))).toEqual([[1, 2], [3, 4], [5, 6]]);
    expect(rowsOf(pickle(head(3), array(raw, 0x88), 'u.'))).toEqual([[1, 4], [2, 5], [3, 6]]);
    const latin1 = pickle('c_codecs\nencode\n', text(numbers.toString('latin1')), text('latin1'), 0x86, 'R');
    expect(rowsOf(pickle(head(3), array(latin1), 'u.'))).toEqual([[1, 2], [3, 4], [5, 6]]);
    const fromBuffer = pickle('cnumpy._core.numeric\n_frombuffer\n(', 0x96, u64(24), numbers, dtype, 'K', 3, 'K', 2, 0x86, text('C'), 'tR');
    expect(rowsOf(pickle(head(3), fromBuffer, 'u.'))).toEqual([[1, 2], [3, 4], [5, 6]]);
  });

  test('torch tensors pickled alone: a torch.save stream inside the pickle', () => {
    const stream = (...values: number[]): Buffer => Buffer.concat([legacyHead(storage('1', values.length, 'FloatStorage', true), ['1']), u64(values.length), floats(...values)]);
    const alone = (bytes: Buffer): Buffer => tensor(pickle('ctorch.storage\n_load_from_bytes\nB', u32(bytes.length), bytes, 0x85, 'R'), 1, [2], [1]);
    expect(rowsOf(pickle(head(2), '](', alone(stream(0, 1, 2)), alone(stream(9, 3, 4)), 'eu.'))).toEqual([[1, 2], [3, 4]]);
    const twice = Buffer.concat([legacyHead(pickle('ctorch.storage\n_load_from_bytes\nC', 1, 'a', 0x85, 'R'), []), Buffer.alloc(0)]);
    expect(failure(() => rowsOf(pickle(head(1), '](', alone(twice), 'eu.'))).code).toBe('FORMAT_UNSUPPORTED');
  });

  test('counts, sizes and shapes that do not agree are refused', () => {
    expect(failure(() => rowsOf(pickle(head(2), array(pickle('C', 24, numbers)), 'u.'))).code).toBe('FORMAT_INVALID');
    expect(failure(() => rowsOf(pickle(head(3), array(pickle('C', 20, numbers.subarray(0, 20))), 'u.'))).code).toBe('FORMAT_INVALID');
    expect(failure(() => rowsOf(pickle(head(0), 'Nu.'))).code).toBe('FORMAT_INVALID');
  });
});
