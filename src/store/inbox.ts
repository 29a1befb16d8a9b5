// Updates from the platforms: stored before they are acknowledged, each once, worked off lane by lane.
import type { ClaimedUpdate, Inbox, IncomingUpdate, OutgoingMessage } from '../chat/contracts.ts';
import type { Database, Transaction } from './database.ts';
import { advance, claimLane, hold, leave, maxAttempts, nextReadyInMs, wake } from './lanes.ts';
import { enqueueMessages } from './outbox-rows.ts';
import { fromJson, fromJsonOrNull, fromTime, toJson, toText, toTime } from './rows.ts';

const open = { in: ['waiting', 'running'] };
const day = 86_400_000;
const gone = { payload: null, externalUserId: null } as const;

const headOf = (t: Transaction, lane: string) => t.inboxUpdate.findFirst({ where: { lane, state: open }, orderBy: { id: 'asc' } });

/** Ends the work on a lane's head and moves the lane on. */
async function moveOn(t: Transaction, lane: string): Promise<void> {
  const head = await headOf(t, lane);
  await advance(t, 'inbox', lane, head && fromTime(head.availableAt));
}

export function createInbox(database: Database): Inbox {
  const store = async (t: Transaction, update: IncomingUpdate): Promise<'stored' | 'duplicate'> => {
    const now = Date.now();
    await wake(t, 'inbox', update.lane, update.platform, now);
    const { platform, updateId } = update;
    const there = await t.inboxUpdate.findUnique({ where: { platform_updateId: { platform, updateId } }, select: { id: true } });
    if (there) {
      await moveOn(t, update.lane);
      return 'duplicate';
    }
    await t.inboxUpdate.create({
      data: { platform, updateId, lane: update.lane, payload: toJson(update.payload), externalUserId: update.externalUserId ?? null, state: 'waiting', availableAt: toTime(now), receivedAt: toTime(now) },
    });
    return 'stored';
  };

  return {
    accept: (update) => database.write((t) => store(t, update)),

    acceptAll: (updates) =>
      updates.length === 0
        ? Promise.resolve([])
        : database.write(async (t) => {
            const words: ('stored' | 'duplicate')[] = [];
            for (const update of updates) words.push(await store(t, update));
            return words;
          }),

    claimNext: (options) =>
      claimLane<ClaimedUpdate>(database, 'inbox', options, async (t, { lane, fence, leaseUntil }) => {
        for (;;) {
          const head = await headOf(t, lane);
          if (!head) return { headReadyAt: null };
          const now = Date.now();
          if (fromTime(head.availableAt) > now) return { headReadyAt: fromTime(head.availableAt) };
          if (head.attempts >= maxAttempts) {
            // It was begun often enough without an end: it may be what kills the process.
            await t.inboxUpdate.update({ where: { id: head.id }, data: { state: 'dead', finishedAt: toTime(now), error: head.error ?? 'the process ended while working on it' } });
            continue;
          }
          const row = await t.inboxUpdate.update({ where: { id: head.id }, data: { state: 'running', attempts: { increment: 1 } } });
          return {
            work: {
              id: String(row.id),
              platform: row.platform,
              updateId: row.updateId,
              lane,
              payload: fromJsonOrNull(row.payload),
              ...(row.externalUserId === null ? {} : { externalUserId: row.externalUserId }),
              attempt: row.attempts,
              receivedAt: fromTime(row.receivedAt),
              fence,
              leaseUntil,
            },
          };
        }
      }),

    extend: (claim, leaseMs) => database.write((t) => hold(t, 'inbox', claim, Date.now() + leaseMs)),

    complete: (claim, outgoing: readonly OutgoingMessage[] = [], joined: readonly string[] = []) =>
      database.write(async (t) => {
        if (!(await leave(t, 'inbox', claim))) return false;
        const done = { state: 'done', finishedAt: toTime(Date.now()), error: null, ...gone };
        await t.inboxUpdate.update({ where: { id: Number(claim.id) }, data: done });
        if (joined.length > 0) await t.inboxUpdate.updateMany({ where: { platform: claim.platform, lane: claim.lane, updateId: { in: [...joined] }, state: 'waiting' }, data: done });
        await enqueueMessages(t, outgoing);
        await moveOn(t, claim.lane);
        return true;
      }),

    fail: (claim, error, options = {}) =>
      database.write(async (t) => {
        if (!(await leave(t, 'inbox', claim))) return 'lost';
        const again = options.retryInMs !== undefined && claim.attempt < Math.min(options.maxAttempts ?? maxAttempts, maxAttempts);
        const now = Date.now();
        await t.inboxUpdate.update({
          where: { id: Number(claim.id) },
          data: again ? { state: 'waiting', availableAt: toTime(now + (options.retryInMs ?? 0)), error: toText(error) } : { state: 'dead', finishedAt: toTime(now), error: toText(error) },
        });
        await moveOn(t, claim.lane);
        return again ? 'retry' : 'dead';
      }),

    release: (claim) =>
      database.write(async (t) => {
        if (!(await leave(t, 'inbox', claim))) return false;
        await t.inboxUpdate.update({ where: { id: Number(claim.id) }, data: { state: 'waiting', attempts: { decrement: 1 } } });
        await moveOn(t, claim.lane);
        return true;
      }),

    cancel: (platform, updateIds) =>
      database.write(async (t) => {
        const waiting = { platform, updateId: { in: [...updateIds] }, state: 'waiting' };
        const found = await t.inboxUpdate.findMany({ where: waiting, orderBy: { id: 'asc' } });
        // Lanes in one order, so that two cancellations cannot wait for each other.
        for (const lane of [...new Set(found.map((row) => row.lane))].sort()) await t.lane.updateMany({ where: { queue: 'inbox', key: lane }, data: { platform } });
        const cancelled: string[] = [];
        for (const row of found) {
          const { count } = await t.inboxUpdate.updateMany({ where: { id: row.id, state: 'waiting' }, data: { state: 'done', finishedAt: toTime(Date.now()), error: 'cancelled', ...gone } });
          if (count === 1) cancelled.push(row.updateId);
        }
        for (const lane of new Set(found.map((row) => row.lane))) await moveOn(t, lane);
        return cancelled;
      }),

    waiting: (platform, { lane, limit = 100 } = {}) =>
      database.read(async (client) =>
        (await client.inboxUpdate.findMany({ where: { platform, state: 'waiting', ...(lane === undefined ? {} : { lane }) }, orderBy: { id: 'asc' }, take: limit })).map((row) => ({
          platform: row.platform,
          updateId: row.updateId,
          lane: row.lane,
          payload: fromJsonOrNull(row.payload),
          ...(row.externalUserId === null ? {} : { externalUserId: row.externalUserId }),
          receivedAt: fromTime(row.receivedAt),
        })),
      ),

    nextReadyInMs: () => nextReadyInMs(database, 'inbox'),

    prune: (keepMs = 3 * day) =>
      database.write(async (t) => {
        const { count } = await t.inboxUpdate.deleteMany({ where: { state: 'done', finishedAt: { lt: toTime(Date.now() - keepMs) } } });
        await t.lane.deleteMany({ where: { queue: 'inbox', readyAt: null, leaseUntil: null } });
        return count;
      }),

    deadLetters: (limit = 100) =>
      database.read(async (client) =>
        (await client.inboxUpdate.findMany({ where: { state: 'dead' }, orderBy: { id: 'desc' }, take: limit })).map((row) => ({
          id: String(row.id),
          platform: row.platform,
          updateId: row.updateId,
          lane: row.lane,
          attempts: row.attempts,
          error: row.error,
          diedAt: fromTime(row.finishedAt ?? row.receivedAt),
        })),
      ),

    retryDead: (id) =>
      database.write(async (t) => {
        const { count } = await t.inboxUpdate.updateMany({ where: { id: Number(id), state: 'dead', payload: { not: null } }, data: { state: 'waiting', attempts: 0, finishedAt: null, availableAt: toTime(Date.now()) } });
        if (count === 0) return false;
        const row = await t.inboxUpdate.findUniqueOrThrow({ where: { id: Number(id) } });
        await wake(t, 'inbox', row.lane, row.platform, Date.now());
        await moveOn(t, row.lane);
        return true;
      }),

    stats: () =>
      database.read(async (client) => {
        const count = (state: string) => client.inboxUpdate.count({ where: { state } });
        const [pending, running, dead, oldest] = await Promise.all([count('waiting'), count('running'), count('dead'), client.inboxUpdate.findFirst({ where: { state: open }, orderBy: { id: 'asc' } })]);
        return { pending, running, dead, oldestMs: oldest ? Math.max(0, Date.now() - fromTime(oldest.receivedAt)) : 0 };
      }),

    position: (lane) =>
      database.read(async (client) => {
        const own = await client.lane.findUnique({ where: { queue_key: { queue: 'inbox', key: lane } } });
        if (!own || own.readyAt === null) return 0;
        return client.lane.count({ where: { queue: 'inbox', key: { not: lane }, OR: [{ readyAt: { lt: own.readyAt } }, { readyAt: own.readyAt, key: { lt: lane } }] } });
      }),

    cursor: (name) => database.read(async (client) => {
      const row = await client.cursor.findUnique({ where: { name: `platform:${name}` } });
      return row && fromJson(row.value);
    }),

    async setCursor(name, value) {
      const key = `platform:${name}`;
      await database.write(async (t) => {
        if (value === null) return void (await t.cursor.deleteMany({ where: { name: key } }));
        const row = { value: toJson(value), updatedAt: toTime(Date.now()) };
        await t.cursor.upsert({ where: { name: key }, create: { name: key, ...row }, update: row });
      });
    },
  };
}
