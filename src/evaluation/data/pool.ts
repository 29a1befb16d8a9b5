// Pooled features of pictures that a caller holds itself: encoded in small calls, features taken as they are.
import { createHash } from 'node:crypto';
import type { Engine, EngineImage } from '../../engine/types.ts';
import type { EvaluationOptions } from '../types.ts';
import { embeddingFile } from './embed.ts';
import { openVectorCache } from './vector-cache.ts';

const callSize = 16;

/** @returns `[visionHiddenSize]` each; throws the error of a picture that cannot be decoded */
export async function poolPictures(engine: Engine, images: readonly EngineImage[], options: EvaluationOptions): Promise<Float32Array[]> {
  const unknown = images.some((image) => 'bytes' in image);
  if (!unknown) return images.map((image) => ('pooled' in image ? image.pooled : new Float32Array()));
  const { visionHash, visionHiddenSize } = await engine.info();
  const cache = openVectorCache(embeddingFile(options, 'pictures', visionHash), visionHiddenSize);
  const results: Float32Array[] = [];
  try {
    for (let start = 0; start < images.length; start += callSize) {
      options.signal?.throwIfAborted();
      const part = images.slice(start, start + callSize);
      const fresh = part.flatMap((image) => ('bytes' in image && !cache.get(image.bytes) ? [image.bytes] : []));
      const encoded = await engine.encodeImages(fresh);
      fresh.forEach((bytes, i) => {
        const features = encoded[i];
        if (!(features instanceof Float32Array)) throw features;
        cache.set(bytes, features);
      });
      for (const image of part) results.push('pooled' in image ? image.pooled : cache.get(image.bytes)!);
      options.onProgress?.({ stage: 'reading the pictures', unit: 'pictures', done: results.length, total: images.length });
    }
    return results;
  } finally {
    cache.close();
  }
}

/** Names features by what is in them. */
export function hashFeatures(pooled: Float32Array): string {
  return createHash('sha256').update(new Uint8Array(pooled.buffer, pooled.byteOffset, pooled.byteLength)).digest('hex');
}
