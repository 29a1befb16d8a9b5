// The directory of a zip archive, zip64 included, as PyTorch writes them: entries are stored, so each is
// a plain range of the file. Compressed entries are refused, and with them zip bombs.
// Source: PKWARE's APPNOTE.TXT, sections 4.3 and 4.5.3.
import { ByteCursor } from './byte-cursor.ts';
import type { ByteRange, WeightFile } from './byte-range.ts';
import { FormatError } from './errors.ts';
import { checkOverlaps } from './store.ts';

const END_BYTES = 22;
const MAX_COMMENT_BYTES = 65_535;
const MAX_ENTRIES = 1_000_000;

/** Entries by name; each range is the stored data. Reads the directory and the local headers. */
export function readZip(file: WeightFile): ReadonlyMap<string, ByteRange> {
  const directory = findDirectory(file);
  const cursor = new ByteCursor(file.range().slice(directory.offset, directory.size, 'the directory'));
  const entries = new Map<string, ByteRange>();
  const pieces: { name: string; offset: number; byteLength: number }[] = [{ name: 'the directory', offset: directory.offset, byteLength: directory.size }];
  for (let i = 0; i < directory.count; i++) {
    const entry = readEntry(cursor, file);
    if (entries.has(entry.name)) throw fail('FORMAT_DUPLICATE', file, cursor.offset, `the entry ${JSON.stringify(entry.name)} stands twice`);
    const data = locateData(file, entry);
    entries.set(entry.name, data);
    pieces.push({ name: entry.name, offset: entry.header, byteLength: data.start + data.size - entry.header });
  }
  checkOverlaps(file.file, pieces);
  return entries;
}

interface Entry {
  readonly name: string;
  /** Place of the local header. */
  readonly header: number;
  readonly size: number;
}

function findDirectory(file: WeightFile): { offset: number; size: number; count: number } {
  const tailBytes = Math.min(file.size, END_BYTES + MAX_COMMENT_BYTES);
  const tailStart = file.size - tailBytes;
  const tail = file.read(tailStart, tailBytes, 'the end of the archive');
  let at = tail.length - END_BYTES;
  while (at >= 0 && !(tail[at] === 0x50 && tail[at + 1] === 0x4b && tail[at + 2] === 5 && tail[at + 3] === 6)) at--;
  if (at < 0) throw fail('FORMAT_TRUNCATED', file, tailStart, 'the archive has no directory', 'the end of the file is missing');
  const end = new ByteCursor(file.range(), tailStart + at + 8);
  end.skip(2, 'the end record');
  let count = end.u16('the number of entries');
  let size = end.u32('the size of the directory');
  let offset = end.u32('the place of the directory');
  if (count === 0xffff || size === 0xffffffff || offset === 0xffffffff) ({ count, size, offset } = readZip64End(file, tailStart + at));
  // An entry of the directory takes at least 46 bytes.
  if (count > MAX_ENTRIES || count * 46 > size) throw fail('FORMAT_INVALID', file, tailStart + at, `a directory of ${size} bytes cannot hold ${count} entries`);
  return { offset, size, count };
}

function readZip64End(file: WeightFile, end: number): { offset: number; size: number; count: number } {
  if (end < 20) throw fail('FORMAT_TRUNCATED', file, end, 'the zip64 locator is missing');
  const locator = new ByteCursor(file.range(), end - 20);
  if (locator.u32('the zip64 locator') !== 0x07064b50) throw fail('FORMAT_INVALID', file, end - 20, 'the zip64 locator is missing');
  locator.skip(4, 'the zip64 locator');
  const record = new ByteCursor(file.range(), locator.size('the place of the zip64 record'));
  if (record.u32('the zip64 record') !== 0x06064b50) throw fail('FORMAT_INVALID', file, record.offset, 'the zip64 record is missing');
  record.skip(28, 'the zip64 record');
  const count = record.size('the number of entries');
  const size = record.size('the size of the directory');
  return { count, size, offset: record.size('the place of the directory') };
}

function readEntry(cursor: ByteCursor, file: WeightFile): Entry {
  const start = cursor.offset;
  if (cursor.u32('an entry') !== 0x02014b50) throw fail('FORMAT_INVALID', file, start, 'an entry of the directory has a wrong mark');
  cursor.skip(4, 'an entry');
  const flags = cursor.u16('an entry');
  const method = cursor.u16('an entry');
  cursor.skip(8, 'an entry');
  let packed = cursor.u32('an entry');
  let size = cursor.u32('an entry');
  const nameBytes = cursor.u16('an entry');
  const extraBytes = cursor.u16('an entry');
  const commentBytes = cursor.u16('an entry');
  cursor.skip(8, 'an entry');
  let header = cursor.u32('an entry');
  const name = cursor.text(nameBytes, 'the name of an entry');
  const extra = new ByteCursor(cursor.skip(extraBytes, 'an entry'));
  cursor.skip(commentBytes, 'an entry');
  while (extra.remaining >= 4) {
    const id = extra.u16('an extra field');
    const field = new ByteCursor(extra.skip(extra.u16('an extra field'), 'an extra field'));
    if (id !== 1) continue;
    // zip64: only what did not fit stands here, in this order.
    if (size === 0xffffffff) size = field.size('a zip64 size');
    if (packed === 0xffffffff) packed = field.size('a zip64 size');
    if (header === 0xffffffff) header = field.size('a zip64 place');
  }
  if ((flags & 1) !== 0) throw fail('FORMAT_UNSUPPORTED', file, start, `${name} is encrypted`);
  if (method !== 0) throw fail('FORMAT_UNSUPPORTED', file, start, `${name} is compressed (method ${method})`, 'weights are read where they lie, and torch.save does not compress', 'unpack the archive, or save the weights again with torch.save');
  if (packed !== size) throw fail('FORMAT_INVALID', file, start, `${name} is stored in ${packed} bytes but has ${size}`);
  return { name, header, size };
}

function locateData(file: WeightFile, entry: Entry): ByteRange {
  const cursor = new ByteCursor(file.range().slice(entry.header, 30, `the header of ${entry.name}`));
  if (cursor.u32('a header') !== 0x04034b50) throw fail('FORMAT_INVALID', file, entry.header, `the header of ${entry.name} has a wrong mark`);
  cursor.skip(22, 'a header');
  const nameBytes = cursor.u16('a header');
  const extraBytes = cursor.u16('a header');
  return file.range().slice(entry.header + 30 + nameBytes + extraBytes, entry.size, entry.name);
}

function fail(code: string, file: WeightFile, offset: number, what: string, why?: string, todo?: string): FormatError {
  return new FormatError({ code, file: file.file, offset, what, ...(why === undefined ? {} : { why }), ...(todo === undefined ? {} : { todo }) });
}
