// Seeded damage to pictures: flipped bytes, cut ends, repeated and moved pieces, edited sizes.
import { expect } from '@jest/globals';
import { PictureWorker, VisionError } from '../../src/vision/index.ts';
import { fromRgb, random, scene } from './drawn.ts';

type Damage = (bytes: Buffer, next: () => number) => Buffer;

const kinds: readonly Damage[] = [
  (bytes, next) => {
    for (let i = 1 + Math.floor(next() * 12); i > 0; i--) bytes[Math.floor(next() * bytes.length)] = Math.floor(next() * 256);
    return bytes;
  },
  // The header is where lies about sizes live.
  (bytes, next) => {
    for (let i = 1 + Math.floor(next() * 4); i > 0; i--) bytes[Math.floor(next() * Math.min(64, bytes.length))] = next() < 0.5 ? 0xff : Math.floor(next() * 256);
    return bytes;
  },
  (bytes, next) => bytes.subarray(0, Math.floor(next() * bytes.length)),
  (bytes, next) => {
    const [at, from] = [Math.floor(next() * bytes.length), Math.floor(next() * bytes.length)];
    return Buffer.concat([bytes.subarray(0, at), bytes.subarray(from, from + Math.floor(next() * 200)), bytes.subarray(at)]);
  },
  (bytes, next) => {
    const at = Math.floor(next() * bytes.length);
    return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + Math.floor(next() * 50))]);
  },
  (bytes, next) => {
    const at = Math.floor(next() * Math.max(1, bytes.length - 4));
    bytes.writeUInt32BE(Math.floor(next() * 2 ** 32), Math.min(at, bytes.length - 4));
    return bytes;
  },
];

async function originals(): Promise<Buffer[]> {
  const picture = fromRgb(scene(48, 36), 48, 36);
  const animated = Buffer.concat([scene(16, 16, 2), scene(16, 16, 3)]);
  const { default: sharp } = await import('sharp');
  const frames = sharp(animated, { raw: { width: 16, height: 32, channels: 3, pageHeight: 16 } });
  return Promise.all([
    picture.clone().jpeg().toBuffer(),
    picture.clone().jpeg({ progressive: true }).withMetadata({ orientation: 6 }).toBuffer(),
    picture.clone().toColourspace('cmyk').jpeg().toBuffer(),
    picture.clone().png().toBuffer(),
    picture.clone().png({ palette: true, progressive: true }).toBuffer(),
    picture.clone().toColourspace('rgb16').png().toBuffer(),
    picture.clone().webp().toBuffer(),
    picture.clone().ensureAlpha(0.5).webp({ lossless: true }).toBuffer(),
    frames.clone().webp().toBuffer(),
    frames.clone().gif().toBuffer(),
  ]);
}

/**
 * Feeds `count` damaged pictures to a worker. Every one must give pixels of the stated size or a
 * VisionError of the decoder's own; a crash or a stall of the child counts as a failure.
 *
 * @returns how many were decoded all the same, and how many children were needed
 */
export async function decodeMutated(count: number, seed: number): Promise<{ decoded: number; refused: number; processes: number }> {
  const next = random(seed);
  const sources = await originals();
  const worker = new PictureWorker({ maxWaiting: 100 });
  const processes = new Set<number>();
  const result = { decoded: 0, refused: 0 };
  const tryOne = async (i: number): Promise<void> => {
    let bytes: Buffer = Buffer.from(sources[i % sources.length]!);
    for (let n = 1 + Math.floor(next() * 2); n > 0 && bytes.length >= 8; n--) bytes = kinds[Math.floor(next() * kinds.length)]!(Buffer.from(bytes), next);
    try {
      const picture = await worker.decode(bytes);
      expect(picture.data.length).toBe(picture.width * picture.height * picture.channels);
      result.decoded++;
    } catch (error) {
      expect(error).toBeInstanceOf(VisionError);
      expect((error as VisionError).code).toMatch(/^VISION_(DAMAGED|FORMAT|TOO_MANY_PIXELS)$/);
      result.refused++;
    }
    for (const pid of worker.processIds) processes.add(pid);
  };
  for (let first = 0; first < count; first += 50) {
    await Promise.all(Array.from({ length: Math.min(50, count - first) }, (_, i) => tryOne(first + i)));
  }
  await worker.close();
  return { ...result, processes: processes.size };
}
