// A tiny model with captioned pictures of plain colours: the caption names the colour, so that maps can
// learn it in a few dozen steps.
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import type { TrainInput } from '../../src/training/index.ts';
import { writeTinyFromage } from '../tiny/fromage.ts';

export const colours: Readonly<Record<string, readonly [number, number, number]>> = {
  red: [220, 30, 30], green: [30, 200, 40], blue: [30, 40, 220], black: [5, 5, 5], white: [250, 250, 250], yellow: [240, 230, 20], pink: [250, 120, 190], gray: [128, 128, 128],
};

export interface TinyRun {
  readonly folder: string;
  readonly config: TrainInput;
}

/** @param name of the run folder inside the new temporary one */
export async function writeTinyRun(family: 'llama' | 'opt', overrides: Partial<TrainInput> = {}): Promise<TinyRun> {
  const folder = mkdtempSync(join(tmpdir(), 'fromage-train-'));
  const model = join(folder, 'model');
  writeTinyFromage(model, 3, { family, visualTokens: 2 });
  const images = join(folder, 'images');
  mkdirSync(images);
  const rows = ['caption\timage'];
  for (const [i, [name, [r, g, b]]] of Object.entries(colours).entries()) {
    for (const shade of [0, 1, 2]) {
      const file = `${name}-${shade}.png`;
      const background = { r: Math.max(0, r - 8 * shade), g: Math.max(0, g - 6 * shade), b: Math.max(0, b - 4 * shade) };
      await sharp({ create: { width: 24, height: 24, channels: 3, background } }).png().toFile(join(images, file));
      rows.push(`${name} square ${i}\t${file}`);
    }
  }
  writeFileSync(join(images, 'broken.png'), 'not a picture');
  writeFileSync(join(folder, 'train.tsv'), [...rows, 'a broken one\tbroken.png', 'a missing one\tnowhere.png', 'an escape\t../train.tsv'].join('\n'));
  writeFileSync(join(folder, 'talk.jsonl'), '{"user":"hi","assistant":"hello"}\n{"user":"2+2","assistant":"4"}\n');
  const config: TrainInput = {
    run: join(folder, 'run'),
    model,
    cacheDir: join(folder, 'cache'),
    threads: 1,
    data: [{ kind: 'captions', tsv: join(folder, 'train.tsv'), images }],
    validation: { tsv: join(folder, 'train.tsv'), images, count: 24, captions: 8 },
    visualTokens: 2,
    retrievalDim: 8,
    steps: 12,
    batchSize: 8,
    microBatch: 4,
    lr: 3e-3,
    warmupSteps: 2,
    validateEvery: 6,
    checkpointEvery: 3,
    ...overrides,
  };
  return { folder, config };
}
