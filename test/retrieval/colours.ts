// An "encoder" that looks at colours and an "adapter" that moves them: small, real, and the same in every process.
import type { Projection } from '../../src/retrieval/index.ts';
import { decodePicture, resize } from '../../src/vision/index.ts';

export const grid = 4;
export const width = grid * grid * 3;

/** `[48]`: the colours of a 4 × 4 version of the picture around grey. */
export async function encodeColours(images: readonly Uint8Array[]): Promise<readonly (Float32Array | Error)[]> {
  return Promise.all(
    images.map(async (bytes) => {
      try {
        const picture = await decodePicture(bytes);
        return Float32Array.from(resize(picture.data, picture.width, picture.height, grid, grid, 'bicubic'), (value) => value / 127.5 - 1 + 1e-3);
      } catch (error) {
        return error as Error;
      }
    }),
  );
}

/** An "adapter" that moves every entry by `shift` places. */
export function shifted(shift: number, adapters?: readonly string[]): Projection {
  return {
    key: `shift-${shift}`,
    dim: width,
    project: async (pooled) => pooled.map((row) => normal(row.map((_, i) => row[(i + shift) % row.length]!))),
    ...(adapters ? { adapters } : {}),
  };
}

export function normal(values: Float32Array): Float32Array {
  const norm = Math.hypot(...values);
  return values.map((value) => value / norm);
}
