// Works off training jobs one after another under a lease: snapshot, training in its own process, gate,
// promotion. Every step leaves a record first, so that a job whose worker died is taken up where it stood.
import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Phrase } from '../../chat/index.ts';
import type { Engine } from '../../engine/types.ts';
import { asFromageError, FromageError } from '../../errors.ts';
import type { Logger } from '../../log.ts';
import type { Gallery } from '../../retrieval/types.ts';
import type { TrainResult } from '../../training/index.ts';
import type { ClaimedJob, TrainingRun, TrainRow, TrainSet } from '../contracts.ts';
import { featuresOf } from '../features.ts';
import { judge, type Verdict } from '../gate.ts';
import { sawForgotten } from '../lineage.ts';
import type { Lineup } from '../lineup.ts';
import { lessonsOf, picturesOf, trainingSources } from '../materials.ts';
import { asJson, failureOf, type JobOutcome, ownReason, runIdOf, trainingJob, verdictPhrases } from '../records.ts';
import { type FrozenModels, runConfig } from '../run-config.ts';
import type { LearningSettings } from '../settings.ts';
import type { LearningStores } from '../stores.ts';
import { LatencyProbe } from './latency.ts';
import { Curve, progressOf } from './progress.ts';
import { Cancelled, Lost, Pulse } from './pulse.ts';
import { startTrainer, type TrainerProcess } from './trainer-process.ts';

/** A process that trains may die so often before the job fails. */
const mostDeaths = 2;

export interface WorkerOptions {
  readonly store: LearningStores;
  readonly engine: Engine;
  readonly gallery: () => Gallery | null;
  readonly lineup: Lineup;
  readonly dataDir: string;
  readonly models: FrozenModels;
  readonly settings: () => Promise<LearningSettings>;
  /** A run with its frozen set for a job that came without one; words when there is too little. */
  readonly prepare: (request: { readonly reason: string; readonly userId: string | null }) => Promise<{ readonly run: TrainingRun } | { readonly why: readonly Phrase[] }>;
  readonly log: Logger;
  readonly leaseMs: number;
  /** How often a job that another process asked for is looked for. */
  readonly pollMs: number;
  readonly onChange: (jobId: string) => void;
}

export class TrainingWorker {
  readonly #options: WorkerOptions;
  readonly #owner = randomUUID();
  readonly #stopping = new AbortController();
  #work: Promise<void> | null = null;
  #timer: NodeJS.Timeout | null = null;
  #trainer: TrainerProcess | null = null;
  #slowdown: number | null = null;

  constructor(options: WorkerOptions) {
    this.#options = options;
  }

  /** Of the process that trains now; for tests that kill it. */
  get trainerPid(): number | undefined {
    return this.#trainer?.pid;
  }

  start(): void {
    this.#timer = setInterval(() => this.wake(), this.#options.pollMs);
    this.#timer.unref();
    this.wake();
  }

