// The engine's public face: what a caller may ask of it and what comes back. Only plain values cross
// this border (and the border of the child process that runs it): no tensors, no sessions.

import type { Prompt, PromptStyle } from '../model/types.ts';

export type { EngineImage, Prompt, PromptSegment, PromptStyle, PromptTurn } from '../model/types.ts';

export interface DecodingOptions {
  /** At most this many new tokens; 0 runs the prompt alone and serves the [RET] tokens inside it. Default 64. */
  readonly maxNewTokens?: number;
  /** [RET] cannot come before this many tokens. Default 0. */
  readonly minWordTokens?: number;
  /** 0 (default) is greedy. */
  readonly temperature?: number;
  /** Nucleus in (0, 1]; 1 is off. */
  readonly topP?: number;
  /** 0 is off. */
  readonly topK?: number;
  /** Of tokens that the answer already holds; those of the prompt are not touched. 1 is off. */
  readonly repetitionPenalty?: number;
  /** Ends an answer that says the same piece a third time in a row. Default true. */
  readonly stopLoops?: boolean;
  /** How eager [RET] is: 1 is neutral. See `retScaleMode`. */
  readonly retScaleFactor?: number;
  /**
   * `reference` multiplies the logit whatever its sign; `signed` divides a negative one; `odds` (ours, what
   * people are given) multiplies the odds of [RET], so that 2 means twice as likely wherever the logits lie.
   */
  readonly retScaleMode?: 'reference' | 'signed' | 'odds';
  /** At most this many [RET] are served; the model may not emit more. Default 1. */
  readonly maxNumRets?: number;
  /** "Show me": the answer begins with [RET]. */
  readonly forceRet?: boolean;
  /** Generation ends before any of these texts. */
  readonly stop?: readonly string[];
}

export interface GenerateRequest {
  readonly prompt: Prompt;
  readonly decoding?: DecodingOptions;
  /** Adapter id; the serving one by default. A request ends with the adapter it began with. */
  readonly adapter?: string;
  /** Same seed, same options, same answer. A random one is chosen and reported when absent. */
  readonly seed?: number;
  /** Milliseconds from now after which the request ends with reason `deadline`. */
  readonly deadlineMs?: number;
  /** Prefixes are reused only between requests of the same key: nothing of one chat reaches another. */
  readonly conversation?: string;
  readonly signal?: AbortSignal;
}

export type EndReason = 'stop' | 'length' | 'cancelled' | 'deadline';

export interface GenerateUsage {
  readonly promptTokens: number;
  /** Of these, found in the prefix cache. */
  readonly cachedTokens: number;
  readonly newTokens: number;
  readonly droppedTurns: number;
  readonly queuedMs: number;
  readonly firstTokenMs: number;
  readonly totalMs: number;
}

/** The stream of one request, in order; `end` is always the last, unless the iterator throws. */
export type GenerateEvent =
  /** 1 = next. Sent on admission to the queue and when the place changes. */
  | { readonly type: 'queued'; readonly position: number }
  | { readonly type: 'started'; readonly promptTokens: number; readonly cachedTokens: number; readonly droppedTurns: number }
  /** Text to append; never cuts a code point in two. [RET] is not part of it. */
  | { readonly type: 'text'; readonly text: string }
  /**
   * A [RET]: `embedding` is `[retrievalDim]`, unit length; `after` the offset (UTF-16 units) in the text
   * so far; `probability` what the model gave [RET] before scaling.
   */
  | { readonly type: 'ret'; readonly embedding: Float32Array; readonly after: number; readonly probability: number }
  | {
      readonly type: 'end';
      readonly reason: EndReason;
      readonly text: string;
      readonly tokenIds: readonly number[];
      readonly seed: number;
      readonly adapter: string;
      /** The highest probability that [RET] had at any step before scaling. */
      readonly retProbability: number;
      readonly usage: GenerateUsage;
    };

export interface AdapterInfo {
  readonly id: string;
  readonly visualTokens: number;
  readonly retrievalDim: number;
  /** SHA-256 over the adapter's tensors: vectors of two adapters are comparable only when equal. */
  readonly hash: string;
  /** SHA-256 over `visual_fc` alone: gallery vectors stay valid while it is unchanged. */
  readonly visualHash: string;
  readonly metadata: Readonly<Record<string, unknown>>;
}

export interface EngineInfo {
  readonly model: string;
  readonly family: string;
  readonly device: string;
  readonly weights: string;
  readonly hiddenSize: number;
  readonly visionHiddenSize: number;
  readonly vocabSize: number;
  readonly contextWindow: number;
  readonly promptStyle: PromptStyle;
  /** Names the frozen encoder: pooled features of two encoders are never comparable. */
  readonly visionHash: string;
  readonly servingAdapter: string;
  readonly adapters: readonly AdapterInfo[];
}

export interface EngineStats {
  readonly running: number;
  readonly queued: number;
  readonly generatedTokens: number;
  readonly prefilledTokens: number;
  readonly cachedTokens: number;
  readonly steps: number;
  /** Mean rows per decode step since start. */
  readonly meanBatch: number;
  readonly restarts: number;
  readonly residentBytes: number;
}

/**
 * The engine. `generate` never blocks the caller's event loop; a full queue rejects with `ENGINE_BUSY`
 * (retryable), a dead child with `ENGINE_CRASHED` (retryable: it is started again by itself).
 */
export interface Engine {
  /** Resolves when the model is loaded; rejects with the reason when it cannot be. */
  ready(): Promise<EngineInfo>;
  info(): Promise<EngineInfo>;
  stats(): Promise<EngineStats>;
  generate(request: GenerateRequest): AsyncIterable<GenerateEvent>;
  /** Pooled features `[visionHiddenSize]` of each picture; a picture that cannot be decoded gives its error in place. */
  encodeImages(images: readonly Uint8Array[]): Promise<readonly (Float32Array | Error)[]>;
  /**
   * `visual_fc` of pooled features: the picture in the retrieval space `[retrievalDim]`.
   *
   * @param length `unit` (default) is what galleries hold; `own` leaves the vectors as the map makes them
   */
  projectImages(pooled: readonly Float32Array[], adapter?: string, length?: 'unit' | 'own'): Promise<readonly Float32Array[]>;
  /** Retrieval embedding (unit length) at a [RET] put after each prompt. */
  embedPrompts(prompts: readonly Prompt[], adapter?: string): Promise<readonly Float32Array[]>;
  /** Mean token log-likelihood of each candidate after the shared prompt, as `get_log_lik_scores` counts it. */
  scoreCandidates(prompt: Prompt, candidates: readonly string[], adapter?: string): Promise<readonly number[]>;
  /** Loads an adapter folder beside those present (no session is recreated); it serves once promoted. */
  loadAdapter(folder: string, id: string): Promise<AdapterInfo>;
  /** Requests that name no adapter use this one from now on. */
  serveAdapter(id: string): Promise<void>;
  /** Gives its memory back once no request uses it. */
  unloadAdapter(id: string): Promise<void>;
  close(): Promise<void>;
}
