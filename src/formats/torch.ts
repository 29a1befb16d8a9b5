// PyTorch checkpoints: zip archives (.pth, .pth.tar, .bin) and the older stream. Only the pickle is read
// at opening; tensors stay where they lie. Nothing in the file is executed.
// Source: torch/serialization.py, _load and _legacy_load.
import type { ByteRange } from './byte-range.ts';
import { WeightFile } from './byte-range.ts';
import { BLOCKS, toFloat32 } from './dequantize.ts';
import { FormatError } from './errors.ts';
import { unpickle } from './pickle/reader.ts';
import { PickledArray, PickledRecord, PickledStorage, PickledTensor } from './pickle/values.ts';
import type { PickleValue } from './pickle/values.ts';
import { closingOnError, makeStore } from './store.ts';
import { isContiguous, viewSpan } from './tensor-layout.ts';
import { isLegacyTorch, readLegacyTorch, storageOfId } from './torch-legacy.ts';
import type { TensorLocation, WeightStore } from './types.ts';
import { readZip } from './zip.ts';

/** How deep dicts of tensors are followed, and how many values in all (a memo can make few look like many). */
const MAX_DEPTH = 16;
const MAX_VALUES = 1_000_000;

/**
 * Opens a checkpoint. Tensors have dotted keys: those of `state_dict` when the root has one, else the
 * root's own. Other values of the root are `metadata` (numbers, texts, lists, dicts; beside a `state_dict`
 * one-element tensors as numbers; larger ones are left out).
 *
 * @throws FormatError `FORMAT_FORBIDDEN` when the pickle names a class that is not on the list
 */
export function openTorch(path: string): WeightStore {
  return closingOnError(new WeightFile(path), (file) => {
    const head = file.read(0, Math.min(8, file.size), 'the first bytes');
    const root = isLegacyTorch(head) ? readLegacyTorch(file.range()) : readTorchZip(file);
    if (!(root instanceof Map)) throw new FormatError({ code: 'FORMAT_INVALID', file: file.file, what: 'the checkpoint is not a dict of tensors' });
    const nested = root.get('state_dict');
    const collector = new Collector(file);
    collector.collect(nested instanceof Map ? nested : root, '', 0);
    const metadata = collector.plainRoot(root, nested instanceof Map);
    return makeStore({ path, files: [file], tensors: collector.tensors, metadata });
  });
}

function readTorchZip(file: WeightFile): PickleValue {
  const entries = readZip(file);
  const pickles = [...entries.keys()].filter((name) => /^[^/]+\/data\.pkl$/.test(name));
  const [name] = pickles;
  if (name === undefined || pickles.length > 1) {
    throw new FormatError({ code: 'FORMAT_INVALID', file: file.file, what: `the archive holds ${pickles.length} data.pkl, a checkpoint has one` });
  }
  const folder = name.slice(0, -'data.pkl'.length);
  const order = entries.get(`${folder}byteorder`);
  if (order !== undefined && order.size < 16 && Buffer.from(order.read(0, order.size, 'byteorder')).toString().trim() !== 'little') {
    throw new FormatError({ code: 'FORMAT_UNSUPPORTED', file: file.file, offset: order.start, what: 'the archive is not little-endian' });
  }
  const pickle = entries.get(name);
  if (pickle === undefined) throw new FormatError({ code: 'FORMAT_INVALID', file: file.file, what: `${name} is missing` });
  const storages = new Map<string, PickledStorage>();
  return unpickle(pickle, 0, { persistentLoad: (id, invalid) => loadStorage(id, folder, entries, storages, invalid) }).value;
}

function loadStorage(id: PickleValue, folder: string, entries: ReadonlyMap<string, ByteRange>, storages: Map<string, PickledStorage>, invalid: (what: string) => FormatError): PickledStorage {
  const { key, storage } = storageOfId(id, invalid);
  // One file may be described by storages of two types: views that share bytes.
  const alias = `${storage.dtype ?? ''} ${storage.elements} ${key}`;
  const known = storages.get(alias);
  if (known !== undefined) return known;
  const entry = entries.get(`${folder}data/${key}`);
  if (entry === undefined) throw invalid(`storage ${key.slice(0, 80)} is not in the archive`);
  const bytes = storage.elements * (storage.dtype === null ? 1 : BLOCKS[storage.dtype].bytes);
  storage.bytes = entry.slice(0, bytes, `storage ${key}`);
  storages.set(alias, storage);
  return storage;
}

/**
 * Where a pickled tensor lies: the bytes from its first to its last element.
 *
 * @param strides null when the elements lie in row-major order
 * @throws FormatError when the view leaves its storage
 */
