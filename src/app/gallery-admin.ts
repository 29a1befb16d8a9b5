// What the bots' commands may do to the gallery, once it is there.
import type { GalleryAdmin } from '../chat/index.ts';
import type { StoredGallery } from '../retrieval/index.ts';

/** @param gallery throws a retryable error while the gallery is being filled */
export function galleryAdmin(gallery: () => StoredGallery): GalleryAdmin {
  return {
    learn: async (request) => await gallery().learn(request),
    remove: async (request) => await gallery().remove(request),
    stats: async (tenants) => await gallery().stats(tenants),
  };
}
