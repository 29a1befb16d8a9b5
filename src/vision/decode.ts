// Encoded bytes to pixels, through sharp alone. Every file is hostile here: its kind is read from its
// first bytes, only four decoders are left open, and bytes, pixels and time are capped before decoding.
import sharp, { type Sharp } from 'sharp';
import { damaged, VisionError } from './errors.ts';
import { sniffPicture } from './sniff.ts';
import type { AlphaRule, Colour, DecodeOptions, Picture, PictureFormat, PictureLimits } from './types.ts';

// libvips opens what it recognises; everything but these four is shut for the whole process.
sharp.block({ operation: ['VipsForeignLoad'] });
sharp.unblock({ operation: ['VipsForeignLoadJpegBuffer', 'VipsForeignLoadPngBuffer', 'VipsForeignLoadWebpBuffer', 'VipsForeignLoadNsgifBuffer'] });
// Pictures come one by one and never twice: no cache, and one thread each, as the model wants the cores.
sharp.cache(false);
sharp.concurrency(1);

export const defaultLimits: Required<PictureLimits> = { maxBytes: 20_000_000, maxPixels: 40_000_000, timeoutMs: 10_000 };

/** What the header says, after EXIF rotation. */
export interface PictureHeader {
  readonly format: PictureFormat;
  readonly width: number;
  readonly height: number;
  readonly hasAlpha: boolean;
  readonly cmyk: boolean;
}

/**
 * Reads the header and holds the picture to its limits; no pixel is decoded.
 *
 * @throws VisionError `VISION_TOO_LARGE`, `VISION_FORMAT`, `VISION_TOO_MANY_PIXELS`, `VISION_DAMAGED`
 */
export async function inspectPicture(bytes: Uint8Array, limits: PictureLimits = {}): Promise<PictureHeader> {
  const { maxBytes, maxPixels } = { ...defaultLimits, ...limits };
  if (bytes.length > maxBytes) {
    throw new VisionError({
      code: 'VISION_TOO_LARGE',
      what: `the picture has ${bytes.length} bytes, at most ${maxBytes} are taken`,
      todo: 'send a smaller picture',
      userMessage: `That picture is too large for me: at most ${Math.floor(maxBytes / 1e6)} MB, please.`,
    });
  }
  const format = sniffPicture(bytes);
  if (format === null) {
    throw new VisionError({
      code: 'VISION_FORMAT',
      what: bytes.length === 0 ? 'the picture is empty' : 'the file does not begin as a JPEG, PNG, WebP or GIF does',
      todo: 'send the picture as JPEG, PNG, WebP or GIF',
      userMessage: 'I can only look at JPEG, PNG, WebP and GIF pictures.',
    });
  }
  const header = await open(bytes, false, false).metadata().catch((cause: unknown) => {
    throw damaged(cause);
  });
  if (header.format !== format) throw damaged(`it begins as ${format} and is read as ${header.format}`);
  const { width, height } = header.autoOrient;
  if (width * height > maxPixels) {
    throw new VisionError({
      code: 'VISION_TOO_MANY_PIXELS',
      what: `the picture is ${width} × ${height} pixels, at most ${maxPixels} are decoded`,
      why: 'a small file can unfold into more memory than the machine has',
      todo: 'send a smaller picture',
      userMessage: `That picture has too many pixels for me: at most ${Math.floor(maxPixels / 1e6)} megapixels, please.`,
    });
  }
  return { format, width, height, hasAlpha: header.hasAlpha ?? false, cmyk: header.space === 'cmyk' };
}

/**
 * Decodes the first frame of a JPEG, PNG, WebP or GIF to 8-bit RGB (RGBA where alpha is kept): turned as
 * EXIF says, CMYK, grey, palette and 16-bit widened or narrowed.
 *
 * @throws VisionError `VISION_TOO_LARGE`, `VISION_FORMAT`, `VISION_TOO_MANY_PIXELS`, `VISION_DAMAGED`, `VISION_TIMEOUT`
 */
