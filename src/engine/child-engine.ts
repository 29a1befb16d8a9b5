// The engine as the rest of the program knows it: a thin stand-in whose work is done by a process of its
// own, so that neither a long step nor a native crash is felt here.
import { FromageError } from '../errors.ts';
import type { LoadOptions } from '../model/index.ts';
import { EventStream } from './event-stream.ts';
import type { EngineOptions } from './in-process.ts';
import type { CallMethod, FailedPicture, FromChild } from './protocol.ts';
import { checkRequest } from './request.ts';
import { closedError, Supervisor } from './supervisor.ts';
import type { AdapterInfo, EndReason, Engine, EngineInfo, EngineStats, GenerateEvent, GenerateRequest, Prompt } from './types.ts';

export interface StartEngineOptions {
  /** What to load. */
  readonly model: Omit<LoadOptions, 'onProgress'>;
  readonly engine?: EngineOptions;
  /** Told now and then while weights are converted, as `LoadOptions.onProgress`. */
  readonly onProgress?: (done: number) => void;
}

/** Another source of parts than the model room, for tests: a module with `loadParts(spec, onProgress)`. */
export interface StartPartsOptions {
  readonly partsModule: string;
  readonly spec: unknown;
  readonly engine?: EngineOptions;
  readonly onProgress?: (done: number) => void;
}

/** An engine in a process of its own; `pid` is there while the process is. */
export interface ChildEngine extends Engine {
  readonly pid: number | undefined;
}

/** Starts the process at once; `ready()` tells when the model is loaded. `close` must be called. */
export function startEngine(options: StartEngineOptions | StartPartsOptions): ChildEngine {
  const { engine = {}, onProgress = () => {} } = options;
  return 'partsModule' in options
    ? new ChildProcessEngine(options.partsModule, options.spec, engine, onProgress)
    : new ChildProcessEngine(new URL('./load-parts.ts', import.meta.url).href, options.model, engine, onProgress);
}

interface PendingCall {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

class ChildProcessEngine implements ChildEngine {
  readonly #options: EngineOptions;
  readonly #onProgress: (done: number) => void;
  readonly #supervisor: Supervisor;
  readonly #streams = new Map<number, EventStream>();
  readonly #calls = new Map<number, PendingCall>();
  /** Loaded at run time; a new process loads them again. */
  #adapters: { readonly folder: string; readonly id: string }[] = [];
  #serving: string | null = null;
  #nextId = 1;
  #waiting = 0;
  #closing: Promise<void> | null = null;

  constructor(partsModule: string, spec: unknown, options: EngineOptions, onProgress: (done: number) => void) {
    this.#options = options;
    this.#onProgress = onProgress;
    this.#supervisor = new Supervisor({
      startMessage: () => ({ type: 'start', partsModule, spec, options, adapters: this.#adapters, serving: this.#serving }),
      onMessage: (message) => this.#receive(message),
      onDeath: (error) => this.#abandon(error),
    });
  }

  get pid(): number | undefined {
    return this.#supervisor.pid;
  }

  ready(): Promise<EngineInfo> {
    return this.#supervisor.ready;
  }