  wake(): void {
    if (this.#work || this.#stopping.signal.aborted) return;
    this.#work = this.#next()
      .catch((error: unknown) => this.#options.log.error({ code: asFromageError(error).code, err: error }, 'training jobs cannot be worked off'))
      .finally(() => (this.#work = null));
  }

  /** The job under way keeps its checkpoint and goes on at the next start. */
  async close(): Promise<void> {
    if (this.#timer) clearInterval(this.#timer);
    this.#stopping.abort();
    this.#trainer?.stop();
    await this.#work;
  }

  async #next(): Promise<void> {
    const { store, leaseMs, log, onChange } = this.#options;
    for (;;) {
      const claim = this.#stopping.signal.aborted ? null : await store.jobs.claim([trainingJob], { owner: this.#owner, leaseMs });
      if (claim === null) return;
      try {
        const outcome = await this.#run(claim);
        await store.jobs.finish(claim, { state: 'done', result: asJson(outcome) });
      } catch (error) {
        if (error instanceof Lost) return;
        const run = runIdOf((await store.jobs.get(claim.id)) ?? claim);
        if (error instanceof Cancelled) {
          await store.jobs.finish(claim, { state: 'cancelled' });
          if (run) await store.runs.update(run, { state: 'cancelled' });
          if (run) await this.#clear(run);
        } else if (this.#stopping.signal.aborted) {
          // The lease ends by itself; whoever starts next takes the job up.
          return;
        } else {
          const failure = asFromageError(error);
          const { code } = failure;
          log.error({ code, err: error, job: claim.id }, 'a training job failed');
          await store.jobs.finish(claim, { state: 'failed', error: failureOf(failure) });
          if (run) await store.runs.update(run, { state: 'failed', error: code });
          if (run) await this.#clear(run);
        }
      }
      onChange(claim.id);
    }
  }

  async #run(claim: ClaimedJob): Promise<JobOutcome> {
    const { store, lineup } = this.#options;
    const settings = await this.#options.settings();
    const pulse = new Pulse(claim, this.#options, () => this.#trainer?.stop());
    try {
      const begun = await this.#runOf(claim, pulse);
      if (!('run' in begun)) return { outcome: 'too-little', adapterId: null, phrases: begun.why };
      const { run } = begun;
      const candidate = candidateOf(run.id);
      const folder = join('adapters', candidate);
      const { set, rows } = await this.#rowsOf(run);
      pulse.guard(() => this.#assertPermitted(set.id, rows));
      const lessons = lessonsOf(rows);
      const features = await featuresOf(picturesOf(lessons), this.#options, this.#stopping.signal);
      const parent = run.parentAdapterId ?? lineup.serving ?? '';
      if (!existsSync(join(this.#options.dataDir, folder))) await this.#train({ run, parent, folder, sources: trainingSources(lessons, new Set(features.keys()), settings.replay.share), features, settings, pulse });
      await pulse.check();
      await this.#keep(candidate, folder, run, parent, set);

      await pulse.say({ stage: 'gating', progress: 0.9, phrases: [{ key: 'job.gating' }] });
      await lineup.load(candidate);
      const serving = lineup.serving ?? parent;
      await lineup.load(serving);
      const verdict = await judge({ engine: this.#options.engine, candidate, serving, lessons, features, settings: await this.#standards(serving, candidate, settings), signal: pulse.signal });
      await pulse.check();
      await store.adapters.judge(candidate, asJson({ ...verdict, against: serving }), !verdict.passed);
      const outcome = await this.#decide(candidate, run, verdict, settings);
      await store.runs.update(run.id, { state: 'done' });
      await this.#clear(run.id);
      await lineup.tidy();
      return outcome;
    } catch (error) {
      throw pulse.ended ?? error;
    } finally {
      pulse.stop();
    }
  }

  async #runOf(claim: ClaimedJob, pulse: Pulse): Promise<{ readonly run: TrainingRun } | { readonly why: readonly Phrase[] }> {
    const { store, prepare } = this.#options;
    const known = runIdOf(claim);
    const { reason = '' } = (claim.payload ?? {}) as { reason?: string };
    const begun = known === null ? null : await store.runs.get(known);
    const prepared = begun ? { run: begun } : await prepare({ reason, userId: claim.requestedBy });
    if (!('run' in prepared)) return prepared;
    const { run } = prepared;
    await pulse.say({ stage: 'preparing', progress: 0, phrases: [{ key: 'job.gathering' }] }, run.id);
    return { run: (await store.runs.update(run.id, { state: 'running' })) ?? run };
  }

  /** Rows of the run's set, if all of them may still be used. */
  async #rowsOf(run: TrainingRun): Promise<{ readonly set: TrainSet; readonly rows: readonly TrainRow[] }> {
    const { store } = this.#options;
    const set = run.trainSetId === null ? null : await store.trainSets.get(run.trainSetId);
    if (set === null) throw new FromageError({ code: 'LEARNING_SET', what: 'the train set of this run is gone', todo: 'start another run' });
    const rows: TrainRow[] = [];
    for (let after = -1; ; ) {
      const page = await store.trainSets.rows(set.id, { after });
      rows.push(...page);
      const last = page.at(-1);
      if (last === undefined) break;
      after = last.position;
    }
    await this.#assertPermitted(set.id, rows);
    if (!(await store.trainSets.markUsed(set.id))) throw changed();
    return { set, rows };
  }

  /** A consent that was withdrawn since the set was frozen ends the run, as does a row that is gone. */
  async #assertPermitted(setId: string, rows: readonly TrainRow[]): Promise<void> {
    const { consents, trainSets } = this.#options.store;
    const set = await trainSets.get(setId);
    if (set === null || set.removedRows > 0) throw changed();
    const needed = new Map<string, Set<string>>();
    for (const { provenance: { userId, consentId } } of rows) if (userId !== null && consentId !== null) needed.set(userId, (needed.get(userId) ?? new Set()).add(consentId));
    for (const [userId, ids] of needed) {
      const active = new Set((await consents.history(userId)).filter(({ revokedAt }) => revokedAt === null).map(({ id }) => id));
      if ([...ids].some((id) => !active.has(id))) throw changed();
    }
  }

  async #train({ run, parent, folder, sources, features, settings, pulse }: { run: TrainingRun; parent: string; folder: string; sources: ReturnType<typeof trainingSources>; features: ReadonlyMap<string, Float32Array>; settings: LearningSettings; pulse: Pulse }): Promise<void> {
    const { store, engine, lineup, models, dataDir } = this.#options;
    const from = await store.adapters.get(parent);
    if (!from) throw new FromageError({ code: 'LEARNING_ADAPTER', what: `the adapter to begin with, ${parent}, is gone`, todo: 'start another run' });
    const runFolder = join(dataDir, 'runs', run.id);
    mkdirSync(dirname(runFolder), { recursive: true });
    const config = runConfig(models, { folder: runFolder, from: lineup.folderOf(from), info: await engine.info(), sources }, settings);
    await store.runs.update(run.id, { folder: join('runs', run.id) });
    const curve = new Curve(run.id, this.#options);
    await pulse.check();
    const probe = new LatencyProbe(engine);
    await probe.rest();
    probe.begin();
    try {
      const result = await this.#trained({ config, sources, features }, (progress) => {
        curve.add(progress);
        void pulse.say(progressOf(progress)).catch(() => {});
      });
      await curve.end();
      this.#slowdown = await probe.end();
      if (result.status === 'interrupted' || result.adapter === null) throw pulse.ended ?? new Lost();
      await store.runs.update(run.id, { step: result.steps, totalSteps: result.steps });
      mkdirSync(dirname(join(dataDir, folder)), { recursive: true });
      renameSync(result.adapter, join(dataDir, folder));
    } finally {
      await probe.end();
      this.#trainer = null;
    }
  }

  /** A process that dies is started again: it goes on from its checkpoint. */
  async #trained(start: Parameters<typeof startTrainer>[0], onProgress: Parameters<typeof startTrainer>[1]): Promise<TrainResult> {
    for (let deaths = 0; ; deaths++) {
      this.#trainer = startTrainer(start, onProgress);
      if (this.#stopping.signal.aborted) this.#trainer.stop();
      try {
        return await this.#trainer.result;
      } catch (error) {
        if (asFromageError(error).code !== 'LEARNING_TRAINER_DIED' || deaths === mostDeaths || this.#stopping.signal.aborted) throw error;
        this.#options.log.warn({ err: error }, 'the process that trains is started again');
      }
    }
  }

  /** The candidate as a version, once. */
  async #keep(id: string, folder: string, run: TrainingRun, parentId: string, set: TrainSet): Promise<void> {
    const { store, engine, dataDir } = this.#options;
    if (await store.adapters.get(id)) return;
    const known = (await engine.info()).adapters.find((loaded) => loaded.id === id);
    const { hash, visualHash, metadata } = known ?? (await engine.loadAdapter(join(dataDir, folder), id));
    const metrics = (metadata['metrics'] ?? {}) as object;
    await store.adapters.add({ id, parentId, folder, hash, visualHash, trainSetId: set.id, runId: run.id, metrics: asJson(metrics) });
  }

  /** A candidate that takes the place of one which saw people who were forgotten need not be better, only not worse. */
  async #standards(serving: string, candidate: string, settings: LearningSettings): Promise<LearningSettings> {
    const { adapters } = this.#options.store;
    if (!(await sawForgotten(adapters, serving)) || (await sawForgotten(adapters, candidate))) return settings;
    return { ...settings, gate: { ...settings.gate, minApprovalGain: Math.min(settings.gate.minApprovalGain, -settings.gate.approvalLoss) } };
  }

  async #decide(candidate: string, run: TrainingRun, verdict: Verdict, settings: LearningSettings): Promise<JobOutcome> {
    const { lineup } = this.#options;
    const felt: Phrase[] = this.#slowdown === null ? [] : [{ key: 'job.slowdown', values: { ratio: this.#slowdown } }];
    this.#slowdown = null;
    const told = (key: Phrase['key']): readonly Phrase[] => [{ key, values: { id: candidate } }, ...verdictPhrases(verdict), ...felt];
    if (!verdict.passed) return { outcome: 'refused', adapterId: candidate, phrases: told('job.kept') };
    if (settings.promote === 'ask') return { outcome: 'waits', adapterId: candidate, phrases: told('job.passed') };
    await lineup.promote(candidate, { why: run.why ?? ownReason('reason.gate'), ...(run.requestedBy === null ? {} : { by: run.requestedBy }) });
    return { outcome: 'promoted', adapterId: candidate, phrases: told('job.promoted') };
  }

  /** Checkpoints and hidden states are of no use any more, nor is a candidate that was never judged: they should outlive nobody's wish. */
  async #clear(runId: string): Promise<void> {
    const { store, dataDir, lineup } = this.#options;
    rmSync(join(dataDir, 'runs', runId), { recursive: true, force: true });
    const candidate = candidateOf(runId);
    const version = await store.adapters.get(candidate);
    if (version !== null && version.verdict !== null) return;
    if (version !== null) await store.adapters.remove(candidate);
    await lineup.tidy();
    rmSync(join(dataDir, 'adapters', candidate), { recursive: true, force: true });
  }
}

function candidateOf(runId: string): string {
  return `a-${runId.slice(0, 8)}`;
}

function changed(): FromageError {
  return new FromageError({ code: 'LEARNING_WITHDRAWN', what: 'somebody whose rows are in the train set has withdrawn consent or was forgotten', why: 'a run must not use rows that may not be used any more', todo: 'start another run: it leaves them out' });
}
