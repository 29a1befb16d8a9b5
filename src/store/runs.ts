// Training runs with their curves, and jobs under a lease.
import { randomUUID } from 'node:crypto';
import type { ClaimedJob, Job, JobStore, RunStore, TrainingRun } from '../learning/contracts.ts';
import type { Database } from './database.ts';
import { fromJson, fromJsonObject, fromJsonOrNull, fromTime, fromTimeOrNull, toJson, toText, toTextOrNull, toTime } from './rows.ts';

function runOf(row: { id: string; state: string; why: string | null; requestedById: string | null; trainSetId: string | null; parentAdapterId: string | null; config: string; folder: string | null; step: number; totalSteps: number | null; error: string | null; createdAt: bigint; startedAt: bigint | null; finishedAt: bigint | null }): TrainingRun {
  const { id, why, trainSetId, parentAdapterId, folder, step, totalSteps, error } = row;
  return {
    id,
    state: row.state as TrainingRun['state'],
    why,
    requestedBy: row.requestedById,
    trainSetId,
    parentAdapterId,
    config: fromJsonObject(row.config),
    folder,
    step,
    totalSteps,
    error,
    createdAt: fromTime(row.createdAt),
    startedAt: fromTimeOrNull(row.startedAt),
    finishedAt: fromTimeOrNull(row.finishedAt),
  };
}

const over = new Set<string>(['done', 'failed', 'cancelled']);

export function createRuns(database: Database): RunStore {
  return {
    create: ({ why, requestedBy, trainSetId, parentAdapterId, config = {} }) =>
      database.write(async (t) =>
        runOf(
          await t.trainingRun.create({
            data: { id: randomUUID(), state: 'waiting', why: toTextOrNull(why), requestedById: requestedBy ?? null, trainSetId: trainSetId ?? null, parentAdapterId: parentAdapterId ?? null, config: toJson(config), createdAt: toTime(Date.now()) },
          }),
        ),
      ),

    get: (id) => database.read(async (client) => {
      const row = await client.trainingRun.findUnique({ where: { id } });
      return row && runOf(row);
    }),

    list: (limit = 100) => database.read(async (client) => (await client.trainingRun.findMany({ orderBy: [{ createdAt: 'desc' }, { id: 'asc' }], take: limit })).map(runOf)),

    update: (id, change) =>
      database.write(async (t) => {
        const now = toTime(Date.now());
        const { count } = await t.trainingRun.updateMany({ where: { id }, data: { ...change, ...(change.state !== undefined && over.has(change.state) ? { finishedAt: now } : {}) } });
        if (count === 0) return null;
        if (change.state === 'running') await t.trainingRun.updateMany({ where: { id, startedAt: null }, data: { startedAt: now } });
        return runOf(await t.trainingRun.findUniqueOrThrow({ where: { id } }));
      }),

    async record(id, points) {
      await database.write(async (t) => {
        for (const { step, at, values } of points) {
          const row = { at: toTime(at), values: toJson(values) };
          await t.runPoint.upsert({ where: { runId_step: { runId: id, step } }, create: { runId: id, step, ...row }, update: row });
        }
      });
    },

    curve: (id) =>
      database.read(async (client) => (await client.runPoint.findMany({ where: { runId: id }, orderBy: { step: 'asc' } })).map((row) => ({ step: row.step, at: fromTime(row.at), values: fromJson(row.values) as Record<string, number> }))),
  };
}

interface JobRow {
  readonly id: string;
  readonly kind: string;
  readonly payload: string;
  readonly state: string;
  readonly progress: string | null;
  readonly result: string | null;
  readonly error: string | null;
  readonly attempts: number;
  readonly cancelRequested: boolean;
  readonly requestedById: string | null;
  readonly createdAt: bigint;
  readonly finishedAt: bigint | null;
}

