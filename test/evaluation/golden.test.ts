// The comparison with the authors' numbers passes on their folders, and notices any number that was changed.
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { printGolden, runGolden, type GoldenResult } from '../../src/evaluation/index.ts';

const golden = resolve(import.meta.dirname, '../../../shared/golden');
const present = existsSync(golden);
const withGolden = present ? test : test.skip; // skipped where ../shared is not there
// Optimiser steps have tests of their own in test/training.
const options = { threads: 1, training: async () => ({ skipped: 'tested elsewhere' }) };

let scratch = '';
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'fromage-golden-test-'));
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

function copy(name: string): string {
  const folder = mkdtempSync(join(scratch, `${name}-`));
  cpSync(join(golden, name), folder, { recursive: true });
  return folder;
}

/** Changes what stands at a path like `images.3.pooled.23`; undefined removes it. */
function change(folder: string, path: string, edit: (value: unknown) => unknown): void {
  const file = join(folder, 'expected.json');
  const expected = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
  const keys = path.split('.');
  const last = keys.pop() ?? '';
  let parent = expected;
  for (const key of keys) parent = parent[key] as Record<string, unknown>;
  const value = edit(parent[last]);
  if (value !== undefined) parent[last] = value;
  else if (Array.isArray(parent)) parent.splice(Number(last), 1);
  else delete parent[last];
  writeFileSync(file, JSON.stringify(expected));
}

const add = (amount: number) => (value: unknown): number => Number(value) + amount;
const remove = (): undefined => undefined;

function failed(result: GoldenResult): string[] {
  return Object.entries(result.parts).filter(([, part]) => 'ok' in part && !part.ok).map(([name]) => name);
}

describe.each(['llama', 'fromage-k1', 'fromage-k4-postnorm'])('%s', (name) => {
  withGolden('agrees in every part, and nothing but training is skipped', async () => {
    const result = await runGolden(join(golden, name), options);
    expect(failed(result)).toEqual([]);
    expect(result.ok).toBe(true);
    const skipped = Object.keys(result.parts).filter((part) => 'skipped' in (result.parts[part] ?? {}));
    expect(skipped).toEqual([name === 'llama' ? 'input_embedding_gradient' : 'training']);
    expect(printGolden(result)).toContain('All parts agree.');
  });
});

const edits: readonly (readonly [string, string, string, (value: unknown) => unknown])[] = [
  ['fromage-k1', 'tokenizer', 'tokenize.5.without_bos.3', add(1)],
  ['fromage-k1', 'ids', 'vocab_rows', add(1)],
  ['fromage-k1', 'pixel_values_stored', 'images.9.pixel_values_corner.2.1.1', add(0.01)],
  ['fromage-k1', 'pooled_stored', 'images.3.pooled.23', add(0.001)],
  ['fromage-k1', 'visual_prefixes', 'images.0.captioning_embeddings.0.31', add(0.001)],
  ['fromage-k1', 'hidden', 'prompts.1.last_hidden.7', add(0.001)],
  ['fromage-k1', 'logits', 'image_token_embedding.4', add(0.01)],
  ['fromage-k1', 'log_likelihood', 'prompts.2.mean_log_likelihood', add(0.01)],
  ['fromage-k1', 'ret_scores', 'prompts.0.runs.2.ret_scores.1.9', add(0.002)],
  ['fromage-k4-postnorm', 'argmax', 'prompts.3.all_argmax.28', add(1)],
  ['fromage-k4-postnorm', 'generated_ids', 'prompts.5.runs.4.ids.7', add(1)],
  ['fromage-k4-postnorm', 'generated_ids', 'prompts.5.runs.0.settings.num_words', add(-1)],
  ['fromage-k4-postnorm', 'ret_positions', 'prompts.2.runs.3.ret_positions.2', add(1)],
  ['fromage-k4-postnorm', 'outputs', 'prompts.0.runs.3.outputs.1.0', () => '00.png'],
  ['fromage-k4-postnorm', 'picture_retrieval_embeddings', 'images.2.retrieval_embedding.15', remove],
  ['fromage-k4-postnorm', 'num_words_0', 'prompts.4.num_words_0', remove],
  ['fromage-k4-postnorm', 'every_number', 'images.2.unknown', () => 3],
  ['llama', 'greedy_ids', 'greedy_after_row_0.11', add(1)],
  ['llama', 'loss', 'causal_lm_loss_both_rows', add(0.01)],
  ['llama', 'logits', 'input_ids.1.4', add(1)],
];

withGolden.each(edits)('%s: %s fails when %s is changed', async (name, part, path, edit) => {
  const folder = copy(name);
  change(folder, path, edit);
  const result = await runGolden(folder, options);
  expect(result.ok).toBe(false);
  expect(failed(result)).toContain(part);
});

withGolden('a folder without tokenizer.json, with the slow files alone, agrees as well', async () => {
  const folder = copy('fromage-k4-postnorm');
  rmSync(join(folder, 'facebook/opt-tiny/tokenizer.json'));
  expect((await runGolden(folder, options)).ok).toBe(true);
});

withGolden('a folder that lacks a file fails in words instead of passing', async () => {
  const folder = copy('fromage-k1');
  rmSync(join(folder, 'cc3m_embeddings.pkl'));
  const withoutIndex = await runGolden(folder, options);
  expect(failed(withoutIndex)).toEqual(expect.arrayContaining(['ret_scores', 'outputs', 'num_words_0']));
  rmSync(join(folder, 'pretrained_ckpt.pth.tar'));
  const withoutAdapter = await runGolden(folder, options);
  expect(withoutAdapter.ok).toBe(false);
  expect(withoutAdapter.parts.run).toMatchObject({ ok: false, note: expect.stringContaining('ADAPTER_MISSING') as unknown });
});

withGolden('training is compared too unless told otherwise', async () => {
  const result = await runGolden(join(golden, 'llama'), { threads: 1 });
  expect(result.parts.input_embedding_gradient).toMatchObject({ ok: true });
});

withGolden('another check of training can be brought', async () => {
  const seen: string[] = [];
  const training = async (folder: string) => {
    seen.push(folder);
    return { compared: 1, max_error: 1, tolerance: 0.5, ok: false, note: 'too far' };
  };
  const result = await runGolden(join(golden, 'llama'), { ...options, training });
  expect(seen).toEqual([join(golden, 'llama')]);
  expect(result.ok).toBe(false);
  expect(printGolden(result)).toMatch(/input_embedding_gradient.*FAILED: too far/);
});

test('a folder of no known kind is an error with a code', async () => {
  await expect(runGolden(scratch)).rejects.toMatchObject({ code: 'EVALUATION_GOLDEN' });
  writeFileSync(join(scratch, 'expected.json'), '{"a": 1}');
  await expect(runGolden(scratch)).rejects.toMatchObject({ code: 'EVALUATION_GOLDEN' });
});
