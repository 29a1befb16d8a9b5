// The starter's golden folder: the real models with exact weights, 1,000 photos and the gallery (a minute).
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { expect, test } from '@jest/globals';
import { runGolden } from '../../src/evaluation/index.ts';

const folder = resolve(import.meta.dirname, '../../../shared/golden/starter');
const withGolden = existsSync(folder) ? test : test.skip; // skipped where ../shared is not there

withGolden('agrees in every part, and a changed cosine, id or class is noticed', async () => {
  const scratch = mkdtempSync(join(tmpdir(), 'fromage-golden-starter-'));
  const cacheDir = join(scratch, 'cache');
  expect(await runGolden(folder, { cacheDir })).toMatchObject({ ok: true });
  const copy = join(scratch, 'starter');
  mkdirSync(copy);
  const expected = JSON.parse(readFileSync(join(folder, 'expected.json'), 'utf8')) as { adapter: { captions: { ids: number[] }[]; gallery: { requests: { best: [string, number][] }[] } }; vision: { imagenet_top5: [number, number][] }[] };
  expected.adapter.gallery.requests[2]!.best[4]![1] += 0.002;
  expected.adapter.captions[1]!.ids[3]! += 1;
  expected.vision[5]!.imagenet_top5[0]![0] += 1;
  writeFileSync(join(copy, 'expected.json'), JSON.stringify(expected));
  const result = await runGolden(copy, { cacheDir });
  const failed = Object.entries(result.parts).filter(([, part]) => 'ok' in part && !part.ok).map(([name]) => name);
  expect(failed.sort()).toEqual(['caption_ids', 'gallery', 'vision_classes']);
  rmSync(scratch, { recursive: true });
});
