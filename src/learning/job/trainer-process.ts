// Starts the process that trains and speaks with it: progress comes out as it is made, a stop ends it with
// a checkpoint, and its death in any form is an error that says how it died.
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { FromageError } from '../../errors.ts';
import type { TrainProgress, TrainResult } from '../../training/index.ts';
import type { FromTrainer, ToTrainer } from './protocol.ts';

const childFile = fileURLToPath(new URL('./trainer-child.ts', import.meta.url));
/** What a stopped process may take for its checkpoint. */
const stopGraceMs = 60_000;

export interface TrainerProcess {
  readonly pid: number | undefined;
  /** Rejects with `LEARNING_TRAINER_DIED`, or with the trainer's own error. */
  readonly result: Promise<TrainResult>;
  /** Asks it to stop; `result` then says `interrupted`. */
  stop(): void;
}

export function startTrainer(start: Omit<Extract<ToTrainer, { type: 'start' }>, 'type'>, onProgress: (progress: TrainProgress) => void): TrainerProcess {
  const execArgv = process.execArgv.filter((flag) => !flag.startsWith('--inspect'));
  const child = fork(childFile, [], { execArgv, env: withoutSecrets(process.env), serialization: 'advanced', stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const { promise, resolve, reject } = Promise.withResolvers<TrainResult>();
  let timer: NodeJS.Timeout | undefined;
  child.on('message', (message: FromTrainer) => {
    if (message.type === 'progress') onProgress(message.progress);
    else if (message.type === 'end') resolve(message.result);
    else reject(FromageError.fromPlain(message.error));
  });
  child.on('error', (cause) => reject(died(cause.message)));
  child.on('exit', (code, signal) => {
    clearTimeout(timer);
    // After a last word this changes nothing.
    reject(died(signal ? `signal ${signal}` : `code ${code}`));
  });
  promise.catch(() => {});
  send(child, { type: 'start', ...start });
  return {
    pid: child.pid,
    result: promise,
    stop() {
      send(child, { type: 'stop' });
      timer ??= setTimeout(() => child.kill('SIGKILL'), stopGraceMs);
      timer.unref();
    },
  };
}

function send(child: ChildProcess, message: ToTrainer): void {
  if (child.connected) child.send(message, () => {});
}

/** Training needs no token, key or database. */
function withoutSecrets(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !/TOKEN|SECRET|PASSWORD|API_KEY|DATABASE_URL/i.test(name)));
}

function died(how: string): FromageError {
  return new FromageError({ code: 'LEARNING_TRAINER_DIED', what: `the process that trains ended with ${how}`, why: 'SIGKILL often means too little memory', todo: 'it goes on from its last checkpoint when the job is taken up again', retryable: true });
}
