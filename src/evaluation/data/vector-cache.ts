// Vectors kept between runs by the hash of what they were made from: one file per encoder or adapter,
// records appended whole and checked on reading, so that a run that was killed costs one record.
import { createHash } from 'node:crypto';
import { closeSync, mkdirSync, openSync, readFileSync, truncateSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { FromageError } from '../../errors.ts';

const hashBytes = 32;
const checkBytes = 8;

export interface VectorCache {
  /** @param key any text or bytes; what is kept goes by its SHA-256 */
  get(key: string | Uint8Array): Float32Array | undefined;
  set(key: string | Uint8Array, vector: Float32Array): void;
  close(): void;
}

/** A file of `[hash, vector, checksum]` records of one width; null keeps vectors in memory alone. */
export function openVectorCache(file: string | null, width: number): VectorCache {
  const known = new Map<string, Float32Array>();
  let handle: number | null = null;
  if (file !== null) {
    try {
      mkdirSync(dirname(file), { recursive: true });
      handle = openSync(file, 'a');
      truncateSync(file, readRecords(readFileSync(file), width, known));
    } catch (cause) {
      throw new FromageError({ code: 'EVALUATION_CACHE', what: `${file} cannot be used: ${cause instanceof Error ? cause.message : String(cause)}`, todo: 'remove it, or name another FROMAGE_DATA_DIR', cause });
    }
  }
  return {
    get: (key) => known.get(hashOf(key).toString('hex')),
    set(key, vector) {
      const hash = hashOf(key);
      known.set(hash.toString('hex'), vector);
      if (handle === null) return;
      const values = new Uint8Array(vector.buffer, vector.byteOffset, vector.byteLength);
      const record = Buffer.concat([hash, values]);
      writeSync(handle, Buffer.concat([record, hashOf(record).subarray(0, checkBytes)]));
    },
    close() {
      if (handle !== null) closeSync(handle);
      handle = null;
    },
  };
}

/** @returns length of what is whole */
function readRecords(bytes: Buffer, width: number, known: Map<string, Float32Array>): number {
  const record = hashBytes + width * 4;
  let at = 0;
  for (; at + record + checkBytes <= bytes.length; at += record + checkBytes) {
    const content = bytes.subarray(at, at + record);
    if (!hashOf(content).subarray(0, checkBytes).equals(bytes.subarray(at + record, at + record + checkBytes))) break;
    const vector = new Float32Array(width);
    new Uint8Array(vector.buffer).set(content.subarray(hashBytes));
    known.set(content.subarray(0, hashBytes).toString('hex'), vector);
  }
  return at;
}

function hashOf(key: string | Uint8Array): Buffer {
  return createHash('sha256').update(key).digest();
}
