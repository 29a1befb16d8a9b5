// The starter's served weights at accuracy level 1, where only the weights differ from the exact ones.
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { expect, test } from '@jest/globals';
import { loadLanguageModel } from '../../src/model/language-model.ts';
import { relativeError } from './relative-error.ts';

const golden = resolve(import.meta.dirname, '../../../shared/golden/starter/expected.json');
const starter = resolve(import.meta.dirname, '../../models/starter/SmolLM2-135M-Instruct.Q4_1.gguf');

(existsSync(golden) && existsSync(starter) ? test : test.skip).each([
  ['q4', 0.002],
  ['q8', 0.02],
] as const)('the starter as %s is within %d of its exact weights', async (weights, tolerance) => {
  const { language_model: prompts } = JSON.parse(readFileSync(golden, 'utf8')) as { language_model: { ids: number[]; last_hidden: number[] }[] };
  const cacheDir = mkdtempSync(join(tmpdir(), 'fromage-lm-'));
  const model = await loadLanguageModel({ source: starter, weights, cacheDir, threads: 1, accuracyLevel: 1 });
  for (const { ids, last_hidden } of prompts) {
    const { hidden } = await model.step(model.createCache(1), [{ slot: 0, embeds: model.embed(ids), select: [ids.length - 1] }]);
    expect(relativeError(hidden.get(-1)!, last_hidden)).toBeLessThan(tolerance);
  }
  await model.close();
  rmSync(cacheDir, { recursive: true, force: true });
});
