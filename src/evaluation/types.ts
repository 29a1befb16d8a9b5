// What every evaluation takes and tells. Figures of results are percentages from 0 to 100 where they are
// shares, and snake_case as they stand in the JSON that is printed.
import type { ClipSimilarityOptions } from '../model/index.ts';
import type { EngineImage, Prompt, PromptStyle } from '../engine/types.ts';

export interface EvaluationProgress {
  /** What is being done, e.g. `reading the pictures`. */
  readonly stage: string;
  readonly unit: string;
  readonly done: number;
  readonly total: number;
}

export interface EvaluationOptions {
  /** Id of an adapter that the engine has loaded; the serving one by default. */
  readonly adapter?: string;
  /** Random baselines and resampling; default 1. */
  readonly seed?: number;
  /** Resamples of the confidence intervals; default 1,000. */
  readonly samples?: number;
  /** Where embeddings and partial results are kept; nothing is kept without it. */
  readonly cacheDir?: string;
  /** Names the frozen models beyond what the engine tells (folders, say): part of what is kept. */
  readonly identity?: string;
  /** The files that the vision encoder was opened from: with them CLIP's own similarity is a baseline, where there is a text tower. */
  readonly clip?: ClipSimilarityOptions;
  /** Go on with the answers of a run that was stopped; embeddings are reused in any case. */
  readonly resume?: boolean;
  readonly onProgress?: (progress: EvaluationProgress) => void;
  readonly signal?: AbortSignal;
}

/** How a caption asks for a picture. */
export interface QueryForm {
  /** As the model's adapter was trained (`retrievalPrompt`); the engine's own style by default. */
  readonly style?: PromptStyle;
  /** Own words in place of the style's, with `{}` where the caption stands; laid out in the style. */
  readonly template?: string;
}

/** A picture with what is said about it. */
export interface CaptionedPicture {
  readonly id: string;
  readonly image: EngineImage;
  readonly captions: readonly string[];
}

/** A prompt whose [RET] embedding is wanted; equal keys mean equal prompts. */
export interface KeyedPrompt {
  readonly key: string;
  readonly prompt: Prompt;
}

export interface Recalls {
  readonly r1: number;
  readonly r5: number;
  readonly r10: number;
  readonly median_rank: number;
}

/** 95 % intervals by bootstrap, in the figures' units. */
export type Intervals = Readonly<Record<string, readonly [number, number]>>;

/** "Better by `difference` ± `plus_minus`" of a second adapter over the first. */
export interface Comparison {
  /** The figure with either adapter. */
  readonly first: number;
  readonly second: number;
  readonly difference: number;
  readonly plus_minus: number;
  readonly low: number;
  readonly high: number;
  readonly significant: boolean;
}
