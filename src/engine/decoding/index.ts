export { endsInLoop } from './loop.ts';
export { defaultDecoding, resolveDecoding } from './options.ts';
export type { ResolvedDecoding } from './options.ts';
export { banRet, createProcessors, divideByTemperature, limitToNucleus, limitToTopK, penaliseRepetition, scaleRet } from './processors.ts';
export type { DecodingState, LogitsProcessor } from './processors.ts';
export { createRandom, randomSeed } from './random.ts';
export { probabilityOf, sampleToken } from './sampler.ts';
export { StopStrings } from './stop-strings.ts';
export type { StopResult } from './stop-strings.ts';
