// Files that appear whole or not at all: written beside their place, forced to disk, renamed.
import { randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, openSync, renameSync, unlinkSync, writeSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { FormatError } from './errors.ts';

/** @param chunks written one after the other */
export function writeFileWhole(file: string, chunks: Iterable<Uint8Array>): void {
  const temporary = join(dirname(file), `.${basename(file)}.${randomBytes(6).toString('hex')}.tmp`);
  let handle: number | null = null;
  try {
    handle = openSync(temporary, 'wx');
    for (const chunk of chunks) {
      let done = 0;
      while (done < chunk.length) done += writeSync(handle, chunk, done, chunk.length - done);
    }
    fsyncSync(handle);
    closeSync(handle);
    handle = null;
    renameSync(temporary, file);
    syncFolder(dirname(file));
  } catch (cause) {
    if (handle !== null) closeSync(handle);
    try {
      unlinkSync(temporary);
    } catch {
      // It was never made, or is already renamed.
    }
    throw new FormatError({ code: 'FORMAT_WRITE', file, what: `cannot be written: ${cause instanceof Error ? cause.message : String(cause)}`, cause });
  }
}

/** Makes the rename itself durable. Windows cannot open folders; there the rename is left to the system. */
function syncFolder(folder: string): void {
  if (process.platform === 'win32') return;
  const handle = openSync(folder, 'r');
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
