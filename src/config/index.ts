export { describeConfig, loadConfig, readEnvironmentFile } from './load.ts';
export type { Config } from './load.ts';
export { environmentSchema } from './schema.ts';
export type { Environment, EnvironmentName } from './schema.ts';
