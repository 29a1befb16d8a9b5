// What others may know of training without loading it: the settings of a run, as a schema and as a list.
export { dataSourceSchema, parseTrainConfig, trainConfigSchema } from './config.ts';
export type { DataSource, TrainConfig, TrainInput } from './config.ts';
export { settingsFrom, trainSettings } from './option-list.ts';
export type { TrainSetting } from './option-list.ts';
