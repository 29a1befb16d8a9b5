// Opens the gallery of a store, ready for searches.
import type { Projection } from '../gallery.ts';
import { StoredGallery, type StoredGalleryOptions } from './stored-gallery.ts';
import type { SyncProgress } from './sync.ts';

/** Opens the gallery of a store and serves one projection from it. */
export async function openStoredGallery(options: StoredGalleryOptions, projection: Projection, onProgress?: SyncProgress, signal?: AbortSignal): Promise<StoredGallery> {
  const gallery = new StoredGallery(options);
  try {
    await gallery.serve(projection, onProgress, signal);
    return gallery;
  } catch (error) {
    await gallery.close();
    throw error;
  }
}
