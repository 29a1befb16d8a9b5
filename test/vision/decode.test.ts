import { describe, expect, test } from '@jest/globals';
import sharp from 'sharp';
import { decodePicture, VisionError } from '../../src/vision/index.ts';
import { fromRgb, pngChunk, pngOf, scene } from './drawn.ts';

const pixel = (picture: { data: Uint8Array; width: number; channels: number }, x: number, y: number): number[] =>
  Array.from(picture.data.subarray((y * picture.width + x) * picture.channels, (y * picture.width + x) * picture.channels + 3));

async function codeOf(bytes: Uint8Array, options = {}): Promise<string> {
  const error = await decodePicture(bytes, options).then(() => null, (thrown: unknown) => thrown);
  if (error === null) return 'decoded';
  expect(error).toBeInstanceOf(VisionError);
  expect((error as VisionError).userMessage).toMatch(/^[A-Z].*[.?]$/);
  return (error as VisionError).code;
}

/** Left half red, right half blue. */
function twoColours(width: number, height: number): Uint8Array {
  return Uint8Array.from({ length: width * height * 3 }, (_, i) => {
    const left = Math.floor(i / 3) % width < width / 2;
    return i % 3 === 0 ? (left ? 255 : 0) : i % 3 === 2 ? (left ? 0 : 255) : 0;
  });
}

describe('every kind of picture comes out as upright 8-bit RGB', () => {
  test('lossless files give back their pixels', async () => {
    const rgb = scene(31, 17);
    for (const encoder of [fromRgb(rgb, 31, 17).png(), fromRgb(rgb, 31, 17).webp({ lossless: true })]) {
      const picture = await decodePicture(await encoder.toBuffer());
      expect(picture).toMatchObject({ width: 31, height: 17, channels: 3 });
      expect(Buffer.from(picture.data).equals(rgb)).toBe(true);
    }
  });

  test.each([1, 2, 3, 4, 5, 6, 7, 8])('EXIF orientation %i is applied', async (orientation) => {
    const jpeg = await fromRgb(twoColours(32, 16), 32, 16).withMetadata({ orientation }).jpeg({ quality: 100 }).toBuffer();
    const picture = await decodePicture(jpeg);
    const turned = orientation >= 5;
    expect([picture.width, picture.height]).toEqual(turned ? [16, 32] : [32, 16]);
    // Where the red half lies after turning: left, right, right, left, top, top, bottom, bottom.
    const redAt = [[2, 8], [29, 8], [29, 8], [2, 8], [8, 2], [8, 2], [8, 29], [8, 29]][orientation - 1]!;
    const [r, , b] = pixel(picture, redAt[0]!, redAt[1]!);
    expect(r).toBeGreaterThan(200);
    expect(b).toBeLessThan(60);
  });

  test('CMYK JPEG', async () => {
    const jpeg = await fromRgb(twoColours(32, 16), 32, 16).toColourspace('cmyk').jpeg({ quality: 95 }).toBuffer();
    expect((await sharp(jpeg).metadata()).space).toBe('cmyk');
    const picture = await decodePicture(jpeg);
    expect(picture.channels).toBe(3);
    expect(pixel(picture, 3, 8)[0]).toBeGreaterThan(150);
    expect(pixel(picture, 28, 8)[2]).toBeGreaterThan(100);
    expect(pixel(picture, 28, 8)[0]).toBeLessThan(120);
  });

  test('16-bit PNG keeps the high bytes', async () => {
    const samples = [0x12, 0x34, 0x80, 0x00, 0xff, 0xff];
    const picture = await decodePicture(pngOf(1, 1, 16, 2, Uint8Array.from([0, ...samples])));
    expect(Array.from(picture.data)).toEqual([0x12, 0x80, 0xff]);
  });

  test('grey, grey with alpha and 1-bit become three equal channels', async () => {
    expect(Array.from((await decodePicture(pngOf(2, 1, 8, 0, Uint8Array.of(0, 7, 200)))).data)).toEqual([7, 7, 7, 200, 200, 200]);
    expect(Array.from((await decodePicture(pngOf(1, 1, 8, 4, Uint8Array.of(0, 90, 10)))).data)).toEqual([90, 90, 90]);
    expect(Array.from((await decodePicture(pngOf(2, 1, 1, 0, Uint8Array.of(0, 0b01000000)))).data)).toEqual([0, 0, 0, 255, 255, 255]);
  });

  test('palette with transparency: colours stay when alpha is dropped, the background shows when it is asked for', async () => {
    const palette = pngChunk('PLTE', Uint8Array.of(200, 10, 20, 1, 2, 3));
    const transparency = pngChunk('tRNS', Uint8Array.of(255, 0));
    const png = pngOf(2, 1, 8, 3, Uint8Array.of(0, 0, 1), [palette, transparency]);
    expect(Array.from((await decodePicture(png)).data)).toEqual([200, 10, 20, 1, 2, 3]);
    const onGreen = await decodePicture(png, { alpha: { background: { r: 0, g: 255, b: 0 } } });
    expect(Array.from(onGreen.data)).toEqual([200, 10, 20, 0, 255, 0]);
    const kept = await decodePicture(png, { alpha: 'keep' });
    expect(kept.channels).toBe(4);
    expect(Array.from(kept.data)).toEqual([200, 10, 20, 255, 1, 2, 3, 0]);
  });

  test.each(['gif', 'webp'] as const)('of an animated %s the first frame', async (format) => {
    const frames = [[255, 0, 0], [0, 0, 255]].map((colour) => Uint8Array.from({ length: 8 * 8 * 3 }, (_, i) => colour[i % 3]!));
    const animated = await sharp(Buffer.concat(frames), { raw: { width: 8, height: 16, channels: 3, pageHeight: 8 } }).toFormat(format, format === 'webp' ? { lossless: true } : {}).toBuffer();
    expect((await sharp(animated, { animated: true }).metadata()).pages).toBe(2);
    const picture = await decodePicture(animated);
    expect([picture.width, picture.height]).toEqual([8, 8]);
    expect(pixel(picture, 4, 4)).toEqual([255, 0, 0]);
  });

  test('1 × 1', async () => {
    const picture = await decodePicture(await fromRgb(Uint8Array.of(5, 6, 7), 1, 1).png().toBuffer());
    expect(picture).toMatchObject({ width: 1, height: 1 });
    expect(Array.from(picture.data)).toEqual([5, 6, 7]);
  });
});

