// What passes between the embedded index and its thread.
import type { PlainError } from '../../errors.ts';
import type { ImageFilter, ImageHit, ImagePoint, ImageQuery, ImageVector } from '../types.ts';

export type WorkerCall =
  | { readonly type: 'upsert'; readonly points: readonly ImagePoint[] }
  | { readonly type: 'delete'; readonly ids: readonly string[] }
  | { readonly type: 'count'; readonly filter?: ImageFilter }
  | { readonly type: 'ids'; readonly after?: string; readonly limit?: number }
  | { readonly type: 'vectors'; readonly ids: readonly string[] }
  | { readonly type: 'query'; readonly queries: readonly ImageQuery[] };

export interface WorkerReply {
  readonly id: number;
  readonly result?: undefined | number | readonly (readonly ImageHit[])[] | readonly string[] | readonly ImageVector[] | void;
  readonly error?: PlainError;
}
