export { startApp } from './app.ts';
export type { App, AppHooks } from './app.ts';
export { openEngine } from './engine.ts';
export { hubSettings, isHere, neededParts } from './hub.ts';
export type { NeededPart, PartName } from './hub.ts';
export { learningSettings } from './learning.ts';
export { cacheFolder, modelOptions } from './model-options.ts';
export { fillGallery, openSessionGallery, projectionOf } from './session-gallery.ts';
export type { SessionGallery } from './session-gallery.ts';
