// What an engine is made of. The model room fills this in; tests may fill it with a model of their own.
// The engine reads nothing else: no files, no tokenizer, no sessions.
import type { Adapter, EngineImage, LanguageModel, Prompt, PromptStyle, VisionEncoder } from '../model/types.ts';

/** Where each token and picture of a prompt stands. */
export interface PromptLayout {
  /** One entry per position: a token id ([RET] among them), or −1 inside a picture. */
  readonly tokenIds: readonly number[];
  /** In order; each takes the adapter's `visualTokens` positions from `position` on. */
  readonly images: readonly { readonly position: number; readonly image: EngineImage }[];
  /** Oldest turns left out so that the rest fits. */
  readonly droppedTurns: number;
}

export interface LayoutRequest {
  /** Positions that one picture takes. */
  readonly visualTokens: number;
  /** Positions kept free for the answer; of turns, the oldest are dropped until the rest fits. */
  readonly maxNewTokens: number;
}

/** Text of a growing list of ids, [RET] left out; never ends inside a code point. */
export interface TextStream {
  push(id: number): string;
  flush(): string;
}

export interface EngineParts {
  readonly name: string;
  readonly device: string;
  readonly promptStyle: PromptStyle;
  readonly languageModel: LanguageModel;
  readonly vision: VisionEncoder;
  /** Serves until another one is promoted. */
  readonly adapter: Adapter;
  layOutPrompt(prompt: Prompt, request: LayoutRequest): PromptLayout;
  /** Ids of a text that goes on after a prompt: no begin token, special tokens not parsed. */
  encodeContinuation(text: string): readonly number[];
  /** Input embeddings `[ids.length, embedSize]`; [RET] takes the adapter's row. */
  embedTokens(ids: readonly number[], adapter: Adapter): Float32Array;
  createTextStream(): TextStream;
  /** Opens an adapter folder for these frozen models. */
  openAdapter(folder: string, id: string): Promise<Adapter>;
  close(): Promise<void>;
}
