// Starts engines on tiny models in a folder that is removed afterwards.
import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from '@jest/globals';
import { createEngine, type EngineOptions } from '../../src/engine/index.ts';
import type { Engine } from '../../src/engine/types.ts';
import { loadFromage, type LoadOptions } from '../../src/model/index.ts';
import { type TinyFromageOptions, writeTinyFromage } from '../tiny/fromage.ts';

export interface TinyModelFolder {
  readonly folder: string;
  readonly adapters: readonly [string, string];
  readonly load: LoadOptions;
}

/** Float32 weights: batching and chunking change no result but by rounding (engine.md §4). */
export function tinyModel(seed: number, options: TinyFromageOptions = {}): TinyModelFolder {
  const root = realpathSync(mkdtempSync(join(tmpdir(), 'fromage-engine-')));
  afterAll(() => rmSync(root, { recursive: true, force: true }));
  const { folder, adapters } = writeTinyFromage(join(root, 'model'), seed, options);
  return { folder, adapters, load: { model: folder, weights: 'fp32', cacheDir: join(root, 'cache'), threads: 1, verify: 'never' } };
}

export async function tinyEngine(model: TinyModelFolder, options: EngineOptions = {}): Promise<Engine> {
  return createEngine(await loadFromage(model.load), { checkInvariants: true, drainMs: 200, ...options });
}
