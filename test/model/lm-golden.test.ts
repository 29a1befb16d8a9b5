// The language models against the numbers of PyTorch: logits, hidden states and greedy ids within 1e-4 of
// the largest entry, on tiny models and on the starter with its exact weights.
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import { loadLanguageModel } from '../../src/model/language-model.ts';
import type { LanguageModel } from '../../src/model/types.ts';
import { argmax } from '../../src/tensor/index.ts';
import { relativeError } from './relative-error.ts';

const golden = resolve(import.meta.dirname, '../../../shared/golden');
const starter = resolve(import.meta.dirname, '../../models/starter/SmolLM2-135M-Instruct.Q4_1.gguf');
const cacheDir = mkdtempSync(join(tmpdir(), 'fromage-lm-'));
afterAll(() => rmSync(cacheDir, { recursive: true, force: true }));

const tolerance = 1e-4;
/** Golden numbers lie beside the repository and may not be there. */
const withGolden = existsSync(golden) ? test : test.skip;

withGolden('the tiny Llama gives the logits, hidden states and greedy ids of PyTorch', async () => {
  const expected = read<{ input_ids: number[][]; logits: number[][][]; last_hidden: number[][][]; greedy_after_row_0: number[] }>('llama');
  const model = await loadLanguageModel({ source: join(golden, 'llama'), weights: 'fp32', cacheDir, threads: 1 });
  const rows = expected.input_ids.map((ids, slot) => ({ slot, embeds: model.embed(ids), select: [...ids.keys()] }));
  const { logits, hidden } = await model.step(model.createCache(2), rows);
  expect(relativeError(logits, expected.logits.flat(2))).toBeLessThan(tolerance);
  expect(relativeError(hidden.get(-1)!, expected.last_hidden.flat(2))).toBeLessThan(tolerance);
  expect((await greedy(model, expected.input_ids[0]!, 12)).ids).toEqual(expected.greedy_after_row_0);
  await model.close();
});

interface FromageGolden {
  tokenize: { text: string; with_bos: number[] }[];
  prompts: { prompt: { text?: string }[]; length: number; last_logits: number[]; last_hidden: number[]; all_argmax: number[]; runs: { settings: Record<string, number>; ids: number[] }[] }[];
}

for (const folder of ['fromage-k1', 'fromage-k4-postnorm']) {
  withGolden(`${folder}: OPT gives the logits and hidden states of the authors' code for a prompt of text`, async () => {
    const expected = read<FromageGolden>(folder);
    const prompt = expected.prompts.find((candidate) => candidate.prompt.length === 1 && candidate.prompt[0]?.text?.includes('[RET]') === false)!;
    const ids = expected.tokenize.find((entry) => entry.text === prompt.prompt[0]!.text)!.with_bos;
    const model = await loadLanguageModel({ source: join(golden, folder, 'facebook/opt-tiny'), weights: 'fp32', cacheDir, threads: 1 });
    const { logits, hidden } = await model.step(model.createCache(1), [{ slot: 0, embeds: model.embed(ids), select: [...ids.keys()] }]);
    const { vocabSize, hiddenSize } = model.config;
    expect(ids).toHaveLength(prompt.length);
    // The authors' vocabulary has two more rows, <|image|> and [RET], which no frozen head holds.
    expect(relativeError(logits.subarray(-vocabSize), prompt.last_logits.slice(0, vocabSize))).toBeLessThan(tolerance);
    expect(relativeError(hidden.get(-1)!.subarray(-hiddenSize), prompt.last_hidden)).toBeLessThan(tolerance);
    const tops = ids.map((_, i) => argmax(logits.subarray(i * vocabSize, (i + 1) * vocabSize)));
    expect(tops).toEqual(prompt.all_argmax);
    await model.close();
  });
}

interface StarterGolden {
  language_model: { ids: number[]; last_hidden: number[]; top10: [number, number][]; greedy_ids: number[] }[];
}

(existsSync(golden) && existsSync(starter) ? test : test.skip)('the starter with its exact weights gives the logits, hidden states and greedy ids of PyTorch', async () => {
  const expected = read<StarterGolden>('starter').language_model;
  const model = await loadLanguageModel({ source: starter, weights: 'fp32', cacheDir, threads: 1, prepack: false });
  for (const { ids, last_hidden, top10, greedy_ids } of expected) {
    const { logits, hidden, ids: continued } = await greedy(model, ids, greedy_ids.length);
    expect(relativeError(hidden, last_hidden)).toBeLessThan(tolerance);
    expect(relativeError(top10.map(([id]) => logits[id]!), top10.map(([, value]) => value))).toBeLessThan(tolerance);
    expect(continued).toEqual(greedy_ids);
  }
  await model.close();
});

async function greedy(model: LanguageModel, prompt: readonly number[], count: number) {
  const cache = model.createCache(1);
  const first = await model.step(cache, [{ slot: 0, embeds: model.embed(prompt), select: [prompt.length - 1] }]);
  const ids = [argmax(first.logits)];
  while (ids.length < count) ids.push(argmax((await model.step(cache, [{ slot: 0, embeds: model.embed(ids.slice(-1)), select: [0] }])).logits));
  return { logits: first.logits, hidden: first.hidden.get(-1)!, ids };
}

function read<T>(folder: string): T {
  return JSON.parse(readFileSync(join(golden, folder, 'expected.json'), 'utf8')) as T;
}
