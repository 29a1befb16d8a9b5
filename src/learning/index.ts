// The door of learning: from votes to a better adapter.
export { createLearning } from './create.ts';
export type { Learning, LearningOptions } from './create.ts';
export type { ProjectedGallery } from './lineup.ts';
export type { ExampleAnswer, LearningFacts, LearningOverview } from './overview.ts';
export type { LearningSetting } from './kept-settings.ts';
export { openLearningRecords } from './records-only.ts';
export type { LearningRecords, LearningRecordsOptions } from './records-only.ts';
export type { FrozenModels } from './run-config.ts';
export { learningSettingsSchema, parseLearningSettings } from './settings.ts';
export type { LearningSettings, LearningSettingsInput } from './settings.ts';
export type { LearningStores } from './stores.ts';
