// `fromage bench train`: examples a second in training, for bench/train_pytorch.py to be held beside; with
// --savings what knowing the frozen parts saves.
import { readFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { FromageError } from '../../errors.ts';
import { benchmarkTraining, measureSavings, type SavingForm } from '../../training/index.ts';
import { configuration } from '../configuration.ts';
import { createProgress } from '../progress.ts';
import { number } from './generate.ts';

interface BenchTrainOptions extends Record<string, unknown> {
  readonly batch: string;
  readonly length: string;
  readonly visualTokens: string;
  readonly recomputeLayers: string;
  readonly rounds: string;
  readonly threads?: string;
  readonly savings?: string;
  readonly json?: boolean;
}

export async function benchTrain(options: BenchTrainOptions): Promise<void> {
  const config = configuration(options);
  const shared = {
    model: config.FROMAGE_MODEL,
    ...(config.FROMAGE_LM === undefined ? {} : { lm: config.FROMAGE_LM }),
    cacheDir: join(config.FROMAGE_DATA_DIR, 'cache'),
    threads: config.FROMAGE_THREADS ?? availableParallelism(),
    batchSize: number('--batch', options.batch),
    visualTokens: number('--visual-tokens', options.visualTokens),
    rounds: number('--rounds', options.rounds),
  };
  if (options.savings !== undefined) return benchSavings(options.savings, shared, options.json);
  const bar = createProgress('measuring', 'rounds', options.json);
  const result = await benchmarkTraining({
    ...shared,
    captionLength: number('--length', options.length),
    visionHiddenSize: 1280,
    recomputeLayers: number('--recompute-layers', options.recomputeLayers),
    onProgress: (done, total) => bar.update(done, total),
  });
  bar.end();
  if (!options.json) {
    for (const name of ['captioning', 'retrieval', 'retrievalWithoutSavings'] as const) process.stdout.write(`${name}: ${result[name].examplesPerSecond.toFixed(2)} examples/s (${result[name].medianMs.toFixed(0)} ms a step)\n`);
    process.stdout.write(`peak memory ${(result.peakBytes / 2 ** 20).toFixed(0)} MiB, resident ${(result.peakResidentBytes / 2 ** 20).toFixed(0)} MiB\n`);
  }
  process.stdout.write(`${JSON.stringify(result)}\n`);
}

/** Each form beside what training runs in its place. */
const comparisons: readonly (readonly [SavingForm, SavingForm, string])[] = [
  ['pictures', 'captions', 'pictures encoded again, beside their captions'],
  ['captionsWeightGradients', 'captions', 'captions with the gradients of frozen matrices'],
  ['requestsWholeBackward', 'requests', 'requests with a backward pass before [RET]'],
  ['captionsAllPositions', 'captions', 'captions with all positions through the head'],
  ['requestsAllPositions', 'requests', 'requests with all positions through the head'],
  ['requestsWholeBackwardAllPositions', 'requests', 'requests with both'],
];

async function benchSavings(photo: string, shared: Omit<Parameters<typeof measureSavings>[0], 'photo' | 'onProgress'>, json?: boolean): Promise<void> {
  const bytes = await readFile(photo).catch((cause: unknown) => {
    throw new FromageError({ code: 'CLI_OPTION', what: `the picture ${photo} cannot be read`, cause });
  });
  const bar = createProgress('measuring', 'rounds', json);
  const result = await measureSavings({ ...shared, photo: bytes, onProgress: (done, total) => bar.update(done, total) });
  bar.end();
  if (!json) {
    for (const [form, beside, words] of comparisons) {
      const [theirs, ours] = [result.forms[form].medianCpuMs, result.forms[beside].medianCpuMs];
      process.stdout.write(`${words}: ${theirs.toFixed(0)} ms of processor time beside ${ours.toFixed(0)} (${(theirs / ours).toFixed(2)} x)\n`);
    }
  }
  process.stdout.write(`${JSON.stringify(result)}\n`);
}
