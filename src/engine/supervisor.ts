// Keeps one engine process alive: starts it, notices its death in whatever form, starts it again with
// growing pauses, and ends it.
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { modelProcessEnvironment } from './child-environment.ts';
import { FromageError } from '../errors.ts';
import { log } from '../log.ts';
import type { FromChild, StartMessage, ToChild } from './protocol.ts';
import type { EngineInfo } from './types.ts';

const childFile = fileURLToPath(new URL('./child.ts', import.meta.url));
const firstAttempts = 3;
const pauseMs = 250;
const longestPauseMs = 30_000;
/** A process that lived this long starts the count of failures anew. */
const settledMs = 60_000;
/** What a process may take to end after its engine was closed. */
const graceMs = 3000;

export interface SupervisorEvents {
  /** Called for each start: what the new process is to load. */
  readonly startMessage: () => StartMessage;
  readonly onMessage: (message: FromChild) => void;
  /** The process is gone with all that it was doing. */
  readonly onDeath: (error: FromageError) => void;
}

export class Supervisor {
  readonly #events: SupervisorEvents;
  #child: ChildProcess | null = null;
  #ready = Promise.withResolvers<EngineInfo>();
  #isReady = false;
  #everReady = false;
  #failures = 0;
  #startedAt = 0;
  #restarts = 0;
  #closing = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(events: SupervisorEvents) {
    this.#events = events;
    this.#renewReady();
    this.#start();
  }

  /** Resolves when the present (or next) process has loaded its model; rejects when none ever could. */
  get ready(): Promise<EngineInfo> {
    return this.#ready.promise;
  }

  get isReady(): boolean {
    return this.#isReady;
  }

  get restarts(): number {
    return this.#restarts;
  }

  /** For tests that kill it. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  send(message: ToChild): void {
    // A failure to send means that the process is going: its death is told apart from this.
    if (this.#child?.connected) this.#child.send(message, () => {});
  }

  /** Asks the process to finish within `drainMs`, then ends it by force. */
  async close(drainMs: number): Promise<void> {
    this.#closing = true;
    clearTimeout(this.#timer);
    this.#fail(closedError());
    const child = this.#child;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    if (this.#isReady) this.send({ type: 'close' });
    else child.kill('SIGKILL');
    const timer = setTimeout(() => child.kill('SIGKILL'), drainMs + graceMs);
    await gone;
    clearTimeout(timer);
  }

  #start(): void {
    // An inspector's port cannot be shared; every other flag is the child's too.
    const execArgv = process.execArgv.filter((flag) => !flag.startsWith('--inspect'));
    const child = fork(childFile, [], { execArgv, env: modelProcessEnvironment(process.env), serialization: 'advanced', stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    this.#child = child;
    this.#startedAt = performance.now();
    let reason: FromageError | null = null;
    let dead = false;
    child.on('message', (message: FromChild) => {
      if (dead) return;
      if (message.type === 'ready') {
        this.#isReady = true;
        this.#everReady = true;
        this.#ready.resolve(message.info);
      } else if (message.type === 'failed') {
        reason = FromageError.fromPlain(message.error);
      }
      this.#events.onMessage(message);
    });
    const died = (how: string): void => {
      if (dead) return;
      dead = true;
      this.#died(reason, how);
    };
    child.on('exit', (code, signal) => died(signal ? `signal ${signal}` : `code ${code}`));
    child.on('error', (error) => died(error.message));
    child.send(this.#events.startMessage(), () => {});
  }

  #died(reason: FromageError | null, how: string): void {
    const lived = performance.now() - this.#startedAt;
    if (this.#isReady) {
      this.#isReady = false;
      this.#renewReady();
      if (lived > settledMs) this.#failures = 0;
    }
    const error = this.#closing ? closedError() : crashedError(how);
    this.#events.onDeath(error);
    if (this.#closing) {
      this.#fail(error);
      return;
    }
    this.#failures++;
    if (!this.#everReady && (reason !== null || this.#failures >= firstAttempts)) {
      this.#fail(reason ?? new FromageError({ code: 'ENGINE_START', what: `the engine’s process ended ${this.#failures} times while loading the model, last with ${how}`, why: 'SIGKILL often means too little memory', todo: 'run "fromage doctor"', userMessage: 'I cannot start right now.' }));
      return;
    }
    const waitMs = Math.min(longestPauseMs, this.#failures === 1 ? 0 : pauseMs * 2 ** (this.#failures - 2));
    log.error({ room: 'engine', how, code: reason?.code, restartInMs: waitMs }, 'the engine process ended and is started again');
    this.#timer = setTimeout(() => {
      this.#restarts++;
      this.#start();
    }, waitMs);
  }

  #fail(error: FromageError): void {
    this.#ready.reject(error);
  }

  #renewReady(): void {
    this.#ready = Promise.withResolvers<EngineInfo>();
    // Nobody may be waiting when it is rejected.
    this.#ready.promise.catch(() => {});
  }
}

export function closedError(): FromageError {
  return new FromageError({ code: 'ENGINE_CLOSED', what: 'the engine is shutting down', todo: 'ask again once the bot is back', retryable: true, userMessage: 'I am just being restarted. Please ask me again in a minute.' });
}

function crashedError(how: string): FromageError {
  return new FromageError({
    code: 'ENGINE_CRASHED',
    what: `the engine’s process ended with ${how}`,
    why: 'a fault in native code, or too little memory',
    todo: 'ask again: it is started anew by itself',
    retryable: true,
    userMessage: 'Something broke while I was answering. Please ask me again.',
  });
}
