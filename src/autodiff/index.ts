export { differentiate, prune } from './differentiate.ts';
export type { DifferentiateOptions } from './differentiate.ts';
export { differentiableOperators } from './rules/index.ts';
