// Ids that follow from what a picture is, so that reading a source again finds the same pictures.
import { createHash } from 'node:crypto';

/** A UUID (version 5 layout over SHA-1) of a source and a key in it. */
export function pictureId(source: string, key: string): string {
  const bytes = createHash('sha1').update(`fromage picture\0${source}\0${key}`).digest().subarray(0, 16);
  bytes[6] = (bytes[6]! & 0x0f) | 0x50;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
