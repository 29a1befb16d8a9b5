// The frame of a stored zip archive as PyTorch writes it: each entry's data begins at a multiple of 64
// bytes (the padding stands in the extra field "FB"), zip64 where a size or place needs it.
const ALIGNMENT = 64;
const NEEDS_ZIP64 = 0xffffffff;
/** 1 January 1980: the same contents give the same file. */
const DOS_DATE = 0x21;

export interface PlannedEntry {
  readonly name: string;
  readonly byteLength: number;
  readonly crc32: number;
}

/** What stands before each entry's data, and behind the last. */
export interface ZipPlan {
  readonly entries: readonly { readonly header: Uint8Array; readonly headerOffset: number; readonly dataOffset: number }[];
  readonly tail: Uint8Array;
  readonly tailOffset: number;
}

/** Lays out an archive; pure, so that archives of any size can be planned without their data. */
export function planZip(entries: readonly PlannedEntry[]): ZipPlan {
  const placed: { header: Uint8Array; headerOffset: number; dataOffset: number }[] = [];
  const directory: Uint8Array[] = [];
  let at = 0;
  for (const entry of entries) {
    const header = localHeader(entry, at);
    placed.push({ header, headerOffset: at, dataOffset: at + header.length });
    directory.push(directoryEntry(entry, at));
    at += header.length + entry.byteLength;
  }
  return { entries: placed, tail: endOf(directory, at), tailOffset: at };
}

function localHeader(entry: PlannedEntry, at: number): Uint8Array {
  const name = Buffer.from(entry.name);
  const zip64 = entry.byteLength >= NEEDS_ZIP64 ? zip64Field([entry.byteLength, entry.byteLength]) : Buffer.alloc(0);
  const bare = at + 30 + name.length + zip64.length + 4;
  const padding = Buffer.alloc(4 + ((ALIGNMENT - (bare % ALIGNMENT)) % ALIGNMENT), 'Z');
  padding.write('FB');
  padding.writeUInt16LE(padding.length - 4, 2);
  const fixed = Buffer.alloc(30);
  fixed.writeUInt32LE(0x04034b50);
  writeFacts(fixed, 4, entry, name.length, zip64.length + padding.length);
  return Buffer.concat([fixed, name, zip64, padding]);
}

function directoryEntry(entry: PlannedEntry, at: number): Uint8Array {
  const name = Buffer.from(entry.name);
  const wide = [...(entry.byteLength >= NEEDS_ZIP64 ? [entry.byteLength, entry.byteLength] : []), ...(at >= NEEDS_ZIP64 ? [at] : [])];
  const extra = wide.length > 0 ? zip64Field(wide) : Buffer.alloc(0);
  const fixed = Buffer.alloc(46);
  fixed.writeUInt32LE(0x02014b50);
  fixed.writeUInt16LE(wide.length > 0 ? 45 : 20, 4);
  writeFacts(fixed, 6, entry, name.length, extra.length);
  fixed.writeUInt32LE(Math.min(at, NEEDS_ZIP64), 42);
  return Buffer.concat([fixed, name, extra]);
}

/** The part that both kinds of header share: version, flags, method (stored), date, sizes, lengths. */
function writeFacts(header: Buffer, from: number, entry: PlannedEntry, nameBytes: number, extraBytes: number): void {
  const size = Math.min(entry.byteLength, NEEDS_ZIP64);
  header.writeUInt16LE(size === NEEDS_ZIP64 ? 45 : 20, from);
  header.writeUInt16LE(0x0800, from + 2);
  header.writeUInt16LE(DOS_DATE, from + 8);
  header.writeUInt32LE(entry.crc32, from + 10);
  header.writeUInt32LE(size, from + 14);
  header.writeUInt32LE(size, from + 18);
  header.writeUInt16LE(nameBytes, from + 22);
  header.writeUInt16LE(extraBytes, from + 24);
}

function zip64Field(values: readonly number[]): Buffer {
  const field = Buffer.alloc(4 + 8 * values.length);
  field.writeUInt16LE(1);
  field.writeUInt16LE(8 * values.length, 2);
  for (const [i, value] of values.entries()) field.writeBigUInt64LE(BigInt(value), 4 + 8 * i);
  return field;
}

function endOf(directory: readonly Uint8Array[], at: number): Uint8Array {
  const entries = Buffer.concat(directory);
  const count = directory.length;
  const wide = at >= NEEDS_ZIP64 || count >= 0xffff;
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50);
  end.writeUInt16LE(Math.min(count, 0xffff), 8);
  end.writeUInt16LE(Math.min(count, 0xffff), 10);
  end.writeUInt32LE(entries.length, 12);
  end.writeUInt32LE(Math.min(at, NEEDS_ZIP64), 16);
  return Buffer.concat([entries, ...(wide ? [zip64End(count, entries.length, at)] : []), end]);
}

function zip64End(count: number, directoryBytes: number, directoryOffset: number): Buffer {
  const record = Buffer.alloc(56 + 20);
  record.writeUInt32LE(0x06064b50);
  record.writeBigUInt64LE(44n, 4);
  record.writeUInt16LE(45, 12);
  record.writeUInt16LE(45, 14);
  record.writeBigUInt64LE(BigInt(count), 24);
  record.writeBigUInt64LE(BigInt(count), 32);
  record.writeBigUInt64LE(BigInt(directoryBytes), 40);
  record.writeBigUInt64LE(BigInt(directoryOffset), 48);
  record.writeUInt32LE(0x07064b50, 56);
  record.writeBigUInt64LE(BigInt(directoryOffset + directoryBytes), 64);
  record.writeUInt32LE(1, 72);
  return record;
}
