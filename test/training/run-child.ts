// A training run in a process of its own, so that it can be killed: argument is the configuration as JSON.
import { train } from '../../src/training/index.ts';

const result = await train(JSON.parse(process.argv[2] ?? '{}'), {
  onProgress: (progress) => {
    if (progress.stage === 'joint' || progress.stage === 'maps') process.stdout.write(`step ${progress.done}\n`);
  },
});
process.stdout.write(`end ${result.status}\n`);
