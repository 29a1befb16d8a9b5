// The parts of the announced memory that can be known exactly: cache and converted file; and what `auto`
// chooses. Resident memory is measured in lm-memory.long.ts.
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import { chooseScheme, estimateMemory } from '../../src/model/language-model-memory.ts';
import { readLanguageModelConfig } from '../../src/model/language-model-config.ts';
import { loadLanguageModel } from '../../src/model/language-model.ts';
import { writeTinyLlama, writeTinyOpt } from '../tiny/language-model.ts';
import { optSizes, writeSparseOpt } from '../tiny/sparse-opt.ts';

const root = mkdtempSync(join(tmpdir(), 'fromage-lm-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

test.each([
  ['q8', writeTinyLlama],
  ['q4', writeTinyOpt],
] as const)('the announced cache and converted file of %s weights are those that come to be', async (weights, write) => {
  const source = join(root, weights);
  const cacheDir = join(root, `${weights}-cache`);
  write(source, 5, {}, { dtype: 'F16' });
  const model = await loadLanguageModel({ source, weights, cacheDir, threads: 1 });
  const announced = estimateMemory(readLanguageModelConfig(source), { weights, slots: 3, context: 70 });
  const cache = model.createCache(3);
  const ids = new Array<number>(70).fill(5);
  await model.step(cache, [{ slot: 1, embeds: model.embed(ids), select: [] }]);
  expect(announced.cacheBytes).toBe(cache.byteLength);
  const written = statSync(join(cacheDir, readdirSync(cacheDir)[0]!)).size;
  expect(written % 4096 === announced.convertedBytes % 4096 && written - announced.convertedBytes).toBe(4096);
  await model.close();
});

test('auto keeps tiny models exact, makes 8 bits of middling ones, 4 of large ones and of those stored so', () => {
  const config = (size: keyof typeof optSizes) => {
    const folder = join(root, size);
    writeSparseOpt(folder, size);
    return readLanguageModelConfig(folder);
  };
  const tiny = readLanguageModelConfig(join(root, 'q8'));
  expect([tiny, config('125m'), config('6.7b')].map((each) => chooseScheme(each, ['F16']))).toEqual(['fp32', 'q8', 'q4']);
  expect(chooseScheme(config('125m'), ['F32', 'Q4_1', 'Q8_0'])).toBe('q4');
});
