// A checkpoint of 13 GB in three shards that are mostly holes: opening reads headers, not weights.
import { closeSync, ftruncateSync, mkdirSync, openSync, rmSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { openWeights, readEmbeddingsPickle } from '../../src/formats/index.ts';
import { planZip } from '../../src/formats/zip-write.ts';
import { legacyHead, pickle, storage, temporaryFolder, tensor, text, u32, u64 } from './samples.ts';

const ROWS = 1_150_000;
const COLUMNS = 1024;
const ELEMENTS = ROWS * COLUMNS;

/** A zip64 archive with an entry beyond 4 GiB and one placed behind it; the last row ends in 7. */
function writeZipShard(file: string, name: string): void {
  const view = (key: string, elements: number, shape: readonly number[], strides: readonly number[]): Buffer => tensor(storage(key, elements), 0, shape, strides);
  const body = pickle(0x80, 2, '}(', text(name), view('0', ELEMENTS, [ROWS, COLUMNS], [COLUMNS, 1]), text(`${name}.bias`), view('1', 1, [1], [1]), 'u.');
  const sizes = [body.length, ELEMENTS * 4, 4];
  const plan = planZip(['data.pkl', 'data/0', 'data/1'].map((entry, i) => ({ name: `archive/${entry}`, byteLength: sizes[i] ?? 0, crc32: 0 })));
  const handle = openSync(file, 'w');
  for (const { header, headerOffset } of plan.entries) writeSync(handle, header, 0, header.length, headerOffset);
  writeSync(handle, body, 0, body.length, plan.entries[0]?.dataOffset ?? 0);
  const seven = Buffer.from(Float32Array.of(7).buffer);
  writeSync(handle, seven, 0, 4, (plan.entries[1]?.dataOffset ?? 0) + ELEMENTS * 4 - 4);
  writeSync(handle, seven, 0, 4, plan.entries[2]?.dataOffset ?? 0);
  writeSync(handle, plan.tail, 0, plan.tail.length, plan.tailOffset);
  closeSync(handle);
}

function writeLegacyShard(file: string, name: string): void {
  const head = Buffer.concat([legacyHead(pickle('}', text(name), tensor(storage('0', ELEMENTS, 'FloatStorage', true), 0, [ROWS, COLUMNS], [COLUMNS, 1]), 's'), ['0']), u64(ELEMENTS)]);
  const handle = openSync(file, 'w');
  writeSync(handle, head);
  ftruncateSync(handle, head.length + ELEMENTS * 4);
  closeSync(handle);
}

test('13 GB in shards open with less than 300 MB of added memory, and a row can be read', () => {
  const folder = join(temporaryFolder(), 'large');
  mkdirSync(folder);
  const names = ['a', 'b', 'c'].map((name) => `pytorch_model-${name}.bin`);
  writeZipShard(join(folder, names[0] ?? ''), 'a');
  writeZipShard(join(folder, names[1] ?? ''), 'b');
  writeLegacyShard(join(folder, names[2] ?? ''), 'c');
  const weight_map = { a: names[0], 'a.bias': names[0], b: names[1], 'b.bias': names[1], c: names[2] };
  writeFileSync(join(folder, 'pytorch_model.bin.index.json'), JSON.stringify({ weight_map }));
  try {
    expect(names.reduce((sum, name) => sum + statSync(join(folder, name)).size, 0)).toBeGreaterThan(13e9);
    const before = process.memoryUsage().rss;
    const store = openWeights(folder);
    expect(Array.from(store.readRowsFloat32('b', ROWS - 1, 1).subarray(-2))).toEqual([0, 7]);
    expect(Array.from(store.readFloat32('a.bias'))).toEqual([7]);
    expect(store.readRowsFloat32('c', ROWS - 1, 1)).toHaveLength(COLUMNS);
    expect((process.memoryUsage().rss - before) / 1e6).toBeLessThan(300);
    store.close();
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('embeddings of 3 GB are read a row at a time', () => {
  const file = join(temporaryFolder(), 'embeddings.pkl');
  const rows = 2_900_000;
  const dim = 256;
  const paths = Array.from({ length: rows }, () => text('p'));
  const dtype = pickle('cnumpy\ndtype\n', text('f4'), 0x85, 'R(K', 3, text('<'), 'tb');
  const head = pickle(0x80, 4, '}(', text('paths'), '](', Buffer.concat(paths), 'e', text('embeddings'), 'cnumpy._core.multiarray\n_reconstruct\ncnumpy\nndarray\nK', 0, 0x85, 'C', 1, 'b', 0x87, 'R(K', 1, 'J', u32(rows), 'M', 0, 1, 0x86, dtype, 0x89, 0x8e, u64(rows * dim * 4));
  const handle = openSync(file, 'w');
  writeSync(handle, head);
  writeSync(handle, Buffer.from(Float32Array.of(5).buffer), 0, 4, head.length + dim * 4);
  writeSync(handle, Buffer.from('tbu.'), 0, 4, head.length + rows * dim * 4);
  closeSync(handle);
  try {
    const before = process.memoryUsage().rss;
    const embeddings = readEmbeddingsPickle(file);
    expect(embeddings).toMatchObject({ count: rows, dim });
    const seen: number[] = [];
    for (const row of embeddings.rows()) {
      seen.push(row[0] ?? NaN);
      if (seen.length === 100_000) break;
    }
    expect(seen.slice(0, 3)).toEqual([0, 5, 0]);
    expect((process.memoryUsage().rss - before) / 1e6).toBeLessThan(600);
    embeddings.close();
  } finally {
    rmSync(file);
  }
});
