// What the engine's two processes say to each other. Plain values only; node's `advanced` serialisation
// carries typed arrays. Errors cross as values and are made again on the other side.
import type { PlainError } from '../errors.ts';
import type { EngineOptions } from './in-process.ts';
import type { EngineInfo, GenerateEvent, GenerateRequest } from './types.ts';

/** What the child is to load; sent once, before anything else. */
export interface StartMessage {
  readonly type: 'start';
  /** URL of a module with `loadParts(spec, onProgress)`. */
  readonly partsModule: string;
  readonly spec: unknown;
  readonly options: EngineOptions;
  /** Adapters that were loaded when the child before this one died. */
  readonly adapters: readonly { readonly folder: string; readonly id: string }[];
  readonly serving: string | null;
}

/** Methods of the engine that answer once. */
export type CallMethod = 'info' | 'stats' | 'encodeImages' | 'projectImages' | 'embedPrompts' | 'scoreCandidates' | 'loadAdapter' | 'serveAdapter' | 'unloadAdapter';

export type ToChild =
  | StartMessage
  | { readonly type: 'generate'; readonly id: number; readonly request: GenerateRequest }
  | { readonly type: 'cancel'; readonly id: number }
  | { readonly type: 'call'; readonly id: number; readonly method: CallMethod; readonly args: readonly unknown[] }
  | { readonly type: 'close' };

/** Events of one request since the last message; with `error` the request is over. */
export interface RequestNews {
  readonly id: number;
  readonly events: readonly GenerateEvent[];
  readonly error?: PlainError;
}

export type FromChild =
  /** Bytes or files of a long load that are done, as the model room counts them. */
  | { readonly type: 'progress'; readonly done: number }
  | { readonly type: 'ready'; readonly info: EngineInfo }
  /** The model cannot be loaded; the child ends. */
  | { readonly type: 'failed'; readonly error: PlainError }
  /** All that happened in one turn of the child's event loop. */
  | { readonly type: 'news'; readonly news: readonly RequestNews[] }
  | { readonly type: 'result'; readonly id: number; readonly value: unknown }
  | { readonly type: 'rejected'; readonly id: number; readonly error: PlainError };

/** In the place of a picture that could not be encoded. */
export interface FailedPicture {
  readonly failed: PlainError;
}
