// Pictures that the tests draw themselves: nothing in the repository is a photo.
import { deflateSync } from 'node:zlib';
import sharp, { type Sharp } from 'sharp';

/** mulberry32: a seeded source of numbers in [0, 1). */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** Smooth colours with a few hard edges, so that scaling and recompression have something to keep. */
export function scene(width: number, height: number, seed = 1): Uint8Array {
  const next = random(seed);
  const waves = Array.from({ length: 6 }, () => [next() * 6, next() * 6, next() * 6.28, Math.floor(next() * 3)] as const);
  const boxes = Array.from({ length: 12 }, () => ({ x: next() * 0.8, y: next() * 0.8, width: 0.05 + next() * 0.35, height: 0.05 + next() * 0.35, channel: Math.floor(next() * 3), light: next() * 240 - 120 }));
  const rgb = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const value = [110, 120, 130];
      for (const [fx, fy, phase, channel] of waves) value[channel]! += 50 * Math.sin((fx * x) / width + (fy * y) / height + phase);
      for (const box of boxes) {
        if (x / width > box.x && x / width < box.x + box.width && y / height > box.y && y / height < box.y + box.height) value[box.channel]! += box.light;
      }
      for (let c = 0; c < 3; c++) rgb[(y * width + x) * 3 + c] = Math.max(0, Math.min(255, Math.round(value[c]!)));
    }
  }
  return rgb;
}

export function fromRgb(rgb: Uint8Array, width: number, height: number): Sharp {
  return sharp(rgb, { raw: { width, height, channels: 3 } });
}

/** A PNG chunk with its checksum. */
export function pngChunk(type: string, data: Uint8Array): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(data.length);
  const checksum = Buffer.alloc(4);
  checksum.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, checksum]);
}

/** A PNG by hand: any header, any content. */
export function pngOf(width: number, height: number, depth: number, colourType: number, raw: Uint8Array, extra: readonly Buffer[] = []): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([depth, colourType, 0, 0, 0], 8);
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([signature, pngChunk('IHDR', header), ...extra, pngChunk('IDAT', deflateSync(raw)), pngChunk('IEND', new Uint8Array(0))]);
}

function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return (crc ^ 0xffffffff) >>> 0;
}
