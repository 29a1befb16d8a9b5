// Who may see what: one reading of `ImageFilter` for the index and for the way out.
import type { ImageFilter, ImagePoint } from './types.ts';

type Filtered = Pick<ImagePoint, 'tenant' | 'tags' | 'addedBy' | 'addedAt' | 'contentClass'>;

/** Whether a picture passes a filter; bounds of time are exclusive, all tags must be there. */
export function visibleTo(filter: ImageFilter): (picture: Filtered) => boolean {
  const tenants = new Set(filter.tenants);
  const classes = filter.contentClasses && new Set(filter.contentClasses);
  return (picture) =>
    tenants.has(picture.tenant) &&
    (!filter.tags || filter.tags.every((tag) => picture.tags.includes(tag))) &&
    (filter.addedBy === undefined || picture.addedBy === filter.addedBy) &&
    (filter.addedAfter === undefined || picture.addedAt > filter.addedAfter) &&
    (filter.addedBefore === undefined || picture.addedAt < filter.addedBefore) &&
    (!classes || classes.has(picture.contentClass));
}
