// The parts of FROMAGe as the engine sees them: a language model that runs steps over a key/value
// cache, a vision encoder, the trained maps between the two, and the prompts that they read.

export interface LanguageModelConfig {
  readonly family: 'opt' | 'llama';
  /** The paper's D: width of the hidden states that adapters read (after project_out where there is one). */
  readonly hiddenSize: number;
  /** Width of an input embedding row and of a visual token; equals hiddenSize but for OPT with word_embed_proj_dim. */
  readonly embedSize: number;
  readonly numLayers: number;
  readonly numHeads: number;
  readonly numKvHeads: number;
  readonly headDim: number;
  /** Rows of the frozen head; [RET] is one more, outside. */
  readonly vocabSize: number;
  /** Positions that fit. */
  readonly contextWindow: number;
  readonly bosTokenId: number | null;
  readonly eosTokenIds: readonly number[];
}

/** Keys and values of one slot, copied out: what the prefix cache keeps of a conversation. */
export interface KvSnapshot {
  readonly length: number;
  readonly byteLength: number;
}

/**
 * Keys and values of several sequences, one per slot. A slot's valid columns are `[0, length)`.
 * Capacity grows in buckets by itself; the step appends columns.
 */
export interface KvCache {
  readonly slots: number;
  length(slot: number): number;
  /** Forgets the columns from `length` on. */
  truncate(slot: number, length: number): void;
  /** Moves the contents of one slot to another (compaction after a sequence ends); `from` is empty afterwards. */
  move(from: number, to: number): void;
  /** Copies the first `length` columns out. */
  snapshot(slot: number, length: number): KvSnapshot;
  /** Fills a slot with the first `length` columns of a snapshot. */
  restore(slot: number, snapshot: KvSnapshot, length: number): void;
  readonly byteLength: number;
}

/** New positions of one sequence in a step. Lengths may differ between rows; slots must differ. */
export interface StepRow {
  readonly slot: number;
  /** `[n, embedSize]`: token rows, [RET] rows and visual tokens in order, without positions. */
  readonly embeds: Float32Array;
  /** Offsets in [0, n) whose logits and hidden states are wanted. */
  readonly select: readonly number[];
}

export interface StepOutput {
  /** `[selected, vocabSize]` in the order of rows and their `select`. */
  readonly logits: Float32Array;
  /** For each wanted layer (Hugging Face's `hidden_states` index, −1 = after the final norm) `[selected, hiddenSize]`. */
  readonly hidden: ReadonlyMap<number, Float32Array>;
}

export interface LanguageModel {
  readonly config: LanguageModelConfig;
  /** E.g. `fp32`, `q8`. */
  readonly weights: string;
  /** Rows of the frozen input embedding table `[ids.length, embedSize]`. */
  embed(ids: readonly number[]): Float32Array;
  createCache(slots: number): KvCache;
  /** Runs new positions of one or several sequences and appends their keys and values to the cache. */
  step(cache: KvCache, rows: readonly StepRow[]): Promise<StepOutput>;
  close(): Promise<void>;
}

export interface VisionEncoder {
  /** The paper's V. */
  readonly visionHiddenSize: number;
  readonly imageSize: number;
  /** SHA-256 that names weights and preprocessing. */
  readonly hash: string;
  /** Encoded bytes -> pixel values `[3, imageSize, imageSize]`, normalised as this encoder wants them. */
  preprocess(bytes: Uint8Array): Promise<Float32Array>;
  /** `[batch, 3, S, S]` -> pooled output `[batch, visionHiddenSize]`. */
  encode(pixelValues: Float32Array, batch: number): Promise<Float32Array>;
  close(): Promise<void>;
}

/** One row of the input embedding table that an adapter adds or overrides, tied to the head. */
export interface AddedToken {
  readonly id: number;
  readonly row: Float32Array;
}

/** The trained maps (the only thing a training run changes). Layouts are PyTorch's. */
export interface Adapter {
  readonly id: string;
  /** The paper's k. */
  readonly visualTokens: number;
  /** The paper's E. */
  readonly retrievalDim: number;
  /** Hidden layers mapped and summed, as `text_emb_layers` names them. */
  readonly textLayers: readonly number[];
  readonly ret: AddedToken;
  /** Factor on the odds of [RET] where a request scales odds; 1 for the reference's. */
  readonly retOdds: number;
  /** exp() of it scales similarities in training and the scores of an embeddings file. */
  readonly logitScale: number;
  /** SHA-256 over all tensors, and over `visual_fc` alone. */
  readonly hash: string;
  readonly visualHash: string;
  readonly metadata: Readonly<Record<string, unknown>>;
  /** pooled `[n, V]` -> visual prefixes `[n, k, embedSize]`. */
  visualPrefix(pooled: Float32Array, n: number): Float32Array;
  /** pooled `[n, V]` -> `[n, E]`, not normalised. */
  projectImages(pooled: Float32Array, n: number): Float32Array;
  /** Hidden states by layer, each `[n, D]` -> `[n, E]`, summed over layers, not normalised. */
  projectText(hidden: ReadonlyMap<number, Float32Array>, n: number): Float32Array;
  /** Logit of [RET]: `hidden · ret.row`, `[n]`; `hidden` is what the head reads (layer −1). */
  retLogits(hidden: Float32Array, n: number): Float32Array;
}

/** A picture as the engine takes it: encoded bytes (JPEG, PNG, WebP, …), or pooled features made before. */
export type EngineImage =
  | { readonly bytes: Uint8Array; readonly hash?: string }
  | { readonly pooled: Float32Array };

/**
 * A piece of a prompt. `trusted` text is ours: special tokens in it are parsed. Text typed by a user is
 * not trusted and can never become a special token.
 */
export type PromptSegment =
  | { readonly type: 'text'; readonly text: string; readonly trusted?: boolean }
  | { readonly type: 'image'; readonly image: EngineImage };

/** One turn of a conversation. An assistant turn holds ` [RET]` where a picture was shown, as trusted text. */
export interface PromptTurn {
  readonly role: 'user' | 'assistant';
  readonly parts: readonly PromptSegment[];
}

export type PromptStyle = 'qa' | 'chat' | 'plain';

/**
 * Either segments taken as they are, or turns that a prompt style lays out; of turns, the oldest are
 * dropped until the prompt and `maxNewTokens` fit the context window.
 */
export type Prompt =
  | { readonly kind: 'segments'; readonly segments: readonly PromptSegment[] }
  | { readonly kind: 'turns'; readonly turns: readonly PromptTurn[]; readonly style?: PromptStyle };
