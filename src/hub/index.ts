// The door of the hub's room: models from the Hugging Face hub, or another hub of the same form, into the
// cache that all of its tools share.
export { findCached, repositoryFolder } from './cache-layout.ts';
export type { CachedRepository } from './cache-layout.ts';
export { chooseFiles } from './choose-files.ts';
export { diskError, downloadRepository, fetchSmallFiles, planDownload } from './download.ts';
export type { DownloadPlan } from './download.ts';
export { inspectRepository, isRepositoryId } from './inspect.ts';
export type { DownloadProgress, HubFile, HubRepository, HubSettings } from './types.ts';
