// The door of the engine. The program starts an engine in a process of its own (`startEngine`); commands
// and tests that may block their thread run one beside themselves (`createEngine`).
export { modelProcessEnvironment } from './child-environment.ts';
export { startEngine } from './child-engine.ts';
export type { ChildEngine, StartEngineOptions, StartPartsOptions } from './child-engine.ts';
export { createEngine } from './in-process.ts';
export type { EngineOptions } from './in-process.ts';
export type { EngineParts, LayoutRequest, PromptLayout, TextStream } from './parts.ts';
export { retrievalPrompt } from './retrieval-prompt.ts';
export { defaultDecoding, resolveDecoding } from './decoding/index.ts';
export type { ResolvedDecoding } from './decoding/index.ts';
export { generateReferenceTokens, interleaveReference, mendedQuirks, referenceQuirks, truncateCaption } from './reference-generation.ts';
export type { ReferenceImages, ReferenceOptions, ReferenceOutput, ReferenceQuirks, ReferenceTokens } from './reference-generation.ts';
