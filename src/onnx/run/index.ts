export { float32, int64, openSession } from './session.ts';
export type { Device, OnnxSession, RunArrays, RunTensor, SessionOptions } from './session.ts';
export { SharedWeights } from './shared-weights.ts';
