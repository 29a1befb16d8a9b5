// Pictures written anew for keeping and showing: only the pixels pass, so that places, names and
// whatever else hides in a file stay behind.
import { finish, openPicture } from './decode.ts';
import type { EncodedPicture, PictureLimits, SanitizeOptions } from './types.ts';

const mimeTypes = { jpeg: 'image/jpeg', png: 'image/png', webp: 'image/webp' } as const;

/**
 * Encodes the first frame anew: upright, in sRGB, without metadata, no side longer than `maxSide`.
 * Transparency survives in PNG and WebP and is laid on white in JPEG.
 *
 * @throws VisionError as `decodePicture` does
 */
export async function sanitizePicture(bytes: Uint8Array, options: SanitizeOptions = {}): Promise<EncodedPicture> {
  const { header, pipeline } = await openPicture(bytes, { ...options, profile: 'apply' });
  const format = options.format ?? (header.hasAlpha ? 'png' : 'jpeg');
  const maxSide = options.maxSide ?? 2048;
  const sized = pipeline.resize({ width: maxSide, height: maxSide, fit: 'inside', withoutEnlargement: true });
  const flat = format === 'jpeg' ? sized.flatten({ background: '#ffffff' }) : sized;
  const written = flat.toFormat(format, format === 'png' ? { compressionLevel: 6 } : { quality: 88 });
  const { data, info } = await finish(written.toBuffer({ resolveWithObject: true }));
  return { bytes: new Uint8Array(data.buffer, data.byteOffset, data.length), mimeType: mimeTypes[format], width: info.width, height: info.height };
}

/** A small JPEG, no side longer than `side` pixels. Errors as `decodePicture`. */
export async function makeThumbnail(bytes: Uint8Array, side: number, limits: PictureLimits = {}): Promise<EncodedPicture> {
  return sanitizePicture(bytes, { ...limits, maxSide: side, format: 'jpeg' });
}
