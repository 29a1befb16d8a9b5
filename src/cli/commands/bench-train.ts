// `fromage bench train`: examples a second in training, for bench/train_pytorch.py to be held beside.
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { benchmarkTraining } from '../../training/index.ts';
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
  readonly json?: boolean;
}

export async function benchTrain(options: BenchTrainOptions): Promise<void> {
  const config = configuration(options);
  const bar = createProgress('measuring', 'rounds', options.json);
  const result = await benchmarkTraining({
    model: config.FROMAGE_MODEL,
    ...(config.FROMAGE_LM === undefined ? {} : { lm: config.FROMAGE_LM }),
    cacheDir: join(config.FROMAGE_DATA_DIR, 'cache'),
    threads: config.FROMAGE_THREADS ?? availableParallelism(),
    batchSize: number('--batch', options.batch),
    captionLength: number('--length', options.length),
    visualTokens: number('--visual-tokens', options.visualTokens),
    visionHiddenSize: 1280,
    recomputeLayers: number('--recompute-layers', options.recomputeLayers),
    rounds: number('--rounds', options.rounds),
    onProgress: (done, total) => bar.update(done, total),
  });
  bar.end();
  if (!options.json) {
    for (const name of ['captioning', 'retrieval', 'retrievalWithoutSavings'] as const) process.stdout.write(`${name}: ${result[name].examplesPerSecond.toFixed(2)} examples/s (${result[name].medianMs.toFixed(0)} ms a step)\n`);
    process.stdout.write(`peak memory ${(result.peakBytes / 2 ** 20).toFixed(0)} MiB, resident ${(result.peakResidentBytes / 2 ** 20).toFixed(0)} MiB\n`);
  }
  process.stdout.write(`${JSON.stringify(result)}\n`);
}
