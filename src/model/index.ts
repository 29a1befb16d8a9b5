// The door of the model's room: the language model, the vision encoder, the adapter and the prompt.
export { loadLanguageModel, openLanguageModelWeights } from './language-model.ts';
export type { LoadLanguageModelOptions, OpenWeightsOptions } from './language-model.ts';
export { readLanguageModelConfig } from './language-model-config.ts';
export type { LlamaConfig, ModelConfig, OptConfig } from './language-model-config.ts';
export type { LanguageModelWeights, MatrixWeight, WeightScheme } from './language-model-weights.ts';
export { addLanguageModel, buildLanguageModelTrainingGraph, hiddenIndex, hiddenWidth } from './graphs/language-model.ts';
export type { TrainingInputs, TrainingOutputs } from './graphs/language-model.ts';
export type { AddedToken, Adapter, KvCache, KvSnapshot, LanguageModel, LanguageModelConfig, StepOutput, StepRow, VisionEncoder } from './types.ts';