export async function decodePicture(bytes: Uint8Array, options: DecodeOptions = {}): Promise<Picture> {
  const { pipeline } = await openPicture(bytes, options);
  const { data, info } = await finish(pipeline.raw({ depth: 'uchar' }).toBuffer({ resolveWithObject: true }));
  const channels = info.channels as number;
  if ((channels !== 3 && channels !== 4) || data.length !== info.width * info.height * channels) {
    throw damaged(`${info.width} × ${info.height} with ${channels} channels gave ${data.length} bytes`);
  }
  return withAlpha({ width: info.width, height: info.height, channels, data: new Uint8Array(data.buffer, data.byteOffset, data.length) }, options.alpha ?? 'drop');
}

/** A checked picture as the beginning of a pipeline in sRGB, upright; for re-encoding in this room. */
export async function openPicture(bytes: Uint8Array, options: DecodeOptions): Promise<{ readonly header: PictureHeader; readonly pipeline: Sharp }> {
  const header = await inspectPicture(bytes, options);
  const ignoreProfile = (options.profile ?? 'ignore') === 'ignore' && !header.cmyk;
  const seconds = Math.max(1, Math.ceil((options.timeoutMs ?? defaultLimits.timeoutMs) / 1000));
  const pipeline = open(bytes, ignoreProfile, options.maxPixels ?? defaultLimits.maxPixels).toColourspace('srgb').timeout({ seconds });
  return { header, pipeline };
}

/** Waits for a pipeline and puts its failures into our words. */
export async function finish<T>(work: Promise<T>): Promise<T> {
  return work.catch((cause: unknown) => {
    if (cause instanceof Error && /timeout/i.test(cause.message)) {
      throw new VisionError({
        code: 'VISION_TIMEOUT',
        what: 'decoding the picture took too long',
        todo: 'send a smaller or simpler picture',
        userMessage: 'That picture took me too long to open. Could you send a smaller one?',
        cause,
      });
    }
    throw damaged(cause);
  });
}

/** @param maxPixels false only for reading the header */
function open(bytes: Uint8Array, ignoreIcc: boolean, maxPixels: number | false): Sharp {
  // `error` and not `warning`: phones and old programs write JPEGs with harmless oddities that only warn.
  return sharp(bytes, { failOn: 'error', autoOrient: true, pages: 1, limitInputPixels: maxPixels, ignoreIcc });
}

function withAlpha(picture: Picture, rule: AlphaRule): Picture {
  if (picture.channels === 3 || rule === 'keep') return picture;
  const { width, height, data: rgba } = picture;
  const data = new Uint8Array(width * height * 3);
  const paint = rule === 'drop' ? copyPixel : blendOver(rule.background);
  for (let from = 0, to = 0; to < data.length; from += 4, to += 3) paint(rgba, from, data, to);
  return { width, height, channels: 3, data };
}

type PaintPixel = (rgba: Uint8Array, from: number, rgb: Uint8Array, to: number) => void;

const copyPixel: PaintPixel = (rgba, from, rgb, to) => {
  rgb[to] = rgba[from]!;
  rgb[to + 1] = rgba[from + 1]!;
  rgb[to + 2] = rgba[from + 2]!;
};

function blendOver({ r, g, b }: Colour): PaintPixel {
  return (rgba, from, rgb, to) => {
    const alpha = rgba[from + 3]!;
    rgb[to] = blend(rgba[from]!, r, alpha);
    rgb[to + 1] = blend(rgba[from + 1]!, g, alpha);
    rgb[to + 2] = blend(rgba[from + 2]!, b, alpha);
  };
}

/** (top · alpha + below · (255 − alpha)) / 255, rounded to nearest. */
function blend(top: number, below: number, alpha: number): number {
  return Math.floor((top * alpha + below * (255 - alpha) + 127) / 255);
}
