// The engine in the process that calls it: what the child process runs, and what tests and commands that
// may block their own thread use directly.
import { FromageError } from '../errors.ts';
import { l2Normalize } from '../tensor/index.ts';
import type { KvCache } from '../model/types.ts';
import { AdapterRegistry } from './adapter-registry.ts';
import { type BulkContext, embedPrompts } from './embed-prompts.ts';
import { EngineLoop } from './engine-loop.ts';
import type { EventStream } from './event-stream.ts';
import { ImageFeatures } from './image-features.ts';
import type { EngineParts } from './parts.ts';
import { PrefixCache } from './prefix-cache.ts';
import { checkPrompt, checkRequest } from './request.ts';
import { defaultLimits, type SchedulerLimits } from './scheduler.ts';
import { scoreCandidates } from './score-candidates.ts';
import type { AdapterInfo, Engine, EngineInfo, EngineStats, GenerateEvent, GenerateRequest, Prompt } from './types.ts';
import { WorkQueue } from './work-queue.ts';

export interface EngineOptions {
  /** Conversations that generate at once. Default 8. */
  readonly maxRows?: number;
  /** Requests that may wait. Default 64. */
  readonly maxQueue?: number;
  /** Memory for prefixes of conversations; 0 keeps none. Default 256 MiB. */
  readonly prefixCacheBytes?: number;
  /** Pictures whose features are remembered. Default 1024. */
  readonly imageCacheSize?: number;
  /** New positions in a step, and how long a prompt is passed over: see the scheduler. */
  readonly limits?: Partial<Omit<SchedulerLimits, 'maxRows'>>;
  /** How long `close` lets running answers go on. Default 5,000 ms. */
  readonly drainMs?: number;
  /** Checks the engine's state between steps; for tests. */
  readonly checkInvariants?: boolean;
}

/** Takes ownership of the parts: `close` closes them. */
export function createEngine(parts: EngineParts, options: EngineOptions = {}): Engine {
  return new InProcessEngine(parts, options);
}

class InProcessEngine implements Engine {
  readonly #parts: EngineParts;
  readonly #drainMs: number;
  readonly #maxRows: number;
  readonly #adapters: AdapterRegistry;
  readonly #work: WorkQueue;
  readonly #features: ImageFeatures;
  readonly #loop: EngineLoop;
  readonly #done: Promise<void>;
  /** Caches of bulk work that is over, for the next. */
  readonly #spareCaches: KvCache[] = [];
  #failure: FromageError | null = null;
  #closing: Promise<void> | null = null;

