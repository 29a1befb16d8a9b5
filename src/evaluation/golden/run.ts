// `fromage golden DIR`: finds out what kind of folder it is, compares every part of it, and sums up.
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { asFromageError, FromageError } from '../../errors.ts';
import { compareTraining as repeatTraining } from '../../training/index.ts';
import { compareFromage, fromageParts } from './fromage.ts';
import { Ledger } from './ledger.ts';
import { compareLlama, llamaParts } from './llama.ts';
import { compareStarter, starterParts } from './starter.ts';
import type { GoldenOptions, GoldenResult, PartResult, TrainingCheck } from './types.ts';

/**
 * Compares a folder of reference numbers with ours.
 *
 * Every number of the folder's expected.json takes part (`every_number` counts those that did not), a part
 * that could not be compared is a failure, and `training` (a llama's gradient)
 * is the training room's unless `options.training` brings another check.
 *
 * @throws FromageError `EVALUATION_GOLDEN` when the folder is not of a known kind; everything that fails
 *   later is reported as a failed part
 */
export async function runGolden(folder: string, options: GoldenOptions = {}): Promise<GoldenResult> {
  const expected = readExpected(folder);
  const kind = kindOf(folder, expected);
  const ledger = new Ledger(expected, kind.parts);
  const temporary = options.cacheDir === undefined ? mkdtempSync(join(tmpdir(), 'fromage-golden-')) : null;
  try {
    await kind.compare(folder, ledger, { ...options, cacheDir: options.cacheDir ?? temporary ?? '' });
  } catch (cause) {
    const { message } = asFromageError(cause);
    ledger.fail('run', message);
  } finally {
    if (temporary !== null) rmSync(temporary, { recursive: true, force: true });
  }
  await compareTraining(folder, expected, ledger, options);
  const parts = ledger.finish();
  return { parts, ok: Object.values(parts).every((part: PartResult) => 'skipped' in part || part.ok) };
}

async function compareTraining(folder: string, expected: Readonly<Record<string, unknown>>, ledger: Ledger, options: GoldenOptions): Promise<void> {
  if (expected.training === undefined && expected.input_embedding_gradient === undefined) return;
  const name = expected.training === undefined ? 'input_embedding_gradient' : 'training';
  if (expected.gradient_scale !== undefined) ledger.input(['gradient_scale']);
  options.onStage?.(name);
  const check: TrainingCheck = options.training ?? ((folder, expected) => repeatTraining(folder, expected, options));
  const result = await check(folder, expected).catch((cause: unknown): PartResult => ({ compared: 0, max_error: Number.MAX_VALUE, tolerance: 0, ok: false, note: asFromageError(cause).message }));
  ledger.result(name, [name], result);
}

function readExpected(folder: string): Readonly<Record<string, unknown>> {
  const file = join(folder, 'expected.json');
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw unknown(`${file} cannot be read as JSON`, cause);
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw unknown(`${file} is not an object`);
}

function kindOf(folder: string, expected: Readonly<Record<string, unknown>>) {
  if (existsSync(join(folder, 'model_args.json'))) return { parts: fromageParts, compare: compareFromage };
  if (expected.language_model !== undefined) return { parts: starterParts, compare: compareStarter };
  if (expected.input_ids !== undefined) return { parts: llamaParts, compare: compareLlama };
  throw unknown(`${folder} is none of the known kinds of golden folders`);
}

function unknown(what: string, cause?: unknown): FromageError {
  return new FromageError({ code: 'EVALUATION_GOLDEN', what, why: 'a folder has model_args.json, or language_model or input_ids in its expected.json', todo: 'name a folder of reference numbers', cause });
}
