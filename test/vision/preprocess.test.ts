import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { clipPreset, parseModelPicture, parsePreprocessorConfig, preprocessPicture, resizeBicubic, toPixelValues, type Picture, type PicturePreset } from '../../src/vision/index.ts';
import { fromRgb, pngOf, scene } from './drawn.ts';

function ramp(width: number, height: number): Picture {
  return { width, height, channels: 3, data: Uint8Array.from({ length: width * height * 3 }, (_, i) => (i * 7) % 251) };
}

/** Bytes as they are, so that geometry can be read off. */
const plain: PicturePreset = { alpha: 'drop', resize: { kind: 'none' }, filter: 'bicubic', crop: { width: 2, height: 2 }, rescale: 1, mean: [0, 0, 0], std: [1, 1, 1] };

describe('geometry', () => {
  test('the odd row and column of a centre crop fall to the right and the bottom', () => {
    const picture = ramp(5, 3);
    const { data } = toPixelValues(picture, plain);
    const red = (x: number, y: number): number => picture.data[(y * 5 + x) * 3]!;
    expect(Array.from(data.subarray(0, 4))).toEqual([red(1, 0), red(2, 0), red(1, 1), red(2, 1)]);
  });

  test('a picture smaller than the crop gets a black border, its wider side left and above', () => {
    const { data } = toPixelValues({ width: 1, height: 1, channels: 3, data: Uint8Array.of(9, 8, 7) }, { ...plain, mean: [1, 0, 0] });
    expect(Array.from(data)).toEqual([-1, -1, -1, 8, 0, 0, 0, 8, 0, 0, 0, 7]);
  });

  test('the shorter side is set and the longer one cut down to whole pixels', () => {
    // 7 · 10 / 4 = 17.5 -> 17 rows, of which the crop takes 5..11
    const picture = ramp(4, 10);
    const { data } = toPixelValues(picture, { ...plain, resize: { kind: 'shortest', size: 7 }, crop: { width: 7, height: 7 } });
    const whole = resizeBicubic(picture.data, 4, 10, 7, 17);
    const expected = Array.from({ length: 49 }, (_, i) => whole[((Math.floor(i / 7) + 5) * 7 + (i % 7)) * 3]!);
    expect(Array.from(data.subarray(0, 49))).toEqual(expected);
  });

  test('a sliver of a picture costs no more than its crop', () => {
    const { data } = toPixelValues(ramp(1, 40_000), clipPreset(224));
    expect(data).toHaveLength(3 * 224 * 224);
  });

  test('a preset that neither crops nor squeezes is refused', () => {
    expect(() => toPixelValues(ramp(4, 4), { ...plain, crop: null })).toThrow(expect.objectContaining({ code: 'VISION_CONFIG' }));
  });
});

describe('preprocessor_config.json', () => {
  test('old and new spellings of sizes mean the same', () => {
    const old = parsePreprocessorConfig({ size: 336, crop_size: 336, feature_extractor_type: 'CLIPFeatureExtractor' });
    expect(old).toEqual(parsePreprocessorConfig({ size: { shortest_edge: 336 }, crop_size: { height: 336, width: 336 }, resample: 3 }));
    expect(old).toEqual(clipPreset(336));
  });

  test('what is missing is as CLIP has it, for the encoder\'s own size', () => {
    expect(parsePreprocessorConfig({}, 64)).toEqual(clipPreset(64));
  });

  test('every switch is obeyed', () => {
    const preset = parsePreprocessorConfig({
      do_resize: true, size: { height: 30, width: 40 }, resample: 2, do_center_crop: false, do_rescale: true, rescale_factor: 0.5, do_normalize: false, do_convert_rgb: true,
    });
    expect(preset).toEqual({ alpha: 'drop', resize: { kind: 'squeeze', width: 40, height: 30 }, filter: 'bilinear', crop: null, rescale: 0.5, mean: [0, 0, 0], std: [1, 1, 1] });
    expect(parsePreprocessorConfig({ do_resize: false, do_rescale: false })).toMatchObject({ resize: { kind: 'none' }, rescale: 1 });
  });

  test.each([[{ size: -1 }], [{ size: { shortest_edge: 1e9 } }], [{ image_std: [0, 1, 1] }], [{ image_mean: [1, 2] }], [{ resample: 1 }], ['text'], [null]])('%j is refused', (json) => {
    expect(() => parsePreprocessorConfig(json)).toThrow(expect.objectContaining({ code: 'VISION_CONFIG' }));
  });
});

describe('the starter\'s preset', () => {
  const preset = parseModelPicture({ background: '#ffffff', resize: 'squeeze', size: 224, mean: 127, scale: 128 });

  test('is read from the model.json of the repository', () => {
    const model = JSON.parse(readFileSync(new URL('../../models/starter/model.json', import.meta.url), 'utf8')) as { picture: unknown };
    expect(parseModelPicture(model.picture)).toEqual(preset);
  });

  test('squeezes, and lays transparency on white', async () => {
    // One row of three RGBA pixels: opaque, half transparent, fully transparent.
    const rgba = [0, 255, 0, 0, 255, 10, 20, 30, 128, 1, 2, 3, 0];
    const png = pngOf(3, 1, 8, 6, Uint8Array.from(rgba));
    const { width, height, data } = await preprocessPicture(png, { ...preset, resize: { kind: 'none' }, crop: { width: 3, height: 1 } });
    expect([width, height]).toEqual([3, 1]);
    const onWhite = [255, Math.round((10 * 128 + 255 * 127) / 255), 255];
    expect(Array.from(data.subarray(0, 3))).toEqual(onWhite.map((byte) => (byte - 127) / 128));
    const squeezed = await preprocessPicture(await fromRgb(scene(30, 10), 30, 10).png().toBuffer(), preset);
    const resized = resizeBicubic(scene(30, 10), 30, 10, 224, 224);
    expect(Array.from(squeezed.data.subarray(0, 500))).toEqual(Array.from({ length: 500 }, (_, i) => (resized[i * 3]! - 127) / 128));
  });

  test('unknown keys are refused', () => {
    expect(() => parseModelPicture({ resize: 'squeeze', size: 224, mean: 127, scale: 128, colour: 'x' })).toThrow(expect.objectContaining({ code: 'VISION_CONFIG' }));
  });
});
