// Picture presets from outside: Hugging Face's preprocessor_config.json as it is found in the wild for
// CLIP, and the "picture" object of a model.json of ours.
import { z } from 'zod';
import { VisionError } from './errors.ts';
import type { Colour, PicturePreset, ResampleFilter } from './types.ts';

const openAiMean = [0.48145466, 0.4578275, 0.40821073] as const;
const openAiStd = [0.26862954, 0.26130258, 0.27577711] as const;

/** Sides above this are a mistake in a file, and would cost memory before anything else complains. */
const side = z.number().int().min(1).max(4096);
const number = z.number().finite();
const positive = number.positive();
const triple = z.tuple([number, number, number]);
const positiveTriple = z.tuple([positive, positive, positive]);

const preprocessorConfig = z.object({
  do_resize: z.boolean().nullish(),
  size: z.union([side, z.object({ shortest_edge: side }), z.object({ height: side, width: side })]).nullish(),
  resample: z.number().int().nullish(),
  do_center_crop: z.boolean().nullish(),
  crop_size: z.union([side, z.object({ height: side, width: side })]).nullish(),
  do_rescale: z.boolean().nullish(),
  rescale_factor: positive.nullish(),
  do_normalize: z.boolean().nullish(),
  image_mean: z.union([triple, number]).nullish(),
  image_std: z.union([positiveTriple, positive]).nullish(),
  do_convert_rgb: z.boolean().nullish(),
});

const modelPicture = z.strictObject({
  background: z.string().regex(/^#[0-9a-f]{6}$/i).optional(),
  resize: z.enum(['squeeze', 'shortest']),
  size: side,
  filter: z.enum(['bicubic', 'bilinear']).optional(),
  /** Value = (byte − mean) / scale, one number for all channels or one each. */
  mean: z.union([number, triple]),
  scale: z.union([positive, positiveTriple]),
});

/**
 * CLIP's own preset for a picture size: bicubic to the shorter side, centre crop, alpha dropped.
 *
 * @param size side of the square in pixels
 */
export function clipPreset(size: number): PicturePreset {
  return {
    alpha: 'drop',
    resize: { kind: 'shortest', size },
    filter: 'bicubic',
    crop: { width: size, height: size },
    rescale: 1 / 255,
    mean: openAiMean,
    std: openAiStd,
  };
}

/**
 * Reads a parsed preprocessor_config.json (old `CLIPFeatureExtractor` and new `CLIPImageProcessor` form).
 * What the file leaves out is as in `clipPreset(imageSize)`.
 *
 * @throws VisionError `VISION_CONFIG`
 */
export function parsePreprocessorConfig(json: unknown, imageSize = 224): PicturePreset {
  const config = checked(preprocessorConfig, json, 'preprocessor_config.json');
  const base = clipPreset(imageSize);
  return {
    alpha: 'drop',
    resize: config.do_resize === false ? { kind: 'none' } : resizeOf(config.size) ?? base.resize,
    filter: filterOf(config.resample ?? 3),
    crop: config.do_center_crop === false ? null : square(config.crop_size) ?? base.crop,
    rescale: config.do_rescale === false ? 1 : config.rescale_factor ?? base.rescale,
    mean: config.do_normalize === false ? [0, 0, 0] : each(config.image_mean ?? base.mean),
    std: config.do_normalize === false ? [1, 1, 1] : each(config.image_std ?? base.std),
  };
}

/**
 * Reads the `picture` object of a model.json: `{background?, resize, size, filter?, mean, scale}`.
 *
 * @throws VisionError `VISION_CONFIG`
 */
export function parseModelPicture(json: unknown): PicturePreset {
  const picture = checked(modelPicture, json, 'picture in model.json');
  const { size } = picture;
  return {
    alpha: picture.background === undefined ? 'drop' : { background: parseColour(picture.background) },
    resize: picture.resize === 'squeeze' ? { kind: 'squeeze', width: size, height: size } : { kind: 'shortest', size },
    filter: picture.filter ?? 'bicubic',
    crop: picture.resize === 'squeeze' ? null : { width: size, height: size },
    rescale: 1,
    mean: each(picture.mean),
    std: each(picture.scale),
  };
}

function resizeOf(size: z.infer<typeof preprocessorConfig>['size']): PicturePreset['resize'] | null {
  if (size === null || size === undefined) return null;
  if (typeof size === 'number') return { kind: 'shortest', size };
  return 'shortest_edge' in size ? { kind: 'shortest', size: size.shortest_edge } : { kind: 'squeeze', width: size.width, height: size.height };
}

function square(size: z.infer<typeof preprocessorConfig>['crop_size']): PicturePreset['crop'] {
  if (size === null || size === undefined) return null;
  return typeof size === 'number' ? { width: size, height: size } : { width: size.width, height: size.height };
}

/** Pillow's numbers for its kernels. */
function filterOf(resample: number): ResampleFilter {
  if (resample === 2) return 'bilinear';
  if (resample === 3) return 'bicubic';
  throw new VisionError({ code: 'VISION_CONFIG', what: `resample is ${resample}, known are 2 (bilinear) and 3 (bicubic)`, todo: 'choose an encoder that was trained with one of the two' });
}

function each(value: number | readonly [number, number, number]): readonly [number, number, number] {
  return typeof value === 'number' ? [value, value, value] : value;
}

function parseColour(hex: string): Colour {
  const value = Number.parseInt(hex.slice(1), 16);
  return { r: value >> 16, g: (value >> 8) & 255, b: value & 255 };
}

function checked<T>(schema: z.ZodType<T>, json: unknown, name: string): T {
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new VisionError({ code: 'VISION_CONFIG', what: `${name}: ${issue?.path.join('.') || 'the whole'}: ${issue?.message ?? 'not valid'}`, todo: 'compare the file with the one the encoder was published with' });
}
