export { EmbeddedIndex } from './embedded/embedded-index.ts';
export { PictureGallery } from './gallery.ts';
export type { GalleryEntry, GalleryOptions, Projection } from './gallery.ts';
export { loadFolderGallery } from './folder-gallery.ts';
export { pictureId } from './picture-id.ts';
export { loadStarterGallery } from './starter-gallery.ts';
export { everybody } from './types.ts';
export type { Gallery, GalleryQuery, ImageFilter, ImageHit, ImageIndex, ImagePoint, ImageQuery, Picture, ScoredPicture, Tenant } from './types.ts';
