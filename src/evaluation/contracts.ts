// The names of the tasks: all that the command line needs to know before an evaluation runs.
export const evaluationTasks = ['retrieval', 'captioning', 'vist', 'visdial', 'dialogue', 'prompting'] as const;

export type EvaluationTask = (typeof evaluationTasks)[number];
