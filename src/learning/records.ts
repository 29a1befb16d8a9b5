// How runs, jobs and versions are told to people: states, progress, and sentences in the reader's language.
import type { JsonObject, JsonValue } from '../chat/contracts.ts';
import { type Locale, type MessageKey, type Phrase, say, sayAll } from '../chat/index.ts';
import type { AdapterVersion as ShownVersion, JobStatus } from '../chat/services.ts';
import type { AdapterVersion, Job, Promotion, TrainingRun, TrainSet } from './contracts.ts';
import type { GateFigure, Verdict } from './gate.ts';

export const trainingJob = 'training';

/** What a job says of itself while it runs and when it is over. */
export interface JobProgress {
  readonly stage: 'preparing' | 'training' | 'gating';
  /** 0 to 1. */
  readonly progress: number;
  readonly phrases: readonly Phrase[];
}

export interface JobOutcome {
  readonly outcome: 'promoted' | 'waits' | 'refused' | 'too-little';
  readonly adapterId: string | null;
  readonly phrases: readonly Phrase[];
}

export function asJson(value: object): JsonObject {
  return JSON.parse(JSON.stringify(value)) as JsonObject;
}

function read<T>(value: JsonValue): T | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as unknown as T) : null;
}

export function runIdOf(job: Job): string | null {
  return read<{ runId?: string }>(job.payload)?.runId ?? read<{ runId?: string }>(job.progress)?.runId ?? null;
}

/** Reasons that nobody typed. They are kept in English, and told in the reader's language. */
const ownReasons = ['reason.base', 'reason.otherBase', 'reason.schedule', 'reason.forgotten', 'reason.gate', 'reason.byHand', 'reason.notLoaded'] as const satisfies readonly MessageKey[];

export function ownReason(key: (typeof ownReasons)[number]): string {
  return say('en', key);
}

function reasonIn(locale: Locale, why: string): string {
  const own = ownReasons.find((key) => ownReason(key) === why);
  return own === undefined ? why : say(locale, own);
}

/** Failures that have words of their own; the rest is told as the log has it. */
const failures: Readonly<Record<string, MessageKey>> = { LEARNING_WITHDRAWN: 'job.withdrawn', LEARNING_TRAINER_DIED: 'job.died' };

/** How a failure is kept with its job. */
export function failureOf({ code, what }: { readonly code: string; readonly what: string }): string {
  return `${what} [${code}]`;
}

function failurePhrase(error: string): Phrase {
  const known = failures[/\[([A-Z_]+)\]$/.exec(error)?.[1] ?? ''];
  return known === undefined ? { key: 'job.failed', values: { error } } : { key: known };
}

export function statusOf(job: Job, { run, set, locale }: { readonly run: TrainingRun | null; readonly set: TrainSet | null; readonly locale: Locale }): JobStatus {
  const progress = read<JobProgress>(job.progress);
  const outcome = read<JobOutcome>(job.result);
  const reason: Phrase[] = run?.why ? [{ key: 'job.reason', values: { reason: reasonIn(locale, run.why) } }] : [];
  const state = outcome?.outcome === 'refused' ? 'refused' : outcome?.outcome === 'too-little' ? 'failed' : job.state === 'running' && progress?.stage === 'gating' ? 'gating' : job.state;
  return {
    id: job.id,
    state,
    startedAt: run?.startedAt ?? job.createdAt,
    endedAt: job.finishedAt,
    progress: job.state === 'done' ? 1 : (progress?.progress ?? 0),
    examples: Number(set?.facts['newExamples'] ?? 0),
    summary: sayAll(locale, [...reason, ...(outcome?.phrases ?? stateOf(job, progress))]),
  };
}

function stateOf({ state, error }: Job, progress: JobProgress | null): readonly Phrase[] {
  if (state === 'failed') return [failurePhrase(error ?? '?')];
  if (state === 'cancelled') return [{ key: 'job.cancelled' }];
  return progress?.phrases ?? [{ key: state === 'waiting' ? 'job.waiting' : 'job.begins' }];
}

function figurePhrases(name: string, figure: GateFigure | null): Phrase[] {
  return figure === null ? [] : [{ key: 'gate.figure', values: { name, ...figure } }];
}

export function verdictPhrases({ approval, recall, captionLoss, reasons }: Verdict): readonly Phrase[] {
  return [...figurePhrases('approval', approval), ...figurePhrases('recall', recall), ...figurePhrases('captionLoss', captionLoss), ...reasons];
}

/** Lines of `/adapter show`: snapshot, parent, metrics, who promoted it and why, and what is to be done. */
export function versionOf(version: AdapterVersion, facts: { readonly serving: boolean; readonly set: TrainSet | null; readonly run: TrainingRun | null; readonly promotions: readonly Promotion[]; readonly names: ReadonlyMap<string, string>; readonly locale: Locale }): ShownVersion {
  const { id, parentId, hash, state, createdAt, forgottenRows } = version;
  const { set, run, promotions, locale, names } = facts;
  const date = (at: number): string => new Date(at).toISOString().slice(0, 16).replace('T', ' ');
  const because = (why: string | null) => ({ reasoned: why ? 'yes' : 'no', why: why ? reasonIn(locale, why) : '' });
  const by = (userId: string | null) => ({ named: userId === null ? 'no' : names.get(userId) ? 'yes' : 'unknown', name: names.get(userId ?? '') ?? '' });
  const verdict = read<Verdict>(version.verdict);
  const count = (name: string): number => Number(set?.facts[name] ?? 0);
  const phrases: Phrase[] = [
    { key: 'version.state', values: { state, date: date(createdAt), hash: hash.slice(0, 16) } },
    set ? { key: 'version.set', values: { id: set.id.slice(0, 8), rows: set.rowCount, examples: count('examples'), people: count('people'), hash: set.hash.slice(0, 16), removed: set.removedRows } } : { key: 'reason.base' },
    ...(run ? [{ key: 'version.trained' as const, values: { steps: run.step, ...because(run.why) } }] : []),
    ...(verdict ? verdictPhrases(verdict) : []),
    ...promotions.filter(({ adapterId }) => adapterId === id).map(({ kind, by: userId, why, at }): Phrase => ({ key: 'version.promoted', values: { kind, date: date(at), ...by(userId), ...because(why) } })),
    ...(forgottenRows > 0 ? [{ key: 'version.forgotten' as const, values: { count: forgottenRows } }] : []),
  ];
  return { id, serving: facts.serving, parent: parentId, createdAt, details: phrases.map((phrase) => sayAll(locale, [phrase])) };
}
