// Decodes pictures in child processes, so that a picture that crashes, stalls or bloats a decoder costs
// one job and never the bots: a child that overruns its time is killed and another takes its place.
import { type ChildProcess, fork } from 'node:child_process';
import { FromageError, type PlainError } from '../errors.ts';
import { VisionError } from './errors.ts';
import type { PixelValues } from './preprocess.ts';
import type { DecodeOptions, EncodedPicture, Picture, PictureLimits, PicturePreset, SanitizeOptions } from './types.ts';
import { memoryExitCode, type PictureAnswer, type PictureJob, type PictureJobKind, type PictureJobs } from './worker-protocol.ts';

export interface PictureWorkerOptions {
  /** Child processes; each works on one picture at a time and starts when first needed. Default 1. */
  readonly processes?: number;
  /** A job that takes longer, its waiting not counted, kills its child. Default 15,000 ms. */
  readonly timeoutMs?: number;
  /** Jobs that may wait; one more is refused with `VISION_BUSY`. Default 64. */
  readonly maxWaiting?: number;
  /** Resident memory of a child in bytes; above it the child ends. Default 1 GB. */
  readonly maxResidentBytes?: number;
}

interface PendingJob {
  readonly job: PictureJob;
  readonly resolve: (result: never) => void;
  readonly reject: (error: Error) => void;
}

interface Seat {
  child: ChildProcess | null;
  current: PendingJob | null;
  timer: NodeJS.Timeout | null;
}

/** Only what a decoder needs: no token of the parent's environment reaches the child. */
const passedOn = ['PATH', 'LD_LIBRARY_PATH', 'DYLD_LIBRARY_PATH', 'SystemRoot', 'TMPDIR', 'TEMP', 'TZ'];

/** The functions of this room in child processes. Errors are those of the function, or `VISION_TIMEOUT`, `VISION_MEMORY`, `VISION_CRASHED`, `VISION_BUSY`, `VISION_CLOSED`. */
export class PictureWorker {
  readonly #seats: Seat[];
  readonly #waiting: PendingJob[] = [];
  readonly #timeoutMs: number;
  readonly #maxWaiting: number;
  readonly #maxResidentBytes: number;
  #nextId = 1;
  #closed = false;

  constructor(options: PictureWorkerOptions = {}) {
    this.#seats = Array.from({ length: options.processes ?? 1 }, () => ({ child: null, current: null, timer: null }));
    this.#timeoutMs = options.timeoutMs ?? 15_000;
    this.#maxWaiting = options.maxWaiting ?? 64;
    this.#maxResidentBytes = options.maxResidentBytes ?? 1_000_000_000;
  }

  /** `decodePicture` in a child. */
  decode(bytes: Uint8Array, options: DecodeOptions = {}): Promise<Picture> {
    return this.#submit('decode', bytes, options);
  }

  /** `preprocessPicture` in a child. */
  preprocess(bytes: Uint8Array, preset: PicturePreset, limits: PictureLimits = {}): Promise<PixelValues> {
    return this.#submit('preprocess', bytes, { preset, limits });
  }

  /** `sanitizePicture` in a child. */
  sanitize(bytes: Uint8Array, options: SanitizeOptions = {}): Promise<EncodedPicture> {
    return this.#submit('sanitize', bytes, options);
  }

  /** `makeThumbnail` in a child. */
  thumbnail(bytes: Uint8Array, side: number, limits: PictureLimits = {}): Promise<EncodedPicture> {
    return this.#submit('thumbnail', bytes, { side, limits });
  }

  /** `perceptualHash` in a child. */
  perceptualHash(bytes: Uint8Array, limits: PictureLimits = {}): Promise<string> {
    return this.#submit('perceptualHash', bytes, limits);
  }

  /** Process ids of the children that live now. */
  get processIds(): readonly number[] {
    return this.#seats.flatMap(({ child }) => child?.pid ?? []);
  }

