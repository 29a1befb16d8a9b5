export { differentiate, prune } from './differentiate.ts';
export type { DifferentiateOptions } from './differentiate.ts';
export { differentiableOperators } from './rules/index.ts';
export { differentiateInSegments } from './segments.ts';
export type { GraphSegment, SegmentOptions } from './segments.ts';
