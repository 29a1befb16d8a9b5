// Models in several files: an index names for each tensor the file it lies in (Hugging Face's
// `*.index.json`, for safetensors and PyTorch shards alike). An index may only point into its own folder.
import { realpathSync } from 'node:fs';
import { basename, dirname, isAbsolute, join, sep } from 'node:path';
import { WeightFile } from './byte-range.ts';
import { FormatError } from './errors.ts';
import { isRecord, own, parseJsonObject } from './json.ts';
import { closingOnError } from './store.ts';
import type { TensorLocation, WeightStore } from './types.ts';

const MAX_INDEX_BYTES = 32 * 2 ** 20;
/** Each shard stays open; the largest published models have some two hundred. */
const MAX_SHARDS = 1000;

/**
 * Opens all shards of an index.
 *
 * @param openShard reader of one shard
 * @throws FormatError `FORMAT_PATH` when a shard lies outside the folder, `FORMAT_TENSOR_MISSING` when a
 * shard lacks a tensor that the index promises
 */
export function openSharded(indexPath: string, openShard: (path: string) => WeightStore): WeightStore {
  const { file, map } = readIndex(indexPath);
  const folder = dirname(indexPath);
  const shards = new Map<string, WeightStore>();
  const close = (): void => {
    for (const shard of shards.values()) shard.close();
  };
  try {
    const tensors = new Map<string, TensorLocation>();
    const owners = new Map<string, WeightStore>();
    for (const [name, shardName] of map) {
      let shard = shards.get(shardName);
      if (shard === undefined) {
        if (shards.size >= MAX_SHARDS) throw new FormatError({ code: 'FORMAT_LIMIT', file, what: `the index names more than ${MAX_SHARDS} files` });
        shard = openShard(checkedPath(file, folder, shardName));
        shards.set(shardName, shard);
      }
      tensors.set(name, shard.locate(name));
      owners.set(name, shard);
    }
    return combine(indexPath, tensors, owners, close, mergedMetadata(shards.values()));
  } catch (error) {
    close();
    throw error;
  }
}

function readIndex(path: string): { file: string; map: [string, string][] } {
  const weightFile = new WeightFile(path);
  return closingOnError(weightFile, (file) => {
    if (file.size > MAX_INDEX_BYTES) throw new FormatError({ code: 'FORMAT_LIMIT', file: file.file, what: `the index is ${file.size} bytes, at most ${MAX_INDEX_BYTES} are read` });
    const text = Buffer.from(file.read(0, file.size, 'the index')).toString('utf8');
    file.close();
    const weightMap = own(parseJsonObject(text, file.file), 'weight_map');
    if (!isRecord(weightMap)) throw new FormatError({ code: 'FORMAT_INVALID', file: file.file, what: 'the index has no weight_map' });
    const map = Object.entries(weightMap).map(([name, shard]): [string, string] => {
      if (typeof shard !== 'string' || shard === '') throw new FormatError({ code: 'FORMAT_INVALID', file: file.file, what: `weight_map names no file for ${JSON.stringify(name)}` });
      return [name, shard];
    });
    return { file: file.file, map };
  });
}

/** The shard's path, once it is sure that it lies in the folder, also behind symbolic links. */
function checkedPath(index: string, folder: string, shard: string): string {
  const outside = (why: string): FormatError => new FormatError({
    code: 'FORMAT_PATH', file: index, what: `the index points to ${JSON.stringify(shard.slice(0, 200))}`, why,
    todo: 'shards lie beside their index; do not use this model before you know who made it',
  });
  const steps = shard.split(/[\\/]/);
  if (isAbsolute(shard) || /^[a-zA-Z]:/.test(shard) || shard.includes('\0') || steps.includes('..')) throw outside('the path leaves the folder');
  const path = join(folder, shard);
  let real: string;
  let home: string;
  try {
    real = realpathSync(path);
    home = realpathSync(folder);
  } catch (cause) {
    throw new FormatError({ code: 'FORMAT_FILE', file: path, what: 'the shard is missing', todo: 'fetch all files that the index names', cause });
  }
  if (!real.startsWith(home + sep) && !real.startsWith(hubBlobs(home) ?? '\0')) throw outside('a symbolic link leaves the folder');
  return path;
}

/** In the Hugging Face cache, `snapshots/<revision>/file` is a link to `blobs/<hash>` of the same model. */
function hubBlobs(folder: string): string | null {
  const snapshots = dirname(folder);
  return basename(snapshots) === 'snapshots' ? join(dirname(snapshots), 'blobs') + sep : null;
}

function mergedMetadata(shards: Iterable<WeightStore>): Record<string, unknown> {
  const entries = new Map<string, unknown>();
  for (const shard of shards) for (const [key, value] of Object.entries(shard.metadata)) if (!entries.has(key)) entries.set(key, value);
  return Object.fromEntries(entries);
}

function combine(path: string, tensors: ReadonlyMap<string, TensorLocation>, owners: ReadonlyMap<string, WeightStore>, close: () => void, metadata: Record<string, unknown>): WeightStore {
  function ownerOf(name: string): WeightStore {
    const owner = owners.get(name);
    if (owner !== undefined) return owner;
    throw new FormatError({ code: 'FORMAT_TENSOR_MISSING', file: path, what: `there is no tensor ${JSON.stringify(name)} among ${tensors.size}`, todo: 'check that the weights belong to the configuration' });
  }
  return {
    tensors,
    metadata,
    close,
    locate: (name) => ownerOf(name).locate(name),
    readBytes: (name) => ownerOf(name).readBytes(name),
    readFloat32: (name) => ownerOf(name).readFloat32(name),
    readRowsFloat32: (name, first, count) => ownerOf(name).readRowsFloat32(name, first, count),
  };
}
