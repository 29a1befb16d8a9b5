// How runs, jobs and versions are told to people: states, progress, and lines of words.
import type { JsonObject, JsonValue } from '../chat/contracts.ts';
import type { AdapterVersion as ShownVersion, JobStatus } from '../chat/services.ts';
import type { AdapterVersion, Job, Promotion, TrainingRun, TrainSet } from './contracts.ts';
import type { GateFigure, Verdict } from './gate.ts';

export const trainingJob = 'training';

/** What a job says of itself while it runs and when it is over. */
export interface JobProgress {
  readonly stage: 'preparing' | 'training' | 'gating';
  /** 0 to 1. */
  readonly progress: number;
  readonly line: string;
}

export interface JobOutcome {
  readonly outcome: 'promoted' | 'waits' | 'refused' | 'too-little';
  readonly adapterId: string | null;
  readonly line: string;
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

export function statusOf(job: Job, run: TrainingRun | null, set: TrainSet | null): JobStatus {
  const progress = read<JobProgress>(job.progress);
  const outcome = read<JobOutcome>(job.result);
  const examples = Number(set?.facts['newExamples'] ?? 0);
  const reason = run?.why ? `“${run.why}”` : '';
  const ended = { failed: `Failed: ${job.error ?? 'for an unknown reason'}`, cancelled: 'Cancelled.' } as Record<string, string>;
  const line = outcome?.line ?? ended[job.state] ?? progress?.line ?? (job.state === 'waiting' ? 'Waits for its turn.' : 'Begins.');
  const state = outcome?.outcome === 'refused' ? 'refused' : outcome?.outcome === 'too-little' ? 'failed' : job.state === 'running' && progress?.stage === 'gating' ? 'gating' : job.state;
  return {
    id: job.id,
    state,
    startedAt: run?.startedAt ?? job.createdAt,
    endedAt: job.finishedAt,
    progress: job.state === 'done' ? 1 : (progress?.progress ?? 0),
    examples,
    summary: [reason, line].filter((part) => part !== '').join(' '),
  };
}

export function figureLine(name: string, figure: GateFigure | null, digits = 3): string | null {
  if (figure === null) return null;
  const { serving, candidate, low, high, count, difference } = figure;
  return `${name}: ${serving.toFixed(digits)} → ${candidate.toFixed(digits)} (${difference >= 0 ? '+' : ''}${difference.toFixed(digits)}, 95 % interval ${low.toFixed(digits)} to ${high.toFixed(digits)}, ${count} held out)`;
}

export function verdictLines(verdict: Verdict): string[] {
  return [
    figureLine('approved answers', verdict.approval),
    figureLine('pictures found by caption, mean reciprocal rank', verdict.recall),
    figureLine('caption loss in nats', verdict.captionLoss),
    ...verdict.reasons.map((reason) => `not good enough: ${reason}`),
  ].filter((line) => line !== null);
}

/** Lines of `/adapter show`: snapshot, parent, metrics, who promoted it and why, and what is to be done. */
export function versionOf(version: AdapterVersion, facts: { readonly serving: boolean; readonly set: TrainSet | null; readonly run: TrainingRun | null; readonly promotions: readonly Promotion[]; readonly names: ReadonlyMap<string, string> }): ShownVersion {
  const { id, parentId, hash, state, createdAt, forgottenRows } = version;
  const { set, run, promotions, names } = facts;
  const date = (at: number): string => new Date(at).toISOString().slice(0, 16).replace('T', ' ');
  const verdict = read<Verdict>(version.verdict);
  const details = [
    `state ${state}, made ${date(createdAt)}, hash ${hash.slice(0, 16)}`,
    ...(set ? [`snapshot ${set.id.slice(0, 8)} of ${set.rowCount} rows (${String(set.facts['examples'] ?? '?')} examples of ${String(set.facts['people'] ?? '?')} people), hash ${set.hash.slice(0, 16)}${set.removedRows > 0 ? `, ${set.removedRows} rows taken out since` : ''}`] : ['came with the model']),
    ...(run ? [`trained for ${run.step} steps${run.why ? ` because “${run.why}”` : ''}`] : []),
    ...(verdict ? verdictLines(verdict) : []),
    ...promotions.filter(({ adapterId }) => adapterId === id).map(({ kind, by, why, at }) => `${kind === 'promote' ? 'promoted' : 'rolled back to'} ${date(at)}${by === null ? '' : ` by ${names.get(by) ?? 'an admin'}`}${why ? `: ${why}` : ''}`),
    ...(forgottenRows > 0 ? [`it has seen ${forgottenRows} rows of people who asked to be forgotten: /retrain start makes one without them`] : []),
  ];
  return { id, serving: facts.serving, parent: parentId, createdAt, details };
}
