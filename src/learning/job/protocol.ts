// What crosses between the program and the process that trains.
import type { PlainError } from '../../errors.ts';
import type { ExampleSource, TrainInput, TrainProgress, TrainResult } from '../../training/index.ts';

export type ToTrainer =
  | {
      readonly type: 'start';
      readonly config: TrainInput;
      readonly sources: readonly ExampleSource[];
      /** Encoder outputs by picture name. */
      readonly features: ReadonlyMap<string, Float32Array>;
    }
  /** Stop after the step under way and keep a checkpoint. */
  | { readonly type: 'stop' };

export type FromTrainer =
  | { readonly type: 'progress'; readonly progress: TrainProgress }
  | { readonly type: 'end'; readonly result: TrainResult }
  | { readonly type: 'failed'; readonly error: PlainError };
