// Learning rates over a run.

export interface ScheduleOptions {
  readonly kind: 'step' | 'cosine' | 'constant';
  readonly lr: number;
  /** Linear from 0 over this many steps. */
  readonly warmupSteps: number;
  /** `step`: multiplied by `gamma` every so many steps. */
  readonly stepSize: number;
  readonly gamma: number;
  /** `cosine`: the last step's rate as a fraction of `lr`. */
  readonly floor: number;
}

/**
 * The rate of one step.
 *
 * Differs: the reference's warm-up gives its very first step the rate 0; here the ramp begins one step on.
 *
 * @param step counted from 0
 * @param totalSteps length of the run; only `cosine` looks at it
 */
export function learningRate(options: ScheduleOptions, step: number, totalSteps: number): number {
  const { lr, warmupSteps } = options;
  if (step < warmupSteps) return (lr * (step + 1)) / warmupSteps;
  switch (options.kind) {
    case 'constant':
      return lr;
    case 'step':
      return lr * options.gamma ** Math.floor((step - warmupSteps) / options.stepSize);
    case 'cosine': {
      const part = Math.min(1, (step - warmupSteps) / Math.max(1, totalSteps - warmupSteps));
      return lr * (options.floor + ((1 - options.floor) * (1 + Math.cos(Math.PI * part))) / 2);
    }
  }
}
