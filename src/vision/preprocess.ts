// A picture as a vision encoder wants it: resized as Pillow does, cropped at the centre, scaled and
// normalised, channels first.
import { decodePicture } from './decode.ts';
import { VisionError } from './errors.ts';
import { resize } from './resample.ts';
import type { Picture, PictureLimits, PicturePreset } from './types.ts';

export interface PixelValues {
  readonly width: number;
  readonly height: number;
  /** float32 `[3, height, width]`, RGB. The receiver owns it. */
  readonly data: Float32Array;
}

/**
 * Encoded bytes -> pixel values `[3, height, width]`.
 *
 * @throws VisionError as `decodePicture` does
 */
export async function preprocessPicture(bytes: Uint8Array, preset: PicturePreset, limits: PictureLimits = {}): Promise<PixelValues> {
  return toPixelValues(await decodePicture(bytes, { ...limits, alpha: preset.alpha }), preset);
}

/**
 * Decoded RGB pixels -> pixel values `[3, height, width]`. Source of the order of steps: Hugging Face's
 * CLIP image processor (resize, centre crop, rescale, normalise).
 */
export function toPixelValues(picture: Picture, preset: PicturePreset): PixelValues {
  if (picture.channels !== 3) throw new VisionError({ code: 'VISION_CONFIG', what: `the picture has ${picture.channels} channels, 3 are wanted`, todo: 'decode it with its alpha dropped or laid on a colour' });
  const { width, height } = resizedSize(picture.width, picture.height, preset);
  const crop = presetSize(preset);
  // The odd pixel of a margin goes to the right and the bottom; a negative margin is a black border.
  const left = marginOf(width, crop.width);
  const top = marginOf(height, crop.height);
  const region = { left: Math.max(0, left), top: Math.max(0, top), width: Math.min(width, crop.width), height: Math.min(height, crop.height) };
  const rgb = resize(picture.data, picture.width, picture.height, width, height, preset.filter, region);
  const plane = crop.width * crop.height;
  const data = new Float32Array(3 * plane);
  for (let channel = 0; channel < 3; channel++) {
    const values = tableOf(preset, channel);
    const pixels = data.subarray(channel * plane, (channel + 1) * plane).fill(values[0]!);
    for (let y = 0; y < region.height; y++) {
      const row = (y + Math.max(0, -top)) * crop.width + Math.max(0, -left);
      const from = y * region.width * 3 + channel;
      for (let x = 0; x < region.width; x++) pixels[row + x] = values[rgb[from + x * 3]!]!;
    }
  }
  return { width: crop.width, height: crop.height, data };
}

/**
 * The size of the pixel values, the same for every picture.
 *
 * @throws VisionError `VISION_CONFIG` when the preset neither crops nor squeezes
 */
export function presetSize(preset: PicturePreset): { readonly width: number; readonly height: number } {
  if (preset.crop) return preset.crop;
  if (preset.resize.kind === 'squeeze') return preset.resize;
  throw new VisionError({
    code: 'VISION_CONFIG',
    what: 'the picture preset neither crops nor squeezes',
    why: 'pictures of different shapes would give pixel values of different sizes',
    todo: 'set crop_size with do_center_crop, or a size with height and width',
  });
}

/** The size after resizing, before the crop. */
export function resizedSize(width: number, height: number, preset: Pick<PicturePreset, 'resize'>): { readonly width: number; readonly height: number } {
  const rule = preset.resize;
  if (rule.kind === 'none') return { width, height };
  if (rule.kind === 'squeeze') return { width: rule.width, height: rule.height };
  const long = Math.trunc((rule.size * Math.max(width, height)) / Math.min(width, height));
  return width <= height ? { width: rule.size, height: long } : { width: long, height: rule.size };
}

/** First row or column of a centre crop; floor((size − crop) / 2), or −ceil of the border that is missing. */
function marginOf(size: number, crop: number): number {
  return size >= crop ? Math.floor((size - crop) / 2) : -Math.ceil((crop - size) / 2);
}

/** The value of each byte. */
function tableOf(preset: PicturePreset, channel: number): Float32Array {
  const mean = preset.mean[channel]!;
  const std = preset.std[channel]!;
  return Float32Array.from({ length: 256 }, (_, byte) => (byte * preset.rescale - mean) / std);
}
