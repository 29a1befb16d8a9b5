export { startWebServer } from './server.ts';
export type { WebServer } from './server.ts';
export { webTenants } from './options.ts';
export type { LearningPage } from './learning.ts';
export type { PictureAdder, WebOptions } from './options.ts';
