// A row as conversations see it: without fingerprint and address.
import type { PictureRow } from '../contracts.ts';
import type { Picture, ScoredPicture } from '../types.ts';

export function pictureOf({ perceptualHash: _hash, url: _url, dead: _dead, ...picture }: PictureRow): Picture {
  return picture;
}

export function scored(row: PictureRow | null, score: number): ScoredPicture | null {
  return row && { ...pictureOf(row), score };
}