describe('what is refused, with a code and a sentence for the sender', () => {
  test('too many bytes', async () => {
    expect(await codeOf(await fromRgb(scene(40, 40), 40, 40).png().toBuffer(), { maxBytes: 100 })).toBe('VISION_TOO_LARGE');
  });

  test('a bomb is refused by its header, before a pixel is decoded', async () => {
    const before = process.memoryUsage().rss;
    const bomb = pngOf(30_000, 30_000, 8, 2, new Uint8Array(1_000_000));
    expect(bomb.length).toBeLessThan(5000);
    expect(await codeOf(bomb)).toBe('VISION_TOO_MANY_PIXELS');
    expect(process.memoryUsage().rss - before).toBeLessThan(100_000_000);
  });

  test('a header of 2^31 pixels a side', async () => {
    expect(await codeOf(pngOf(0x7fffffff, 0x7fffffff, 8, 2, new Uint8Array(10)))).toMatch(/^VISION_(TOO_MANY_PIXELS|DAMAGED)$/);
  });

  test('the pixel cap can be set', async () => {
    const png = await fromRgb(scene(40, 40), 40, 40).png().toBuffer();
    expect(await codeOf(png, { maxPixels: 1599 })).toBe('VISION_TOO_MANY_PIXELS');
    expect(await codeOf(png, { maxPixels: 1600 })).toBe('decoded');
  });

  test.each([['jpeg', 0.6], ['png', 0.6], ['webp', 0.6], ['gif', 0.6], ['jpeg', 0.02], ['png', 0.02], ['webp', 0.02], ['gif', 0.02]] as const)('a %s cut at %f of its length', async (format, part) => {
    const whole = await fromRgb(scene(120, 90), 120, 90).toFormat(format).toBuffer();
    expect(await codeOf(whole)).toBe('decoded');
    expect(await codeOf(whole.subarray(0, Math.floor(whole.length * part)))).toBe('VISION_DAMAGED');
  });

  test.each([
    ['nothing', new Uint8Array(0)],
    ['text', Buffer.from('hello')],
    ['SVG', Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/></svg>')],
    ['SVG after a declaration', Buffer.from('<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>')],
    ['PDF', Buffer.from('%PDF-1.4\n')],
    ['a RIFF that is no WebP', Buffer.from('RIFF\0\0\0\0AVI LIST')],
  ])('%s', async (_, bytes) => {
    expect(await codeOf(bytes)).toBe('VISION_FORMAT');
  });

  test('TIFF, AVIF and what libvips itself writes', async () => {
    const picture = fromRgb(scene(16, 16), 16, 16);
    expect(await codeOf(await picture.clone().tiff().toBuffer())).toBe('VISION_FORMAT');
    expect(await codeOf(await picture.clone().avif({ effort: 0 }).toBuffer())).toBe('VISION_FORMAT');
    expect(await codeOf(Buffer.concat([Buffer.from([0xb6, 0xa6, 0xf2, 0x08]), Buffer.alloc(60)]))).toBe('VISION_FORMAT');
  });

  test('the loaders of other formats are shut in the whole process', async () => {
    const svg = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>');
    await expect(sharp(svg).metadata()).rejects.toThrow();
    const tiff = await fromRgb(scene(16, 16), 16, 16).tiff().toBuffer();
    await expect(sharp(tiff).metadata()).rejects.toThrow();
  });

  test('a polyglot is taken for what its first bytes say, and nothing else in it counts', async () => {
    const gif = await fromRgb(scene(16, 16), 16, 16).gif().toBuffer();
    const polyglot = Buffer.concat([gif, Buffer.from('<script>alert(1)</script><svg xmlns="http://www.w3.org/2000/svg"/>')]);
    const picture = await decodePicture(polyglot);
    expect([picture.width, picture.height]).toEqual([16, 16]);
    expect(await codeOf(Buffer.concat([Buffer.from('GIF89a'), Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>')]))).toBe('VISION_DAMAGED');
    expect(await codeOf(Buffer.concat([Buffer.from([0xff, 0xd8, 0xff]), gif]))).toBe('VISION_DAMAGED');
  });
});