function jobOf(row: JobRow): Job {
  return {
    id: row.id,
    kind: row.kind,
    payload: fromJson(row.payload),
    state: row.state as Job['state'],
    progress: fromJsonOrNull(row.progress),
    result: fromJsonOrNull(row.result),
    error: row.error,
    attempts: row.attempts,
    cancelRequested: row.cancelRequested,
    requestedBy: row.requestedById,
    createdAt: fromTime(row.createdAt),
    finishedAt: fromTimeOrNull(row.finishedAt),
  };
}

export function createJobs(database: Database): JobStore {
  return {
    enqueue: async ({ kind, payload = null, key, requestedBy }) => {
      const id = randomUUID();
      const row = await database.write(async (t) => {
        const create = { id, kind, payload: toJson(payload), state: 'waiting', requestedById: requestedBy ?? null, createdAt: toTime(Date.now()), activeKey: key ?? null };
        return key === undefined ? t.job.create({ data: create }) : t.job.upsert({ where: { activeKey: key }, create, update: { attempts: { increment: 0 } } });
      });
      return { job: jobOf(row), created: row.id === id };
    },

    async claim(kinds, { owner, leaseMs }) {
      for (;;) {
        const now = toTime(Date.now());
        const free = { kind: { in: [...kinds] }, OR: [{ state: 'waiting' }, { state: 'running', leaseUntil: { lt: now } }] };
        const next = await database.read((client) => client.job.findFirst({ where: free, orderBy: [{ createdAt: 'asc' }, { id: 'asc' }], select: { id: true } }));
        if (!next) return null;
        const claimed = await database.write(async (t): Promise<ClaimedJob | null> => {
          const leaseUntil = Date.now() + leaseMs;
          const { count } = await t.job.updateMany({ where: { ...free, id: next.id }, data: { state: 'running', owner, leaseUntil: toTime(leaseUntil), fence: { increment: 1 }, attempts: { increment: 1 } } });
          if (count === 0) return null;
          const row = await t.job.findUniqueOrThrow({ where: { id: next.id } });
          return { ...jobOf(row), fence: row.fence, leaseUntil };
        });
        if (claimed) return claimed;
      }
    },

    heartbeat: (claim, leaseMs, progress) =>
      database.write(async (t) => {
        const { count } = await t.job.updateMany({
          where: { id: claim.id, state: 'running', fence: claim.fence },
          data: { leaseUntil: toTime(Date.now() + leaseMs), ...(progress === undefined ? {} : { progress: toJson(progress) }) },
        });
        if (count === 0) return 'lost';
        return (await t.job.findUniqueOrThrow({ where: { id: claim.id } })).cancelRequested ? 'cancel' : 'go-on';
      }),

    finish: (claim, end) =>
      database.write(async (t) => {
        const result = end.state === 'done' && end.result !== undefined ? toJson(end.result) : null;
        const error = end.state === 'failed' ? toText(end.error) : null;
        const { count } = await t.job.updateMany({
          where: { id: claim.id, state: 'running', fence: claim.fence },
          data: { state: end.state, result, error, activeKey: null, owner: null, leaseUntil: null, finishedAt: toTime(Date.now()) },
        });
        return count === 1;
      }),

    cancel: (id) =>
      database.write(async (t) => {
        const { count } = await t.job.updateMany({ where: { id, state: 'waiting' }, data: { state: 'cancelled', activeKey: null, finishedAt: toTime(Date.now()) } });
        if (count === 1) return true;
        return (await t.job.updateMany({ where: { id, state: 'running' }, data: { cancelRequested: true } })).count === 1;
      }),

    get: (id) => database.read(async (client) => {
      const row = await client.job.findUnique({ where: { id } });
      return row && jobOf(row);
    }),

    list: ({ kind, limit = 100 } = {}) => database.read(async (client) => (await client.job.findMany({ where: kind === undefined ? {} : { kind }, orderBy: [{ createdAt: 'desc' }, { id: 'asc' }], take: limit })).map(jobOf)),
  };
}
