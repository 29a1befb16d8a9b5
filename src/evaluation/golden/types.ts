// What `fromage golden` gives back: one entry for each compared part of a folder.

/** A part that was compared, or that is left out for a stated reason. */
export type PartResult =
  | {
      /** Numbers (or ids, or texts) that were held against the folder's. */
      readonly compared: number;
      /** Largest error, relative to the largest entry of its tensor; for ids and texts the number of differences. */
      readonly max_error: number;
      readonly tolerance: number;
      readonly ok: boolean;
      /** What went wrong first. */
      readonly note?: string;
    }
  | { readonly skipped: string };

export interface GoldenResult {
  readonly parts: Readonly<Record<string, PartResult>>;
  readonly ok: boolean;
}

/** Repeats a folder's optimiser steps; the training room brings it. */
export type TrainingCheck = (folder: string, expected: Readonly<Record<string, unknown>>) => Promise<PartResult>;

export interface GoldenOptions {
  readonly threads?: number;
  /** Where the models run; the training steps are always the CPU's. */
  readonly device?: 'cpu' | 'cuda' | 'webgpu';
  /** Converted weights are kept here; a temporary folder when absent. */
  readonly cacheDir?: string;
  /** Where `models/` and `data/` are, for a starter folder that was copied away from them. */
  readonly sharedDir?: string;
  readonly training?: TrainingCheck;
  /** Called with the name of each stage as it begins. */
  readonly onStage?: (stage: string) => void;
}
