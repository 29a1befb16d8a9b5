// What a run tells while it trains: points of its curves, and a line for people.
import { asFromageError } from '../../errors.ts';
import type { Logger } from '../../log.ts';
import type { TrainProgress } from '../../training/index.ts';
import type { RunPoint } from '../contracts.ts';
import type { JobProgress } from '../records.ts';
import type { LearningStores } from '../stores.ts';

export interface CurveOptions {
  readonly store: LearningStores;
  readonly log: Logger;
}

/** Points of the run's curves, written a few at a time. */
export class Curve {
  readonly #runId: string;
  readonly #options: CurveOptions;
  #points: RunPoint[] = [];
  #written: Promise<unknown> = Promise.resolve();

  constructor(runId: string, options: CurveOptions) {
    this.#runId = runId;
    this.#options = options;
  }

  add(progress: TrainProgress): void {
    if (progress.stage !== 'joint' && progress.stage !== 'maps') return;
    const values = Object.fromEntries(Object.entries({ captioning: progress.captioning, retrieval: progress.retrieval, infoNce: progress.infoNce }).filter(([, value]) => Number.isFinite(value)));
    this.#points.push({ step: progress.done, at: Date.now(), values });
    if (this.#points.length >= 20) this.#flush(progress.total);
  }

  async end(): Promise<void> {
    this.#flush();
    await this.#written;
  }

  #flush(total?: number): void {
    const points = this.#points;
    this.#points = [];
    const step = points.at(-1)?.step;
    if (step === undefined) return;
    const { runs } = this.#options.store;
    this.#written = this.#written
      .then(() => runs.record(this.#runId, points))
      .then(() => runs.update(this.#runId, { step, ...(total === undefined ? {} : { totalSteps: total }) }))
      .catch((error: unknown) => this.#options.log.warn({ code: asFromageError(error).code }, 'the curve of a run could not be kept'));
  }
}

export function progressOf(progress: TrainProgress): JobProgress {
  switch (progress.stage) {
    case 'pictures':
    case 'states':
      return { stage: 'training', progress: progress.stage === 'pictures' ? 0.02 : 0.4, line: `${progress.stage === 'pictures' ? 'Reading pictures' : 'Reading requests'}: ${progress.done} of ${progress.total}.` };
    case 'validation':
      return { stage: 'training', progress: 0.85, line: 'Validating.' };
    default: {
      const losses = [['captioning', progress.captioning], ['retrieval', progress.retrieval], ['InfoNCE', progress.infoNce]] as const;
      const shown = losses.filter(([, value]) => Number.isFinite(value)).map(([name, value]) => `${name} ${value.toFixed(3)}`).join(', ');
      return { stage: 'training', progress: 0.05 + 0.8 * (progress.done / Math.max(1, progress.total)), line: `Step ${progress.done} of ${progress.total}: ${shown}.` };
    }
  }
}
