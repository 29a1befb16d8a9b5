// The door of the training room.
export { compareTraining } from './golden.ts';
export type { CompareTrainingOptions, TrainingPart } from './golden.ts';
