// Arrays and captions.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { FormatError, readNpy, readTsv, writeNpy } from '../../src/formats/index.ts';
import type { CaptionedImage, NpyData, NpyWriteOptions } from '../../src/formats/index.ts';
import { temporaryFolder } from './samples.ts';

const folder = temporaryFolder();

async function all(rows: AsyncIterable<CaptionedImage>): Promise<CaptionedImage[]> {
  const list: CaptionedImage[] = [];
  for await (const row of rows) list.push(row);
  return list;
}

describe('npy', () => {
  const arrays: [string, NpyData, NpyWriteOptions][] = [
    ['f8', Float64Array.of(1, 2, 0.1, 4, 5, 6), {}], ['f4', Float32Array.of(1, 2, 3, 4, 5, 6.5), {}], ['f2', Float32Array.of(1, 2, 3, 4, 5, -0.5), { dtype: 'f2' }],
    ['i8', BigInt64Array.of(1n, -2n, 3n, 4n, 5n, 2n ** 62n), {}], ['i4', Int32Array.of(1, -2, 3, 4, 5, 6), {}], ['u1', Uint8Array.of(1, 2, 3, 4, 5, 255), {}],
    ['b1', Uint8Array.of(1, 0, 1, 1, 0, 0), { dtype: 'b1' }],
  ];
  test.each(arrays)('%s goes there and back in both orders and all versions', (dtype, data, options) => {
    const file = join(folder, 'a.npy');
    for (const fortranOrder of [false, true]) {
      for (const version of [1, 2, 3] as const) {
        writeNpy(file, { shape: [2, 3], data }, { ...options, fortranOrder, version });
        expect(readNpy(file)).toEqual({ dtype, shape: [2, 3], data });
      }
    }
  });

  const bytes = (header: string, data = 8): string => {
    const file = join(folder, 'hostile.npy');
    const head = Buffer.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, header.length & 255, header.length >> 8]);
    writeFileSync(file, Buffer.concat([head, Buffer.from(header), Buffer.alloc(data)]));
    return file;
  };
  test('Fortran order as numpy lays it out', () => {
    const file = bytes("{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3), }", 0);
    writeFileSync(file, Uint8Array.of(1, 4, 2, 5, 3, 6), { flag: 'a' });
    expect(Array.from(readNpy(file).data as Uint8Array)).toEqual([1, 2, 3, 4, 5, 6]);
  });

  test.each([
    ["{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }", 'FORMAT_TRUNCATED'],
    ["{'descr': '<f4', 'fortran_order': False, 'shape': (99999999, 99999999), }", 'FORMAT_SHAPE'],
    ["{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", 'FORMAT_UNSUPPORTED'],
    ["{'descr': '>f4', 'fortran_order': False, 'shape': (1,), }", 'FORMAT_UNSUPPORTED'],
    ["{'descr': '<f4', 'fortran_order': False, 'shape': (__import__('os'),), }", 'FORMAT_INVALID'],
    ["{'descr': '<f4', 'descr': '<f8', 'fortran_order': False, 'shape': (1,), }", 'FORMAT_DUPLICATE'],
    ["{'descr': '<f4', 'shape': (1,), }", 'FORMAT_INVALID'],
  ])('refuses %s', (header, code) => {
    const file = bytes(header);
    expect(() => readNpy(file)).toThrow(FormatError);
    expect(() => readNpy(file)).toThrow(code);
  });
});

describe('tsv', () => {
  const read = async (contents: string | Uint8Array): Promise<CaptionedImage[]> => {
    const file = join(folder, 'captions.tsv');
    writeFileSync(file, contents);
    return all(readTsv(file));
  };

  test('rows with line numbers, CRLF, quotes as they are, no newline at the end', async () => {
    expect(await read('caption\timage\r\na "dog"\t1.png\r\nein Käse\tb/2.png')).toEqual([
      { caption: 'a "dog"', image: '1.png', line: 2 }, { caption: 'ein Käse', image: 'b/2.png', line: 3 },
    ]);
    expect(await read('image\tx\tcaption\n1.png\t\tdog\n')).toEqual([{ caption: 'dog', image: '1.png', line: 2 }]);
  });

  test('a file larger than one piece is read whole, across characters of several bytes', async () => {
    const rows = await read(`caption\timage\n${Array.from({ length: 20_000 }, (_, i) => `käse ${i}\t${i}.png\n`).join('')}`);
    expect(rows).toHaveLength(20_000);
    expect(rows.every((row, i) => row.caption === `käse ${i}` && row.line === i + 2)).toBe(true);
  });

  test.each([
    ['no header', 'dog\t1.png\n', 'line 1'], ['an empty file', '', 'line 1'], ['a missing tab', 'caption\timage\ndog\t1\ncat\n', 'line 3'],
    ['an empty line', 'caption\timage\n\ncat\t1\n', 'line 2'], ['an empty image', 'caption\timage\ncat\t\n', 'line 2'],
    ['bytes that are no UTF-8', Buffer.from([...Buffer.from('caption\timage\n'), 0xff, 9, 0x61]), 'UTF-8'], ['an endless line', 'caption\timage\n'.padEnd(3_000_000, 'x'), 'longer'],
  ])('refuses %s with its line', async (_name, contents, place) => {
    await expect(read(contents)).rejects.toMatchObject({ code: 'FORMAT_TSV', message: expect.stringContaining(place) });
  });

  test('a missing file is an error of this room', async () => {
    await expect(all(readTsv(join(folder, 'none.tsv')))).rejects.toMatchObject({ code: 'FORMAT_FILE' });
  });
});
