// What passes between the embedded index and its thread.
import type { PlainError } from '../../errors.ts';
import type { ImageFilter, ImageHit, ImagePoint, ImageQuery } from '../types.ts';

export type WorkerCall =
  | { readonly type: 'upsert'; readonly points: readonly ImagePoint[] }
  | { readonly type: 'delete'; readonly ids: readonly string[] }
  | { readonly type: 'count'; readonly filter?: ImageFilter }
  | { readonly type: 'query'; readonly queries: readonly ImageQuery[] };

export interface WorkerReply {
  readonly id: number;
  readonly result?: undefined | number | readonly (readonly ImageHit[])[] | void;
  readonly error?: PlainError;
}
