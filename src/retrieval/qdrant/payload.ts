// What of a picture stands beside its vector in Qdrant, and a filter in Qdrant's words.
import { l2Normalize } from '../../tensor/index.ts';
import type { ImageFilter, ImagePoint } from '../types.ts';

export type Condition =
  | { readonly key: string; readonly match: { readonly any: string[] } | { readonly value: string } }
  | { readonly key: string; readonly range: { readonly gt?: number; readonly lt?: number } };

export function payloadOf({ tenant, tags, addedBy, addedAt, contentClass }: ImagePoint): Record<string, unknown> {
  return { tenant, tags: [...tags], added_by: addedBy, added_at: addedAt, content_class: contentClass };
}

/** All of these must hold. The list of tenants must not be empty: Qdrant is not asked then. */
export function filterOf(filter: ImageFilter): Condition[] {
  const { addedAfter, addedBefore } = filter;
  return [
    { key: 'tenant', match: { any: [...filter.tenants] } },
    ...(filter.tags ?? []).map((tag) => ({ key: 'tags', match: { value: tag } })),
    ...(filter.addedBy === undefined ? [] : [{ key: 'added_by', match: { value: filter.addedBy } }]),
    ...(addedAfter === undefined && addedBefore === undefined ? [] : [{ key: 'added_at', range: { ...(addedAfter === undefined ? {} : { gt: addedAfter }), ...(addedBefore === undefined ? {} : { lt: addedBefore }) } }]),
    ...(filter.contentClasses ? [{ key: 'content_class', match: { any: [...filter.contentClasses] } }] : []),
  ];
}

/** A unit vector in six decimals: half the bytes of JSON, and far below what a search can tell apart. */
export function rounded(vector: Float32Array): number[] {
  return Array.from(l2Normalize(vector), (value) => Math.round(value * 1e6) / 1e6);
}
