export { runGolden } from './golden/run.ts';
export { printGolden } from './golden/table.ts';
export type { GoldenOptions, GoldenResult, PartResult, TrainingCheck } from './golden/types.ts';