  /** Ends the children; jobs that were not done reject with `VISION_CLOSED`. */
  async close(): Promise<void> {
    this.#closed = true;
    const unfinished = [...this.#waiting.splice(0), ...this.#seats.flatMap(({ current }) => current ?? [])];
    const ended = this.#seats.map((seat) => endChild(seat));
    for (const { reject } of unfinished) reject(closedError());
    await Promise.all(ended);
  }

  #submit<K extends PictureJobKind>(kind: K, bytes: Uint8Array, options: PictureJobs[K]['options']): Promise<PictureJobs[K]['result']> {
    if (this.#closed) return Promise.reject(closedError());
    if (this.#waiting.length >= this.#maxWaiting) {
      return Promise.reject(new VisionError({
        code: 'VISION_BUSY',
        what: `${this.#waiting.length} pictures are waiting to be decoded, no more are taken`,
        todo: 'try again in a moment',
        retryable: true,
        userMessage: 'I have too many pictures to look at right now. Please try again in a moment.',
      }));
    }
    return new Promise((resolve, reject) => {
      const job = { id: this.#nextId++, kind, bytes, options } as PictureJob;
      this.#waiting.push({ job, resolve: resolve as (result: never) => void, reject });
      this.#dispatch();
    });
  }

  #dispatch(): void {
    for (const seat of this.#seats) {
      if (seat.current !== null) continue;
      const next = this.#waiting.shift();
      if (next === undefined) return;
      this.#start(seat, next);
    }
  }

  #start(seat: Seat, pending: PendingJob): void {
    seat.current = pending;
    const child = (seat.child ??= this.#spawn(seat));
    seat.timer = setTimeout(() => {
      this.#fail(seat, new VisionError({
        code: 'VISION_TIMEOUT',
        what: `decoding the picture took longer than ${this.#timeoutMs} ms`,
        todo: 'send a smaller or simpler picture',
        userMessage: 'That picture took me too long to open. Could you send a smaller one?',
      }));
    }, this.#timeoutMs);
    child.ref();
    child.channel?.ref();
    // A child that died a moment ago refuses; its exit event settles the job.
    child.send(pending.job, () => {});
  }

  #spawn(seat: Seat): ChildProcess {
    const child = fork(new URL('./worker-child.ts', import.meta.url), [String(this.#maxResidentBytes)], {
      execArgv: ['--max-old-space-size=256', '--disable-warning=ExperimentalWarning'],
      env: { ...Object.fromEntries(passedOn.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]]))), UV_THREADPOOL_SIZE: '2', MALLOC_ARENA_MAX: '2' },
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    child.on('message', (answer: PictureAnswer) => {
      if (seat.child === child && seat.current?.job.id === answer.id) this.#settle(seat, answer);
    });
    const ended = (error: VisionError): void => {
      if (seat.child !== child) return;
      seat.child = null;
      if (seat.current !== null) this.#fail(seat, error);
    };
    child.on('exit', (code, signal) => ended(code === memoryExitCode ? memoryError(this.#maxResidentBytes) : crashError(signal ?? `exit code ${code}`)));
    // A child that could not be started has no process id and never exits; other faults are followed by an exit.
    child.on('error', (error) => child.pid === undefined && ended(crashError(error.message)));
    return child;
  }

  #settle(seat: Seat, answer: PictureAnswer): void {
    const { resolve, reject } = release(seat);
    // An idle child does not keep the program alive.
    seat.child?.unref();
    seat.child?.channel?.unref();
    if ('error' in answer) reject(revive(answer.error));
    else resolve(answer.result as never);
    this.#dispatch();
  }

  #fail(seat: Seat, error: VisionError): void {
    const { reject } = release(seat);
    void endChild(seat);
    reject(error);
    this.#dispatch();
  }
}

function release(seat: Seat): PendingJob {
  const pending = seat.current!;
  if (seat.timer !== null) clearTimeout(seat.timer);
  seat.current = null;
  seat.timer = null;
  return pending;
}

/** Kills outright: a stuck decoder does not listen to anything milder. */
function endChild(seat: Seat): Promise<void> {
  const { child, timer } = seat;
  if (timer !== null) clearTimeout(timer);
  seat.child = null;
  seat.current = null;
  seat.timer = null;
  if (child === null || child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    // An idle child does not hold the event loop; whoever waits for its end does.
    child.ref();
    child.once('exit', () => resolve());
    child.kill('SIGKILL');
  });
}

function revive(plain: PlainError): FromageError {
  return plain.code.startsWith('VISION_') ? new VisionError(plain) : FromageError.fromPlain(plain);
}

function memoryError(maxResidentBytes: number): VisionError {
  return new VisionError({
    code: 'VISION_MEMORY',
    what: `decoding the picture took more than ${maxResidentBytes} bytes of memory`,
    todo: 'send a smaller picture',
    userMessage: 'That picture is too big for me to open.',
  });
}

function crashError(how: string): VisionError {
  return new VisionError({
    code: 'VISION_CRASHED',
    what: `the process that decodes pictures ended (${how})`,
    why: 'the picture brought the decoder down',
    todo: 'send another picture; a new process has been started',
    userMessage: 'I could not open that picture.',
  });
}

function closedError(): VisionError {
  return new VisionError({ code: 'VISION_CLOSED', what: 'the picture worker is closed', todo: 'this is a bug, or the program is shutting down' });
}
