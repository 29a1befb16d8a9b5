import { describe, expect, test } from '@jest/globals';
import sharp from 'sharp';
import { hammingDistance, makeThumbnail, perceptualHash, sanitizePicture } from '../../src/vision/index.ts';
import { fromRgb, pngChunk, pngOf, scene } from './drawn.ts';

describe('a sanitized picture', () => {
  test('has lost place, author, profile and comments, and stands upright', async () => {
    const jpeg = await fromRgb(scene(60, 40), 60, 40)
      .withMetadata({ orientation: 6 })
      .withExifMerge({ IFD0: { Artist: 'A. Secret', ImageDescription: 'at home' }, IFD3: { GPSLatitudeRef: 'N', GPSLatitude: '51/1 30/1 3230/100' } })
      .jpeg().toBuffer();
    expect((await sharp(jpeg).metadata()).exif).toBeDefined();
    expect(jpeg.includes('A. Secret')).toBe(true);
    const clean = await sanitizePicture(Buffer.concat([jpeg, Buffer.from('<script>appended</script>')]));
    const metadata = await sharp(clean.bytes).metadata();
    expect([metadata.exif, metadata.icc, metadata.xmp, metadata.iptc, metadata.orientation]).toEqual([undefined, undefined, undefined, undefined, undefined]);
    expect(Buffer.from(clean.bytes).includes('A. Secret')).toBe(false);
    expect(Buffer.from(clean.bytes).includes('appended')).toBe(false);
    expect(clean).toMatchObject({ mimeType: 'image/jpeg', width: 40, height: 60 });
    expect([metadata.width, metadata.height]).toEqual([40, 60]);
  });

  test('text chunks of a PNG are gone', async () => {
    const png = pngOf(1, 1, 8, 2, Uint8Array.of(0, 1, 2, 3), [pngChunk('tEXt', Buffer.from('Comment\0whisper'))]);
    const clean = await sanitizePicture(png, { format: 'png' });
    expect(Buffer.from(clean.bytes).includes('whisper')).toBe(false);
    expect(Array.from(await sharp(clean.bytes).removeAlpha().raw().toBuffer())).toEqual([1, 2, 3]);
  });

  test('no side is longer than asked, and small ones are not enlarged', async () => {
    const png = await fromRgb(scene(90, 30), 90, 30).png().toBuffer();
    expect(await sanitizePicture(png, { maxSide: 45, format: 'webp' })).toMatchObject({ width: 45, height: 15, mimeType: 'image/webp' });
    expect(await sanitizePicture(png, { maxSide: 500 })).toMatchObject({ width: 90, height: 30, mimeType: 'image/jpeg' });
    expect(await makeThumbnail(png, 30)).toMatchObject({ width: 30, height: 10, mimeType: 'image/jpeg' });
  });

  test('transparency is kept as PNG by default, and laid on white in a JPEG', async () => {
    const rgba = Uint8Array.from({ length: 16 * 16 * 4 }, () => 0);
    const png = await sharp(rgba, { raw: { width: 16, height: 16, channels: 4 } }).png().toBuffer();
    const kept = await sanitizePicture(png);
    expect(kept.mimeType).toBe('image/png');
    expect((await sharp(kept.bytes).metadata()).hasAlpha).toBe(true);
    const jpeg = await sanitizePicture(png, { format: 'jpeg' });
    expect((await sharp(jpeg.bytes).raw().toBuffer())[0]).toBeGreaterThan(250);
  });

  test('work that goes beyond its time is given up', async () => {
    const noise = await sharp({ create: { width: 5000, height: 5000, channels: 3, background: '#777', noise: { type: 'gaussian', mean: 128, sigma: 60 } } }).jpeg({ quality: 30 }).toBuffer();
    await expect(sanitizePicture(noise, { maxSide: 5000, format: 'png', timeoutMs: 1000 })).rejects.toMatchObject({ code: 'VISION_TIMEOUT', userMessage: expect.any(String) });
  });

  test('damaged files are refused like everywhere', async () => {
    await expect(sanitizePicture(Buffer.from('no picture'))).rejects.toMatchObject({ code: 'VISION_FORMAT' });
  });
});

describe('the perceptual hash', () => {
  test('survives scaling, recompression and a change of format; other pictures are far', async () => {
    const hashes: string[] = [];
    for (let seed = 1; seed <= 8; seed++) {
      const original = fromRgb(scene(160, 120, seed), 160, 120);
      const hash = await perceptualHash(await original.clone().png().toBuffer());
      expect(hash).toMatch(/^[0-9a-f]{16}$/);
      const copies = [
        original.clone().jpeg({ quality: 40 }),
        original.clone().resize(60, 45).webp({ quality: 60 }),
        original.clone().resize(400, 300).jpeg(),
        original.clone().resize(100, 80, { fit: 'fill' }).gif(),
      ];
      for (const copy of copies) expect(hammingDistance(hash, await perceptualHash(await copy.toBuffer()))).toBeLessThanOrEqual(8);
      hashes.push(hash);
    }
    for (const [i, a] of hashes.entries()) for (const b of hashes.slice(i + 1)) expect(hammingDistance(a, b)).toBeGreaterThan(12);
  });

  test('a flat picture has a hash too, the same for each', async () => {
    const grey = await perceptualHash(await fromRgb(new Uint8Array(300).fill(90), 10, 10).png().toBuffer());
    expect(grey).toBe(await perceptualHash(await fromRgb(new Uint8Array(300).fill(200), 10, 10).png().toBuffer()));
  });

  test('distances count bits', () => {
    expect(hammingDistance('0000000000000000', 'ffffffffffffffff')).toBe(64);
    expect(hammingDistance('8000000000000001', '0000000000000003')).toBe(2);
  });
});
