// Training as the admin commands and the page see it: start with a reason, watch, cancel, look back.
import { EventEmitter } from 'node:events';
import { type Locale, type Phrase, say, sayAll } from '../chat/index.ts';
import type { JobStatus, TrainingJobs } from '../chat/services.ts';
import type { Logger } from '../log.ts';
import { asFromageError } from '../errors.ts';
import type { Gallery } from '../retrieval/types.ts';
import type { Job, TrainingRun } from './contracts.ts';
import { cleanStart } from './lineage.ts';
import type { Lineup } from './lineup.ts';
import { ownReason, runIdOf, statusOf, trainingJob } from './records.ts';
import type { LearningSettings } from './settings.ts';
import { freezeSnapshot, takeSnapshot, tooLittle } from './snapshot.ts';
import type { LearningStores } from './stores.ts';

export interface JobsOptions {
  readonly store: LearningStores;
  readonly gallery: () => Gallery | null;
  readonly lineup: Pick<Lineup, 'serving'>;
  readonly settings: () => Promise<LearningSettings>;
  /** Tells the worker that there is a job. */
  readonly wake: () => void;
  readonly log: Logger;
}

const unfinished = new Set(['waiting', 'running']);

export class LearningJobs implements TrainingJobs {
  readonly #options: JobsOptions;
  readonly #changes = new EventEmitter().setMaxListeners(0);

  constructor(options: JobsOptions) {
    this.#options = options;
  }

  async start({ by, reason, locale = 'en' }: { readonly by: string; readonly reason: string; readonly locale?: Locale }): Promise<{ readonly started: true; readonly job: JobStatus } | { readonly started: false; readonly why: string }> {
    const { store, wake } = this.#options;
    const [running] = await this.#unfinished();
    if (running) return { started: false, why: underWay(running, locale) };
    const userId = await userOf(store, by);
    const prepared = await this.prepare({ reason, userId });
    if (!('run' in prepared)) return { started: false, why: sayAll(locale, prepared.why) };
    const { run } = prepared;
    const { job, created } = await store.jobs.enqueue({ kind: trainingJob, key: trainingJob, payload: { runId: run.id, reason }, ...(userId === null ? {} : { requestedBy: userId }) });
    if (!created) {
      await store.runs.update(run.id, { state: 'cancelled' });
      return { started: false, why: underWay(job, locale) };
    }
    wake();
    return { started: true, job: await this.#status(job, locale) };
  }

  /** Asks for a run that whichever process works jobs off will prepare; `created` false when one is under way. */
  async request(reason: string): Promise<{ readonly created: boolean; readonly job: JobStatus }> {
    const { job, created } = await this.#options.store.jobs.enqueue({ kind: trainingJob, key: trainingJob, payload: { reason } });
    this.#options.wake();
    return { created, job: await this.#status(job) };
  }

  /** Freezes what may be used now and makes a run of it. */
  async prepare({ reason, userId }: { readonly reason: string; readonly userId: string | null }): Promise<{ readonly run: TrainingRun } | { readonly why: readonly Phrase[] }> {
    const { store, gallery, lineup } = this.#options;
    const settings = await this.#options.settings();
    const snapshot = await takeSnapshot({ store, gallery, settings, since: await this.#seenUntil() });
    // To leave somebody out who was forgotten needs no new examples.
    const { from, leavesOut } = await cleanStart(store.adapters, lineup.serving);
    const why = tooLittle(snapshot, leavesOut ? { ...settings, minNewExamples: 0 } : settings);
    if (why !== null) return { why };
    const set = await freezeSnapshot(store, snapshot);
    const words = reason === '' && leavesOut ? ownReason('reason.forgotten') : reason;
    return { run: await store.runs.create({ ...(words === '' ? {} : { why: words }), trainSetId: set.id, ...(userId === null ? {} : { requestedBy: userId }), ...(from === null ? {} : { parentAdapterId: from }) }) };
  }

  async status(locale?: Locale): Promise<JobStatus | null> {
    const [newest] = await this.#options.store.jobs.list({ kind: trainingJob, limit: 1 });
    return newest ? this.#status(newest, locale) : null;
  }

  async cancel(_by: string): Promise<boolean> {
    const [running] = await this.#unfinished();
    if (!running) return false;
    const asked = await this.#options.store.jobs.cancel(running.id);
    const runId = runIdOf(running);
    if (asked && running.state === 'waiting' && runId !== null) await this.#options.store.runs.update(runId, { state: 'cancelled' });
    this.changed(running.id);
    return asked;
  }

  async history(limit: number, locale?: Locale): Promise<readonly JobStatus[]> {
    return Promise.all((await this.#options.store.jobs.list({ kind: trainingJob, limit })).map((job) => this.#status(job, locale)));
  }

  watch(id: string, onChange: (status: JobStatus) => void, signal: AbortSignal, locale?: Locale): void {
    const tell = (): void => {
      this.#options.store.jobs.get(id).then(async (job) => {
        if (job && !signal.aborted) onChange(await this.#status(job, locale));
      }).catch((error: unknown) => this.#options.log.warn({ code: asFromageError(error).code }, 'the progress of a job could not be read'));
    };
    this.#changes.on(id, tell);
    signal.addEventListener('abort', () => this.#changes.off(id, tell), { once: true });
    tell();
  }

  /** Tells those who watch. */
  changed(jobId: string): void {
    this.#changes.emit(jobId);
  }

  /** Starts by itself when that is due. */
  async startIfDue(now = Date.now()): Promise<boolean> {
    const { everyHours } = (await this.#options.settings()).schedule;
    if (everyHours === 0) return false;
    const [newest] = await this.#options.store.jobs.list({ kind: trainingJob, limit: 1 });
    if (newest && (unfinished.has(newest.state) || now - newest.createdAt < everyHours * 3_600_000)) return false;
    return (await this.start({ by: '', reason: ownReason('reason.schedule') })).started;
  }

  async #unfinished(): Promise<readonly Job[]> {
    return (await this.#options.store.jobs.list({ kind: trainingJob, limit: 5 })).filter(({ state }) => unfinished.has(state));
  }

  /** Newest feedback that a finished run has seen. */
  async #seenUntil(): Promise<number> {
    const { runs, trainSets } = this.#options.store;
    for (const { state, trainSetId } of await runs.list(50)) {
      if (state !== 'done' || trainSetId === null) continue;
      const until = (await trainSets.get(trainSetId))?.facts['until'];
      if (typeof until === 'number') return until;
    }
    return 0;
  }

  async #status(job: Job, locale: Locale = 'en'): Promise<JobStatus> {
    const { runs, trainSets } = this.#options.store;
    const runId = runIdOf(job);
    const run = runId === null ? null : await runs.get(runId);
    return statusOf(job, { run, set: run?.trainSetId ? await trainSets.get(run.trainSetId) : null, locale });
  }
}

function underWay({ id }: Job, locale: Locale): string {
  return say(locale, 'job.underWay', { id: id.slice(0, 8) });
}

/** `telegram:42` as the pseudonymous id of that person; null for the command line, the page, the schedule. */
export async function userOf({ conversations }: LearningStores, by: string): Promise<string | null> {
  const [, platform, externalId] = /^(discord|telegram):(.+)$/.exec(by) ?? [];
  return platform === undefined || externalId === undefined ? null : (await conversations.ensureUser({ platform, externalId })).id;
}