  async info(): Promise<EngineInfo> {
    return (await this.#call('info')) as EngineInfo;
  }

  /** Does not wait for a process that is loading: its sums are then 0. */
  async stats(): Promise<EngineStats> {
    const { isReady, restarts } = this.#supervisor;
    const none: EngineStats = { running: 0, queued: this.#waiting, generatedTokens: 0, prefilledTokens: 0, cachedTokens: 0, steps: 0, meanBatch: 0, restarts, residentBytes: 0 };
    return isReady ? { ...((await this.#call('stats')) as EngineStats), restarts } : none;
  }

  async *generate(request: GenerateRequest): AsyncGenerator<GenerateEvent, void, undefined> {
    if (this.#closing !== null) throw closedError();
    checkRequest(request);
    const { signal, ...rest } = request;
    const begun = performance.now();
    const early = signal?.aborted ? 'cancelled' : await this.#untilReady(request);
    if (early !== null) {
      yield neverStarted(request, early, performance.now() - begun);
      return;
    }
    const id = this.#nextId++;
    const stream = new EventStream();
    const cancel = (): void => this.#supervisor.send({ type: 'cancel', id });
    this.#streams.set(id, stream);
    signal?.addEventListener('abort', cancel, { once: true });
    try {
      const deadline = rest.deadlineMs === undefined ? {} : { deadlineMs: Math.max(0, rest.deadlineMs - (performance.now() - begun)) };
      this.#supervisor.send({ type: 'generate', id, request: { ...rest, ...deadline } });
      if (signal?.aborted) cancel();
      yield* stream.read();
    } finally {
      signal?.removeEventListener('abort', cancel);
      // Still known: the reader left before the end.
      if (this.#streams.delete(id)) cancel();
    }
  }

  async encodeImages(images: readonly Uint8Array[]): Promise<readonly (Float32Array | Error)[]> {
    const results = (await this.#call('encodeImages', images)) as readonly (Float32Array | FailedPicture)[];
    return results.map((result) => (result instanceof Float32Array ? result : FromageError.fromPlain(result.failed)));
  }

  async projectImages(pooled: readonly Float32Array[], adapter?: string, length?: 'unit' | 'own'): Promise<readonly Float32Array[]> {
    return (await this.#call('projectImages', pooled, adapter, length)) as readonly Float32Array[];
  }

  async embedPrompts(prompts: readonly Prompt[], adapter?: string): Promise<readonly Float32Array[]> {
    return (await this.#call('embedPrompts', prompts, adapter)) as readonly Float32Array[];
  }

  async scoreCandidates(prompt: Prompt, candidates: readonly string[], adapter?: string): Promise<readonly number[]> {
    return (await this.#call('scoreCandidates', prompt, candidates, adapter)) as readonly number[];
  }

  async loadAdapter(folder: string, id: string): Promise<AdapterInfo> {
    const info = (await this.#call('loadAdapter', folder, id)) as AdapterInfo;
    this.#adapters = [...this.#adapters, { folder, id }];
    return info;
  }

  async serveAdapter(id: string): Promise<void> {
    await this.#call('serveAdapter', id);
    this.#serving = id;
  }

  async unloadAdapter(id: string): Promise<void> {
    await this.#call('unloadAdapter', id);
    this.#adapters = this.#adapters.filter((adapter) => adapter.id !== id);
  }

  close(): Promise<void> {
    this.#closing ??= this.#supervisor.close(this.#options.drainMs ?? 5000).then(() => this.#abandon(closedError()));
    return this.#closing;
  }

  /** Waits for the model; the reason when the request ends before it is loaded. */
  async #untilReady({ signal, deadlineMs }: GenerateRequest): Promise<EndReason | null> {
    if (this.#supervisor.isReady) return null;
    const limit = this.#options.maxQueue ?? 64;
    if (this.#waiting >= limit) {
      throw new FromageError({ code: 'ENGINE_BUSY', what: `${this.#waiting} requests wait for the model to be loaded; the queue takes ${limit}`, todo: 'ask again in a moment', retryable: true, userMessage: `I am just waking up and ${this.#waiting} people are waiting already. Please try again in a moment.` });
    }
    this.#waiting++;
    const over = Promise.withResolvers<EndReason>();
    const onAbort = (): void => over.resolve('cancelled');
    const timer = deadlineMs === undefined ? undefined : setTimeout(() => over.resolve('deadline'), Math.min(deadlineMs, 0x7fff_ffff));
    signal?.addEventListener('abort', onAbort, { once: true });
    if (signal?.aborted) onAbort();
    try {
      return await Promise.race([this.#supervisor.ready.then(() => null), over.promise]);
    } finally {
      this.#waiting--;
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    }
  }

  async #call(method: CallMethod, ...args: readonly unknown[]): Promise<unknown> {
    if (this.#closing !== null) throw closedError();
    await this.#supervisor.ready;
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#calls.set(id, { resolve, reject });
      this.#supervisor.send({ type: 'call', id, method, args });
    });
  }

  #receive(message: FromChild): void {
    switch (message.type) {
      case 'news':
        for (const { id, events, error } of message.news) {
          const stream = this.#streams.get(id);
          for (const event of events) stream?.push(event);
          if (error !== undefined) stream?.fail(FromageError.fromPlain(error));
          if (error !== undefined || events.at(-1)?.type === 'end') this.#streams.delete(id);
        }
        break;
      case 'result':
        this.#calls.get(message.id)?.resolve(message.value);
        this.#calls.delete(message.id);
        break;
      case 'rejected':
        this.#calls.get(message.id)?.reject(FromageError.fromPlain(message.error));
        this.#calls.delete(message.id);
        break;
      case 'progress':
        this.#onProgress(message.done);
        break;
      case 'ready':
      case 'failed':
        break;
      default:
        message satisfies never;
    }
  }

  /** All that the dead process was doing fails in words. */
  #abandon(error: FromageError): void {
    for (const stream of this.#streams.values()) stream.fail(error);
    this.#streams.clear();
    for (const { reject } of this.#calls.values()) reject(error);
    this.#calls.clear();
  }
}

/** The end of a request that was given up while the model was still loading. */
function neverStarted({ seed, adapter }: GenerateRequest, reason: EndReason, waitedMs: number): GenerateEvent {
  return {
    type: 'end',
    reason,
    text: '',
    tokenIds: [],
    seed: seed ?? 0,
    adapter: adapter ?? '',
    retProbability: 0,
    usage: { promptTokens: 0, cachedTokens: 0, newTokens: 0, droppedTurns: 0, queuedMs: waitedMs, firstTokenMs: waitedMs, totalMs: waitedMs },
  };
}
