// `fromage bench beside-training`: how much a training job is felt by those who talk meanwhile. The training
// process is paused and woken round by round, so that a noisy machine is noisy for both sides.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openEngine } from '../../app/index.ts';
import { FromageError } from '../../errors.ts';
import { firstWordMs } from '../bench/first-word.ts';
import { median } from '../bench/median.ts';
import { configuration } from '../configuration.ts';
import { interruptSignal } from '../interrupt.ts';
import { createProgress } from '../progress.ts';
import { number } from './generate.ts';

const childFile = fileURLToPath(new URL('../bench/training-child.ts', import.meta.url));
const questionsPerRound = 3;
/** Windows cannot stop a process: there all rest comes before the training. */
const canPause = process.platform !== 'win32';

export async function benchBesideTraining(options: Record<string, unknown> & { readonly rounds: string; readonly json?: boolean }): Promise<void> {
  const config = configuration(options);
  const rounds = number('--rounds', options.rounds);
  const signal = interruptSignal();
  const threads = config.FROMAGE_THREADS ?? availableParallelism();
  const engine = await openEngine(config);
  const bar = createProgress('measuring', 'rounds', options.json);
  const [alone, beside]: [number[], number[]] = [[], []];
  let asked = 0;
  /** Batches trained meanwhile, each in three forms: 0 means that the machine left training no time, and the ratio says nothing. */
  let trained = 0;
  const ask = async (waits: number[]): Promise<void> => {
    for (let i = 0; i < questionsPerRound; i++) waits.push(await firstWordMs(engine, asked++));
  };
  const trainer = fork(childFile, [], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  try {
    await engine.ready();
    await ask([]);
    if (!canPause) for (let round = 0; round < rounds; round++) await ask(alone);
    // What it asks of the machine is a job's: batches of 8 captions, in as many threads as the machine has.
    trainer.send({ model: config.FROMAGE_MODEL, ...(config.FROMAGE_LM === undefined ? {} : { lm: config.FROMAGE_LM }), cacheDir: join(config.FROMAGE_DATA_DIR, 'cache'), threads, batchSize: 8, captionLength: 24, visualTokens: 1, visionHiddenSize: 1280, recomputeLayers: 0, rounds: 1_000_000 });
    await Promise.race([once(trainer, 'message', { signal }), once(trainer, 'exit').then(() => { throw new FromageError({ code: 'LEARNING_TRAINER_DIED', what: 'the process that trains has ended', todo: 'see what it wrote above' }); })]);
    trainer.on('message', () => trained++);
    for (let round = 0; round < rounds; round++) {
      signal.throwIfAborted();
      if (canPause) {
        trainer.kill('SIGSTOP');
        await ask(alone);
        trainer.kill('SIGCONT');
      }
      const before = trained;
      // At least one batch is trained between two rests, however little time others leave it.
      do await ask(beside);
      while (trained === before && !signal.aborted);
      bar.update(round + 1, rounds);
    }
  } finally {
    bar.end();
    trainer.kill('SIGKILL');
    await engine.close();
  }
  const result = { threads, first_word_ms: Math.round(median(alone)), first_word_beside_training_ms: Math.round(median(beside)), ratio: Number((median(beside) / median(alone)).toFixed(2)), questions: beside.length, trained_batches: trained };
  if (!options.json) process.stdout.write(`a first word takes ${result.first_word_ms} ms, while an adapter is trained ${result.first_word_beside_training_ms} ms: ${result.ratio} × as long (medians of ${result.questions})\n`);
  process.stdout.write(`${JSON.stringify(result)}\n`);
}
