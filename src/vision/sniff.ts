// What a file is, by its first bytes alone: names and media types from outside are not trusted.
import type { PictureFormat } from './types.ts';

const signatures: readonly { readonly format: PictureFormat; readonly parts: readonly (readonly [offset: number, bytes: readonly number[]])[] }[] = [
  { format: 'jpeg', parts: [[0, [0xff, 0xd8, 0xff]]] },
  { format: 'png', parts: [[0, [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]]] },
  { format: 'webp', parts: [[0, [0x52, 0x49, 0x46, 0x46]], [8, [0x57, 0x45, 0x42, 0x50]]] },
  { format: 'gif', parts: [[0, [0x47, 0x49, 0x46, 0x38]]] },
];

/** @returns the format whose signature the bytes begin with, or null for anything that is not accepted */
export function sniffPicture(bytes: Uint8Array): PictureFormat | null {
  const match = signatures.find(({ parts }) => parts.every(([offset, expected]) => expected.every((byte, i) => bytes[offset + i] === byte)));
  return match?.format ?? null;
}
