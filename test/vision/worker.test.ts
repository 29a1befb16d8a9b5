import { afterAll, describe, expect, test } from '@jest/globals';
import { clipPreset, decodePicture, perceptualHash, PictureWorker, preprocessPicture, sanitizePicture, VisionError } from '../../src/vision/index.ts';
import { fromRgb, scene } from './drawn.ts';

const worker = new PictureWorker();
afterAll(() => worker.close());
const png = await fromRgb(scene(50, 40), 50, 40).png().toBuffer();

describe('pictures decoded in a child process', () => {
  test('come back as they do in this process', async () => {
    const preset = clipPreset(32);
    const [picture, pixels, clean, small, hash] = await Promise.all([
      worker.decode(png), worker.preprocess(png, preset), worker.sanitize(png, { maxSide: 20 }), worker.thumbnail(png, 10), worker.perceptualHash(png),
    ]);
    expect(Buffer.from(picture.data).equals((await decodePicture(png)).data)).toBe(true);
    expect(Array.from(pixels.data)).toEqual(Array.from((await preprocessPicture(png, preset)).data));
    expect(Buffer.from(clean.bytes).equals((await sanitizePicture(png, { maxSide: 20 })).bytes)).toBe(true);
    expect([small.width, small.height]).toEqual([10, 8]);
    expect(hash).toBe(await perceptualHash(png));
  });

  test('errors cross with code and sentence', async () => {
    const error = await worker.decode(Buffer.from('<svg/>')).then(() => null, (thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(VisionError);
    expect(error).toMatchObject({ code: 'VISION_FORMAT', userMessage: expect.stringContaining('JPEG') });
  });

  test('a child that dies at work costs its job alone', async () => {
    await worker.decode(png);
    const [pid] = worker.processIds;
    process.kill(pid!, 'SIGSTOP');
    const lost = worker.decode(png);
    const next = worker.decode(png);
    process.kill(pid!, 'SIGKILL');
    await expect(lost).rejects.toMatchObject({ code: 'VISION_CRASHED' });
    await expect(next).resolves.toMatchObject({ width: 50, height: 40 });
    expect(worker.processIds).not.toContain(pid);
  });

  test('a child that died while idle is replaced without a word', async () => {
    await worker.decode(png);
    const [pid] = worker.processIds;
    process.kill(pid!, 'SIGKILL');
    while (worker.processIds.includes(pid!)) await new Promise((resolve) => setTimeout(resolve, 5));
    await expect(worker.decode(png)).resolves.toMatchObject({ width: 50 });
  });

  test('a child that stalls is killed when the time is up', async () => {
    const impatient = new PictureWorker({ timeoutMs: 2500 });
    await impatient.decode(png);
    const [pid] = impatient.processIds;
    process.kill(pid!, 'SIGSTOP');
    await expect(impatient.decode(png)).rejects.toMatchObject({ code: 'VISION_TIMEOUT' });
    await expect(impatient.decode(png)).resolves.toMatchObject({ width: 50 });
    expect(impatient.processIds).not.toContain(pid);
    expect(() => process.kill(pid!, 0)).toThrow(expect.objectContaining({ code: 'ESRCH' }));
    await impatient.close();
  });

  test('a child that grows beyond its memory ends, and the next picture is decoded', async () => {
    const narrow = new PictureWorker({ maxResidentBytes: 260_000_000 });
    const large = await fromRgb(scene(64, 64), 64, 64).resize(6000, 6000).jpeg().toBuffer();
    await expect(narrow.decode(large)).rejects.toMatchObject({ code: 'VISION_MEMORY', userMessage: expect.any(String) });
    await expect(narrow.decode(png)).resolves.toMatchObject({ width: 50 });
    await narrow.close();
  });

  test('a full queue refuses, and closing rejects what is left', async () => {
    const small = new PictureWorker({ maxWaiting: 1 });
    const first = small.decode(png);
    const second = small.decode(png);
    await expect(small.decode(png)).rejects.toMatchObject({ code: 'VISION_BUSY', retryable: true });
    const settled = Promise.allSettled([first, second]);
    await small.close();
    expect((await settled).map((result) => (result.status === 'rejected' ? result.reason.code : ''))).toEqual(['VISION_CLOSED', 'VISION_CLOSED']);
    await expect(small.decode(png)).rejects.toMatchObject({ code: 'VISION_CLOSED' });
    expect(small.processIds).toEqual([]);
  });

  test('no secret of the environment reaches the child', async () => {
    if (process.platform !== 'linux') return;
    const { readFileSync } = await import('node:fs');
    process.env.FROMAGE_TEST_SECRET = 'hush';
    const fresh = new PictureWorker();
    await fresh.decode(png);
    const environment = readFileSync(`/proc/${fresh.processIds[0]}/environ`, 'utf8');
    await fresh.close();
    expect(environment).toContain('UV_THREADPOOL_SIZE=2');
    expect(environment).not.toContain('hush');
  });
});
