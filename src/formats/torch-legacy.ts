// The stream that torch.save wrote before it wrote zip archives, and still writes for a tensor pickled
// alone: magic number, protocol, system information, the object's pickle, the storages' keys, then each
// storage as its element count and its raw bytes.
// Source: torch/serialization.py, _legacy_load.
import { ByteCursor } from './byte-cursor.ts';
import type { ByteRange } from './byte-range.ts';
import { BLOCKS } from './dequantize.ts';
import { FormatError } from './errors.ts';
import { PickleBudget } from './pickle/budget.ts';
import { CHECKPOINT_BUDGET_BYTES, unpickle } from './pickle/reader.ts';
import { PickledClass, PickledStorage } from './pickle/values.ts';
import type { PickleValue } from './pickle/values.ts';

const MAGIC = 0x1950a86a20f9469cfc6cn;
const PROTOCOL = 1001;

/** True when the bytes begin as such a stream does (PROTO 2, LONG1 of ten bytes, the magic number). */
export function isLegacyTorch(head: Uint8Array): boolean {
  return head[0] === 0x80 && head[2] === 0x8a && head[3] === 0x0a && head[4] === 0x6c && head[5] === 0xfc;
}

/**
 * The saved object, with every storage's place set.
 *
 * @param budget shared with the pickle that the stream stands in, where it does
 */
export function readLegacyTorch(range: ByteRange, budget = new PickleBudget(CHECKPOINT_BUDGET_BYTES)): PickleValue {
  const fail = (at: number, what: string): FormatError => new FormatError({ code: 'FORMAT_INVALID', file: range.file, offset: range.start + at, what });
  const magic = unpickle(range, 0, { budget });
  if (magic.value !== MAGIC) throw fail(0, 'the magic number of torch.save is missing');
  const protocol = unpickle(range, magic.end, { budget });
  if (protocol.value !== PROTOCOL) throw fail(magic.end, 'is of an unknown torch.save protocol');
  const system = unpickle(range, protocol.end, { budget });
  if (system.value instanceof Map && system.value.get('little_endian') === false) {
    throw new FormatError({ code: 'FORMAT_UNSUPPORTED', file: range.file, offset: range.start + protocol.end, what: 'the storages are big-endian' });
  }
  const storages = new Map<string, PickledStorage>();
  const object = unpickle(range, system.end, { budget, persistentLoad: (id, invalid) => loadStorage(id, storages, invalid) });
  const keys = unpickle(range, object.end, { budget });
  if (!Array.isArray(keys.value)) throw fail(object.end, 'the list of storages is missing');
  placeStorages(range, keys.end, keys.value, storages, fail);
  return object.value;
}

/** ('storage', class, key, device, elements, view), the same in the zip form. */
export function storageOfId(id: PickleValue, invalid: (what: string) => FormatError): { key: string; storage: PickledStorage; view: PickleValue } {
  if (!Array.isArray(id) || id.length < 5 || id[0] !== 'storage') throw invalid('a persistent id is no storage');
  const [, kind, key, , elements, view] = id;
  if (!(kind instanceof PickledClass) || !/Storage$/.test(kind.name)) throw invalid('a storage has no known class');
  if (typeof key !== 'string' || typeof elements !== 'number' || !Number.isSafeInteger(elements) || elements < 0) throw invalid('a storage has no key or a wrong size');
  return { key, storage: new PickledStorage(kind.dtype, elements), view: view ?? null };
}

function loadStorage(id: PickleValue, storages: Map<string, PickledStorage>, invalid: (what: string) => FormatError): PickledStorage {
  const { key, storage, view } = storageOfId(id, invalid);
  // Views of storages were given up in torch 0.4.
  if (view !== null) throw invalid(`storage ${key} is a view of another`);
  const known = storages.get(key);
  if (known !== undefined && (known.dtype !== storage.dtype || known.elements !== storage.elements)) throw invalid(`storage ${key} is described in two ways`);
  if (known === undefined) storages.set(key, storage);
  return known ?? storage;
}

function placeStorages(range: ByteRange, start: number, keys: readonly PickleValue[], storages: ReadonlyMap<string, PickledStorage>, fail: (at: number, what: string) => FormatError): void {
  let at = start;
  for (const key of keys) {
    const storage = typeof key === 'string' ? storages.get(key) : undefined;
    if (storage === undefined) throw fail(at, 'a storage is stored that no tensor uses');
    if (storage.bytes !== null) throw fail(at, `storage ${String(key)} is stored twice`);
    const elements = new ByteCursor(range, at).size(`the size of storage ${String(key)}`);
    if (elements !== storage.elements) throw fail(at, `storage ${String(key)} has ${elements} elements, ${storage.elements} were described`);
    const byteLength = elements * (storage.dtype === null ? 1 : BLOCKS[storage.dtype].bytes);
    storage.bytes = range.slice(at + 8, byteLength, `storage ${String(key)}`);
    at += 8 + byteLength;
  }
  for (const [key, storage] of storages) if (storage.bytes === null) throw fail(start, `storage ${key} is not in the file`);
}
