// Trains without end at the priority of a training job, for `fromage bench beside-training`; ends with the
// process that started it.
import { constants, setPriority } from 'node:os';
import { benchmarkTraining, type BenchmarkOptions } from '../../training/index.ts';

process.on('disconnect', () => process.exit(0));
process.on('message', (options: Omit<BenchmarkOptions, 'onProgress'>) => {
  setPriority(constants.priority.PRIORITY_LOW);
  benchmarkTraining({ ...options, onProgress: () => process.send?.('round') }).catch((error: unknown) => {
    process.stderr.write(`${String(error)}\n`);
    process.exit(1);
  });
});