export function locateTensor(tensor: PickledTensor, name: string, file: string, fileBytes: number): { range: ByteRange; strides: readonly number[] | null } {
  const storage = tensor.storage.bytes;
  if (storage === null) throw new FormatError({ code: 'FORMAT_INVALID', file, what: `${name} has no storage` });
  const itemBytes = BLOCKS[tensor.dtype].bytes;
  const span = viewSpan(tensor.shape, tensor.strides, itemBytes, fileBytes, { file, offset: storage.start, name });
  const strides = isContiguous(tensor.shape, tensor.strides) ? null : tensor.strides;
  // An empty view may point anywhere; it reads nothing.
  const range = span === 0 ? storage.slice(0, 0, name) : storage.slice(tensor.first * itemBytes, span * itemBytes, name);
  return { range, strides };
}

class Collector {
  readonly tensors = new Map<string, TensorLocation>();
  readonly #file: WeightFile;
  #values = 0;
  /** False where the root's tensors are the weights themselves. */
  #tensorsAsNumbers = false;

  constructor(file: WeightFile) {
    this.#file = file;
  }

  collect(value: PickleValue, name: string, depth: number): void {
    if (value instanceof PickledTensor) this.#add(name, value);
    if (!(value instanceof Map)) return;
    if (depth > MAX_DEPTH) throw this.#limit(`dicts of tensors are nested deeper than ${MAX_DEPTH}`);
    for (const [key, child] of value) {
      this.#count();
      if (typeof key !== 'string' && typeof key !== 'number') continue;
      this.collect(child, name === '' ? String(key) : `${name}.${key}`, depth + 1);
    }
  }

  #add(name: string, tensor: PickledTensor): void {
    const file = this.#file.file;
    if (this.tensors.has(name)) throw new FormatError({ code: 'FORMAT_DUPLICATE', file, what: `the tensor ${JSON.stringify(name)} stands twice` });
    const { range, strides } = locateTensor(tensor, name, file, this.#file.size);
    if (!range.inFile) throw new FormatError({ code: 'FORMAT_UNSUPPORTED', file, what: `${name} is stored inside the pickle` });
    this.tensors.set(name, {
      name, dtype: tensor.dtype, shape: tensor.shape, file, offset: range.start, byteLength: range.size,
      ...(strides === null ? {} : { strides }),
    });
  }

  plainRoot(root: ReadonlyMap<PickleValue, PickleValue>, hasStateDict: boolean): Record<string, unknown> {
    const entries: [string, unknown][] = [];
    this.#tensorsAsNumbers = hasStateDict;
    for (const [key, value] of root) {
      if (hasStateDict && key === 'state_dict') continue;
      const plain = this.#plain(value, 0);
      if (plain !== undefined) entries.push([String(key), plain]);
    }
    return Object.fromEntries(entries);
  }

  /** A value that JSON could hold; undefined for what has no such form. */
  #plain(value: PickleValue, depth: number): unknown {
    this.#count();
    if (depth > MAX_DEPTH) throw this.#limit(`values are nested deeper than ${MAX_DEPTH}`);
    if (value === null || typeof value === 'boolean' || typeof value === 'number' || typeof value === 'string') return value;
    if (typeof value === 'bigint') return value.toString();
    if (value instanceof PickledTensor) return this.#tensorsAsNumbers ? this.#plainTensor(value) : undefined;
    if (value instanceof PickledRecord) return this.#plain(value.state, depth + 1);
    if (value instanceof Set || Array.isArray(value)) return Array.from(value, (entry) => this.#plain(entry, depth + 1) ?? null);
    if (!(value instanceof Map)) return undefined;
    const entries: [string, unknown][] = [];
    for (const [key, child] of value) {
      if (typeof key !== 'string' && typeof key !== 'number') continue;
      const plain = this.#plain(child, depth + 1);
      if (plain !== undefined && !(child instanceof PickledArray)) entries.push([String(key), plain]);
    }
    // A dict of large tensors alone says nothing here.
    return entries.length === 0 && value.size > 0 ? undefined : Object.fromEntries(entries);
  }

  #plainTensor(tensor: PickledTensor): number | undefined {
    if (tensor.shape.some((extent) => extent !== 1)) return undefined;
    const { range } = locateTensor(tensor, 'a value', this.#file.file, this.#file.size);
    return toFloat32(range.read(0, BLOCKS[tensor.dtype].bytes, 'a value'), tensor.dtype)[0];
  }

  #count(): void {
    if (++this.#values > MAX_VALUES) throw this.#limit(`more than ${MAX_VALUES} values`);
  }

  #limit(what: string): FormatError {
    return new FormatError({ code: 'FORMAT_LIMIT', file: this.#file.file, what });
  }
}
