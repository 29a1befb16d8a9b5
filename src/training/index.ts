// The door of the training room.
export { exportPytorchAdapter, importAdapter } from './adapter-files.ts';
export { defaultQuestions, defaultRequests, requestText, tidyCaption } from './chat-form.ts';
export { dataSourceSchema, parseTrainConfig, trainConfigSchema } from './config.ts';
export type { DataSource, TrainConfig, TrainInput } from './config.ts';
export type { ExampleSource, PairExample, PictureName, TalkExample, TrainingExample } from './examples.ts';
export { compareTraining } from './golden.ts';
export type { CompareTrainingOptions, TrainingPart } from './golden.ts';
export { settingsFrom, trainSettings } from './option-list.ts';
export type { TrainSetting } from './option-list.ts';
export type { Recall } from './recall.ts';
export { recallOf } from './recall.ts';
export { recipe } from './recipes.ts';
export type { RecipeName } from './recipes.ts';
export { train } from './trainer.ts';
export type { TrainOptions, TrainProgress, TrainResult } from './trainer.ts';
export type { ValidationResult } from './validation.ts';
