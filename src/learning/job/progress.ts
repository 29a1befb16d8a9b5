// What a run tells while it trains: points of its curves, and a line for people.
import type { Phrase } from '../../chat/index.ts';
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
      return { stage: 'training', progress: 0.02, phrases: [{ key: 'job.pictures', values: { done: progress.done, total: progress.total } }] };
    case 'states':
      return { stage: 'training', progress: 0.4, phrases: [{ key: 'job.states', values: { done: progress.done, total: progress.total } }] };
    case 'validation':
      return { stage: 'training', progress: 0.85, phrases: [{ key: 'job.validation' }] };
    default: {
      const { captioning, retrieval, infoNce, done, total } = progress;
      const losses = Object.entries({ captioning, retrieval, infoNce }).filter(([, value]) => Number.isFinite(value));
      const phrases = losses.map(([name, value]): Phrase => ({ key: 'job.loss', values: { name, value } }));
      return { stage: 'training', progress: 0.05 + 0.8 * (done / Math.max(1, total)), phrases: [{ key: 'job.step', values: { done, total } }, ...phrases] };
    }
  }
}