  constructor(parts: EngineParts, options: EngineOptions) {
    this.#parts = parts;
    this.#drainMs = options.drainMs ?? 5000;
    this.#maxRows = options.maxRows ?? defaultLimits.maxRows;
    this.#adapters = new AdapterRegistry(parts.adapter);
    this.#work = new WorkQueue(() => this.#loop.wake());
    this.#features = new ImageFeatures(parts.vision, this.#work, options.imageCacheSize ?? 1024);
    this.#loop = new EngineLoop({
      parts,
      limits: { ...defaultLimits, ...options.limits, maxRows: this.#maxRows },
      maxQueue: options.maxQueue ?? 64,
      prefixes: new PrefixCache(options.prefixCacheBytes ?? 256 * 1024 * 1024),
      features: this.#features,
      work: this.#work,
      checkInvariants: options.checkInvariants ?? false,
    });
    this.#done = this.#loop.run().catch((cause: unknown) => {
      this.#failure = new FromageError({ code: 'ENGINE_BROKEN', what: `the engine stopped by itself: ${cause instanceof Error ? cause.message : String(cause)}`, todo: 'restart it; report this with the log around it', cause });
      this.#work.close(this.#failure);
    });
  }

  ready(): Promise<EngineInfo> {
    return this.info();
  }

  async info(): Promise<EngineInfo> {
    const { name, device, languageModel, promptStyle, vision } = this.#parts;
    const { config, weights } = languageModel;
    return {
      model: name,
      family: config.family,
      device,
      weights,
      hiddenSize: config.hiddenSize,
      visionHiddenSize: vision.visionHiddenSize,
      vocabSize: config.vocabSize,
      contextWindow: config.contextWindow,
      promptStyle,
      visionHash: vision.hash,
      servingAdapter: this.#adapters.serving,
      adapters: this.#adapters.list(),
    };
  }

  async stats(): Promise<EngineStats> {
    const { generatedTokens, prefilledTokens, cachedTokens, steps, decodeSteps, decodedRows } = this.#loop.counters;
    return {
      running: this.#loop.running,
      queued: this.#loop.queued,
      generatedTokens,
      prefilledTokens,
      cachedTokens,
      steps,
      meanBatch: decodeSteps === 0 ? 0 : decodedRows / decodeSteps,
      restarts: 0,
      residentBytes: process.memoryUsage.rss(),
    };
  }

  /** The request begins when the first event is asked for; leaving the loop early cancels it. */
  async *generate(request: GenerateRequest): AsyncGenerator<GenerateEvent, void, undefined> {
    this.#assertOpen();
    const decoding = checkRequest(request);
    const use = this.#adapters.use(request.adapter);
    let stream: EventStream | null = null;
    try {
      stream = this.#loop.submit(request, decoding, use);
      yield* stream.read();
    } finally {
      if (stream === null) use.release();
      else this.#loop.cancel(stream);
    }
  }

  async encodeImages(images: readonly Uint8Array[]): Promise<readonly (Float32Array | Error)[]> {
    this.#assertOpen();
    return this.#features.encode(images);
  }

  async projectImages(pooled: readonly Float32Array[], adapter?: string, length: 'unit' | 'own' = 'unit'): Promise<readonly Float32Array[]> {
    this.#assertOpen();
    const use = this.#adapters.use(adapter);
    try {
      return pooled.map((features) => {
        this.#features.checkPooled(features);
        const projected = use.adapter.projectImages(features, 1);
        return length === 'unit' ? l2Normalize(projected) : projected;
      });
    } finally {
      use.release();
    }
  }

  embedPrompts(prompts: readonly Prompt[], adapter?: string): Promise<readonly Float32Array[]> {
    return this.#bulk(prompts, adapter, (context) => embedPrompts(context, prompts));
  }

  scoreCandidates(prompt: Prompt, candidates: readonly string[], adapter?: string): Promise<readonly number[]> {
    return this.#bulk([prompt], adapter, (context) => scoreCandidates(context, prompt, candidates));
  }

  async loadAdapter(folder: string, id: string): Promise<AdapterInfo> {
    this.#assertOpen();
    this.#adapters.assertFree(id);
    return this.#adapters.add(await this.#parts.openAdapter(folder, id));
  }

  async serveAdapter(id: string): Promise<void> {
    this.#adapters.serve(id);
  }

  unloadAdapter(id: string): Promise<void> {
    return this.#adapters.unload(id);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const error = closed();
    this.#loop.stop(error, false);
    const timer = setTimeout(() => this.#loop.stop(error, true), this.#drainMs);
    await this.#done;
    clearTimeout(timer);
    this.#work.close(error);
    await this.#parts.close();
  }

  async #bulk<T>(prompts: readonly Prompt[], adapter: string | undefined, run: (context: BulkContext) => Promise<T>): Promise<T> {
    this.#assertOpen();
    prompts.forEach(checkPrompt);
    const use = this.#adapters.use(adapter);
    const cache = this.#spareCaches.pop() ?? this.#parts.languageModel.createCache(this.#maxRows);
    try {
      return await run({ parts: this.#parts, adapter: use.adapter, features: this.#features, work: this.#work, cache });
    } finally {
      use.release();
      for (let slot = 0; slot < cache.slots; slot++) cache.truncate(slot, 0);
      if (this.#spareCaches.length === 0) this.#spareCaches.push(cache);
    }
  }

  #assertOpen(): void {
    if (this.#failure !== null) throw this.#failure;
    if (this.#closing !== null) throw closed();
  }
}

function closed(): FromageError {
  return new FromageError({ code: 'ENGINE_CLOSED', what: 'the engine is shutting down', todo: 'ask again once the bot is back', retryable: true, userMessage: 'I am just being restarted. Please ask me again in a minute.' });
}
