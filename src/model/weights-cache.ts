// One file of converted weights (widened or quantised) beside the original ones, in safetensors form so
// that ONNX Runtime can map it. Its header is a function of the sources, so a file whose header and size
// are as expected is the right one; anything else is written anew. The folder may be emptied at any time.
import { createHash, randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, mkdirSync, openSync, readSync, realpathSync, renameSync, rmSync, fstatSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { FromageError } from '../errors.ts';
import type { WeightStore } from '../formats/types.ts';
import type { ExternalTensor } from '../onnx/graph/index.ts';

/** Raise when the numbers in a converted file change for the same source. */
const version = 1;

export interface CacheTensor {
  readonly name: string;
  readonly type: 'float32' | 'uint8';
  readonly dims: readonly number[];
}

/** Tensors made together: each chunk holds the next bytes of every tensor, in their order. */
export interface CacheEntry {
  readonly tensors: readonly CacheTensor[];
  chunks(): Iterable<readonly Uint8Array[]>;
}

/**
 * Finds the converted tensors, converting them first when the cache has none for these sources.
 *
 * @returns where each tensor lies
 * @throws FromageError `MODEL_CACHE_WRITE` when the folder cannot take them
 */
export async function openWeightsCache(cacheDir: string, store: WeightStore, scheme: string, entries: readonly CacheEntry[], onProgress?: (done: number) => void): Promise<ReadonlyMap<string, ExternalTensor>> {
  const key = sourceKey(store, scheme, entries);
  const { header, offsets, total } = layOut(entries, key);
  let file: string;
  try {
    mkdirSync(cacheDir, { recursive: true });
    file = join(realpathSync(cacheDir), `language-model-${scheme}-${key.slice(0, 16)}.safetensors`);
    if (!isComplete(file, header, total)) await write(file, header, offsets, entries, onProgress);
  } catch (cause) {
    if (cause instanceof FromageError) throw cause;
    throw new FromageError({ code: 'MODEL_CACHE_WRITE', what: `converted weights of ${(total / 1e6).toFixed(0)} MB could not be written to ${cacheDir}`, why: cause instanceof Error ? cause.message : String(cause), todo: 'make room or name another folder; the cache may be deleted at any time', cause });
  }
  const found = new Map<string, ExternalTensor>();
  for (const entry of entries) {
    for (const tensor of entry.tensors) found.set(tensor.name, { type: tensor.type, dims: tensor.dims, file, offset: offsets.get(tensor.name)!, byteLength: byteLength(tensor) });
  }
  return found;
}

/** Names the sources by place, size and time of change, and what was made of them. */
function sourceKey(store: WeightStore, scheme: string, entries: readonly CacheEntry[]): string {
  const files = [...new Set([...store.tensors.values()].map((tensor) => tensor.file))].sort();
  const identity = files.map((file) => {
    const { size, mtimeMs } = statSync(file);
    return [file, size, mtimeMs];
  });
  return createHash('sha256').update(JSON.stringify([version, scheme, identity, entries.map((entry) => entry.tensors)])).digest('hex');
}

function layOut(entries: readonly CacheEntry[], key: string): { header: Buffer; offsets: Map<string, number>; total: number } {
  const record: Record<string, unknown> = { __metadata__: { writer: 'fromage', version: String(version), key } };
  const offsets = new Map<string, number>();
  let at = 0;
  for (const tensor of entries.flatMap((entry) => entry.tensors)) {
    record[tensor.name] = { dtype: tensor.type === 'float32' ? 'F32' : 'U8', shape: tensor.dims, data_offsets: [at, at + byteLength(tensor)] };
    offsets.set(tensor.name, at);
    at += byteLength(tensor);
  }
  const json = Buffer.from(JSON.stringify(record));
  // Spaces after the JSON bring the data to a page border, where mapping them is cheapest.
  const length = Math.ceil((json.length + 8) / 4096) * 4096 - 8;
  const header = Buffer.alloc(8 + length, ' ');
  header.writeBigUInt64LE(BigInt(length), 0);
  json.copy(header, 8);
  for (const [name, offset] of offsets) offsets.set(name, offset + header.length);
  return { header, offsets, total: header.length + at };
}

function isComplete(file: string, header: Buffer, total: number): boolean {
  let descriptor: number;
  try {
    descriptor = openSync(file, 'r');
  } catch {
    return false;
  }
  try {
    if (fstatSync(descriptor).size !== total) return false;
    const found = Buffer.alloc(header.length);
    return readSync(descriptor, found, 0, found.length, 0) === found.length && found.equals(header);
  } finally {
    closeSync(descriptor);
  }
}

/** Writes beside the final name and renames, so that no other process ever sees half a file. */
async function write(file: string, header: Buffer, offsets: ReadonlyMap<string, number>, entries: readonly CacheEntry[], onProgress?: (done: number) => void): Promise<void> {
  const unfinished = `${file}.${process.pid}.${randomBytes(4).toString('hex')}`;
  const descriptor = openSync(unfinished, 'wx');
  try {
    writeAll(descriptor, header, 0);
    for (const [index, entry] of entries.entries()) {
      const at = entry.tensors.map((tensor) => offsets.get(tensor.name)!);
      for (const chunk of entry.chunks()) {
        chunk.forEach((part, i) => {
          writeAll(descriptor, part, at[i]!);
          at[i]! += part.byteLength;
        });
      }
      onProgress?.((index + 1) / entries.length);
      await setImmediate();
    }
    fsyncSync(descriptor);
    closeSync(descriptor);
    renameSync(unfinished, file);
  } catch (error) {
    try {
      closeSync(descriptor);
    } catch {
      // Closed already: the failure came from the rename.
    }
    rmSync(unfinished, { force: true });
    throw error;
  }
}

function writeAll(descriptor: number, data: Uint8Array, position: number): void {
  for (let done = 0; done < data.byteLength; ) done += writeSync(descriptor, data, done, data.byteLength - done, position + done);
}

function byteLength(tensor: CacheTensor): number {
  return tensor.dims.reduce((product, extent) => product * extent, tensor.type === 'float32' ? 4 : 1);
}
