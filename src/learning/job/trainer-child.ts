// The process that trains: at the lowest priority, without a database or a key. It saves a checkpoint and
// ends when it is told to stop or when the program is gone; killed, it has the last checkpoint.
import { constants, setPriority } from 'node:os';
import { asFromageError } from '../../errors.ts';
import { train, type TrainProgress } from '../../training/index.ts';
import type { FromTrainer, ToTrainer } from './protocol.ts';

const stopping = new AbortController();
// A Ctrl-C in a terminal reaches the whole group; the program decides when this process ends.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});
process.on('disconnect', () => stopping.abort());

process.on('message', (message: ToTrainer) => {
  if (message.type === 'stop') stopping.abort();
  else void run(message);
});

async function run({ config, sources, features }: Extract<ToTrainer, { type: 'start' }>): Promise<void> {
  try {
    setPriority(constants.priority.PRIORITY_LOW);
  } catch {
    // Some containers forbid it; training is then only slower for others, not wrong.
  }
  try {
    const result = await train(config, { sources, features, signal: stopping.signal, onProgress: (progress: TrainProgress) => send({ type: 'progress', progress }) });
    send({ type: 'end', result });
  } catch (error) {
    send({ type: 'failed', error: asFromageError(error).toPlain() });
  }
}

function send(message: FromTrainer): void {
  // Once the last word is out nothing holds this process.
  const last = message.type !== 'progress';
  if (process.connected) process.send?.(message, () => last && process.disconnect());
}
