// The one door to weights: finds out from the bytes (or, for a folder, from its names) which reader a
// path needs.
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { WeightFile } from './byte-range.ts';
import { FormatError } from './errors.ts';
import { openGguf } from './gguf.ts';
import { openSafetensors } from './safetensors.ts';
import { openSharded } from './sharded.ts';
import { closingOnError } from './store.ts';
import { isLegacyTorch } from './torch-legacy.ts';
import { openTorch } from './torch.ts';
import type { WeightStore } from './types.ts';

/** Names tried in a folder, best first; safetensors needs no pickle and is preferred. */
const PREFERRED = ['model.safetensors', 'model.safetensors.index.json', 'pytorch_model.bin', 'pytorch_model.bin.index.json'];
/** Else the only file of one of these kinds, in this order. */
const ENDINGS = [/\.safetensors\.index\.json$/, /\.safetensors$/, /\.bin\.index\.json$/, /\.bin$/, /\.(pth|pt|pth\.tar)$/, /\.gguf$/];

/**
 * Opens weights of any readable format; a folder is searched for the usual names.
 *
 * @throws FormatError `FORMAT_UNKNOWN` when nothing readable is there, or several files of one kind
 */
export function openWeights(path: string): WeightStore {
  return openFile(isFolder(path) ? findInFolder(path) : path);
}

function openFile(path: string): WeightStore {
  if (path.endsWith('.index.json')) return openSharded(path, openFile);
  return openerOf(path)(path);
}

/** By the first bytes; names lie often enough (`.pth.tar` is no tar). */
function openerOf(path: string): (path: string) => WeightStore {
  const file = new WeightFile(path);
  const head = closingOnError(file, () => Buffer.from(file.read(0, Math.min(16, file.size), 'the first bytes')));
  file.close();
  if (head.subarray(0, 4).toString('latin1') === 'GGUF') return openGguf;
  if (head.subarray(0, 2).toString('latin1') === 'PK' || isLegacyTorch(head)) return openTorch;
  if (head.length > 8 && head[8] === 0x7b) return openSafetensors;
  throw new FormatError({
    code: 'FORMAT_UNKNOWN', file: path, offset: 0, what: 'is neither safetensors, nor a PyTorch checkpoint, nor GGUF',
    ...(/^(version https:\/\/git-l)/.test(head.toString('latin1')) ? { why: 'it is a Git LFS pointer', todo: 'run git lfs pull' } : {}),
  });
}

function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch (cause) {
    throw new FormatError({ code: 'FORMAT_FILE', file: path, what: `cannot be read: ${cause instanceof Error ? cause.message : ''}`, cause });
  }
}

function findInFolder(folder: string): string {
  const names = readdirSync(folder).sort();
  const preferred = PREFERRED.find((name) => names.includes(name));
  if (preferred !== undefined) return join(folder, preferred);
  for (const ending of ENDINGS) {
    const found = names.filter((name) => ending.test(name));
    const [only] = found;
    if (found.length > 1) throw new FormatError({ code: 'FORMAT_UNKNOWN', file: folder, what: `there are several: ${found.slice(0, 8).join(', ')}`, todo: 'name the file' });
    if (only !== undefined) return join(folder, only);
  }
  throw new FormatError({ code: 'FORMAT_UNKNOWN', file: folder, what: 'holds no weights', todo: 'it should hold .safetensors, .bin, .pth or .gguf' });
}
