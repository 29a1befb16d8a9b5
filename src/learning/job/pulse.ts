// The heartbeat of a job: renews its lease, keeps its progress, and hears of cancellations.
import { asFromageError } from '../../errors.ts';
import type { Logger } from '../../log.ts';
import type { ClaimedJob } from '../contracts.ts';
import { asJson, type JobProgress } from '../records.ts';
import type { LearningStores } from '../stores.ts';

/** Somebody asked the job to stop. */
export class Cancelled extends Error {}
/** Another worker has the job, or this one is closing: it goes on from its checkpoint elsewhere. */
export class Lost extends Error {}

export interface PulseOptions {
  readonly store: LearningStores;
  readonly leaseMs: number;
  readonly log: Logger;
  readonly onChange: (jobId: string) => void;
}

export class Pulse {
  readonly #claim: ClaimedJob;
  readonly #options: PulseOptions;
  readonly #onEnd: () => void;
  readonly #controller = new AbortController();
  readonly #timer: NodeJS.Timeout;
  #latest: (JobProgress & { readonly runId?: string }) | undefined;
  #runId: string | undefined;
  #told = 0;
  #permitted: () => Promise<void> = async () => {};
  #asked = Number.NEGATIVE_INFINITY;
  /** Why the job must end now: it was cancelled, another worker has it, or it may not go on. */
  ended: Error | null = null;

  constructor(claim: ClaimedJob, options: PulseOptions, onEnd: () => void) {
    this.#claim = claim;
    this.#options = options;
    this.#onEnd = onEnd;
    this.#timer = setInterval(() => void this.#beat().catch((error: unknown) => options.log.warn({ code: asFromageError(error).code }, 'a lease could not be renewed')), Math.min(options.leaseMs / 3, 2_000));
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Kept at most four times a second. */
  async say(progress: JobProgress, runId?: string): Promise<void> {
    this.#runId = runId ?? this.#runId;
    this.#latest = { ...progress, ...(this.#runId === undefined ? {} : { runId: this.#runId }) };
    const now = performance.now();
    if (runId === undefined && progress.stage === 'training' && now - this.#told < 250) return;
    this.#told = now;
    await this.#beat();
    this.#options.onChange(this.#claim.id);
  }

  /** From now on the job ends when this throws; it is asked once a lease, and at every `check`. */
  guard(permitted: () => Promise<void>): void {
    this.#permitted = permitted;
  }

  /** @throws when the job was cancelled, another worker has it, or it may not go on */
  async check(): Promise<void> {
    this.#asked = Number.NEGATIVE_INFINITY;
    await this.#beat();
    if (this.ended) throw this.ended;
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  async #beat(): Promise<void> {
    const { store, leaseMs } = this.#options;
    const answer = await store.jobs.heartbeat(this.#claim, leaseMs, this.#latest === undefined ? undefined : asJson(this.#latest));
    if (this.ended) return;
    if (answer !== 'go-on') return this.#end(answer === 'cancel' ? new Cancelled() : new Lost());
    const now = performance.now();
    if (now - this.#asked < leaseMs) return;
    this.#asked = now;
    await this.#permitted().catch((error: unknown) => this.#end(asFromageError(error)));
  }

  #end(why: Error): void {
    this.ended ??= why;
    this.#controller.abort();
    this.#onEnd();
  }
}
