// Messages to the platforms: written before they are sent, each attempt recorded before it leaves. What may
// have been sent is sent again only where that shows one message.
import type { ClaimedSend, Outbox } from '../chat/contracts.ts';
import type { Database, Transaction } from './database.ts';
import { advance, claimLane, hold, leave, maxAttempts, nextReadyInMs, wake } from './lanes.ts';
import { enqueueMessages } from './outbox-rows.ts';
import { fromJson, fromJsonOrNull, fromTime, toJson, toText, toTime } from './rows.ts';
import { linkMessages } from './turns.ts';

type Row = NonNullable<Awaited<ReturnType<typeof headOf>>>;

const open = { in: ['waiting', 'running', 'started'] };
const day = 86_400_000;

const headOf = (t: Transaction, lane: string) => t.outboxMessage.findFirst({ where: { lane, state: open }, orderBy: { id: 'asc' } });

async function moveOn(t: Transaction, lane: string): Promise<void> {
  const head = await headOf(t, lane);
  await advance(t, 'outbox', lane, head && fromTime(head.availableAt));
}

/** Ends the open record of an attempt. */
async function record(t: Transaction, id: number, outcome: string, facts: { error?: string; messageIds?: readonly string[] } = {}): Promise<void> {
  await t.outboxSend.updateMany({
    where: { messageId: id, outcome: { in: ['started', 'unknown'] } },
    data: { outcome, finishedAt: toTime(Date.now()), error: facts.error === undefined ? null : toText(facts.error), ...(facts.messageIds === undefined ? {} : { platformMessageIds: toJson(facts.messageIds) }) },
  });
}

/** Marks a message sent and ties the platform's ids to its turn, if that is still there. */
async function finish(t: Transaction, row: Row, messageIds: readonly string[]): Promise<void> {
  await record(t, row.id, 'sent', { messageIds });
  await t.outboxMessage.update({ where: { id: row.id }, data: { state: 'sent', finishedAt: toTime(Date.now()), payload: null, error: null } });
  if (row.turnId === null || messageIds.length === 0) return;
  const turn = await t.turn.findUnique({ where: { id: row.turnId }, select: { conversation: { select: { chatId: true } } } });
  if (turn) await linkMessages(t, turn.conversation.chatId, row.turnId, messageIds);
}

/** What becomes of a send that left and whose lease ended. */
async function judge(t: Transaction, row: Row): Promise<'retried' | 'unknown'> {
  if (row.idempotent && row.attempts < maxAttempts) {
    await record(t, row.id, 'unknown');
    await t.outboxMessage.update({ where: { id: row.id }, data: { state: 'waiting' } });
    return 'retried';
  }
  await record(t, row.id, 'unknown');
  await t.outboxMessage.update({ where: { id: row.id }, data: { state: 'unknown', finishedAt: toTime(Date.now()) } });
  return 'unknown';
}

function sendOf(row: Row, fence: number): ClaimedSend {
  return {
    id: String(row.id),
    key: row.key,
    platform: row.platform,
    chatId: row.chatId,
    lane: row.lane,
    payload: fromJsonOrNull(row.payload),
    ...(row.turnId === null ? {} : { turnId: row.turnId }),
    ...(row.userId === null ? {} : { userId: row.userId }),
    idempotent: row.idempotent,
    attempt: row.attempts,
    nonce: row.nonce,
    fence,
  };
}

export function createOutbox(database: Database): Outbox {
  const give = async (t: Transaction, claim: ClaimedSend, error: string, retryInMs: number | undefined, limit = maxAttempts): Promise<'retry' | 'dead'> => {
    const again = retryInMs !== undefined && claim.attempt < Math.min(limit, maxAttempts);
    const now = Date.now();
    const message = toText(error);
    await t.outboxMessage.update({
      where: { id: Number(claim.id) },
      data: again ? { state: 'waiting', availableAt: toTime(now + retryInMs), error: message } : { state: 'dead', finishedAt: toTime(now), error: message },
    });
    return again ? 'retry' : 'dead';
  };

  return {
    enqueue: (messages) => (messages.length === 0 ? Promise.resolve([]) : database.write((t) => enqueueMessages(t, messages))),

    claimNext: (options) =>
      claimLane<ClaimedSend>(database, 'outbox', options, async (t, { lane, fence }) => {
        for (;;) {
          const head = await headOf(t, lane);
          if (!head) return { headReadyAt: null };
          // Of a worker whose lease ended. `running` was not yet started: surely not sent.
          if (head.state === 'started' && (await judge(t, head)) === 'unknown') continue;
          const now = Date.now();
          if (fromTime(head.availableAt) > now) return { headReadyAt: fromTime(head.availableAt) };
          if (head.payload === null || head.attempts >= maxAttempts) {
            await t.outboxMessage.update({ where: { id: head.id }, data: { state: 'dead', finishedAt: toTime(now), error: head.error ?? 'the process ended while sending it' } });
            continue;
          }
          const row = await t.outboxMessage.update({ where: { id: head.id }, data: { state: 'running', attempts: { increment: 1 } } });
          return { work: sendOf(row, fence) };
        }
      }),

    markStarted: (claim) =>
      database.write(async (t) => {
        if (!(await hold(t, 'outbox', claim))) return false;
        const id = Number(claim.id);
        const { count } = await t.outboxMessage.updateMany({ where: { id, state: 'running' }, data: { state: 'started' } });
        if (count === 0) return false;
        await t.outboxSend.create({ data: { messageId: id, attempt: claim.attempt, startedAt: toTime(Date.now()), outcome: 'started' } });
        return true;
      }),

    markSent: (claim, messageIds) =>
      database.write(async (t) => {
        const held = await leave(t, 'outbox', claim);
        // Late news is still news, as long as nobody has sent it again meanwhile.
        const row = await t.outboxMessage.findFirst({ where: { id: Number(claim.id), attempts: claim.attempt, state: { in: ['started', 'unknown', 'waiting'] } } });
        if (row) await finish(t, row, messageIds);
        if (held) await moveOn(t, claim.lane);
        return row !== null;
      }),

    markFailed: (claim, error, options = {}) =>
      database.write(async (t) => {
        if (!(await leave(t, 'outbox', claim))) return 'lost';
        await record(t, Number(claim.id), 'failed', { error });
        const word = await give(t, claim, error, options.retryInMs, options.maxAttempts);
        await moveOn(t, claim.lane);
        return word;
      }),

    markUnknown: (claim, error) =>
      database.write(async (t) => {
        if (!(await leave(t, 'outbox', claim))) return 'lost';
        const row = await t.outboxMessage.update({ where: { id: Number(claim.id) }, data: { error: toText(error) } });
        const word = await judge(t, row);
        await moveOn(t, claim.lane);
        return word === 'retried' ? 'retry' : 'unknown';
      }),

    release: (claim) =>
      database.write(async (t) => {
        if (!(await leave(t, 'outbox', claim))) return false;
        const { count } = await t.outboxMessage.updateMany({ where: { id: Number(claim.id), state: 'running' }, data: { state: 'waiting', attempts: { decrement: 1 } } });
        await moveOn(t, claim.lane);
        return count === 1;
      }),

    extend: (claim, leaseMs) => database.write((t) => hold(t, 'outbox', claim, Date.now() + leaseMs)),

    async sweep({ except = [] } = {}) {
      const now = toTime(Date.now());
      const expired = { queue: 'outbox', leaseUntil: { lt: now } };
      const lanes = await database.read((client) => client.lane.findMany({ where: { ...expired, key: { notIn: [...except] } }, select: { key: true } }));
      const result = { retried: 0, unknown: 0 };
      for (const { key } of lanes) {
        const word = await database.write(async (t) => {
          const { count } = await t.lane.updateMany({ where: { ...expired, key }, data: { owner: null, leaseUntil: null, fence: { increment: 1 } } });
          if (count === 0) return null;
          const head = await headOf(t, key);
          let outcome: 'retried' | 'unknown' | null = null;
          if (head?.state === 'started') outcome = await judge(t, head);
          else if (head?.state === 'running') {
            await t.outboxMessage.update({ where: { id: head.id }, data: { state: 'waiting' } });
            outcome = 'retried';
          }
          await moveOn(t, key);
          return outcome;
        });
        if (word !== null) result[word] += 1;
      }
      return result;
    },

    unknown: (limit = 100) =>
      database.read(async (client) => {
        const rows = await client.outboxMessage.findMany({ where: { state: 'unknown' }, orderBy: { id: 'asc' }, take: limit, include: { sends: { orderBy: { attempt: 'desc' }, take: 1 } } });
        return rows.map((row) => ({ id: String(row.id), key: row.key, platform: row.platform, chatId: row.chatId, payload: fromJsonOrNull(row.payload), startedAt: fromTime(row.sends[0]?.startedAt ?? row.createdAt) }));
      }),

    resolve: (id, outcome) =>
      database.write(async (t) => {
        const { count } = await t.outboxMessage.updateMany({ where: { id: Number(id), state: 'unknown' }, data: { finishedAt: toTime(Date.now()) } });
        if (count === 0) return false;
        const row = await t.outboxMessage.findUniqueOrThrow({ where: { id: Number(id) } });
        if (outcome === 'give-up') {
          await t.outboxMessage.update({ where: { id: row.id }, data: { state: 'dead', payload: null } });
        } else if (outcome === 'resend') {
          await t.outboxMessage.update({ where: { id: row.id }, data: { state: 'waiting', attempts: 0, finishedAt: null, availableAt: toTime(Date.now()) } });
          // Attempts count from 1 again: their records make room.
          await t.outboxSend.deleteMany({ where: { messageId: row.id } });
          await wake(t, 'outbox', row.lane, row.platform, Date.now());
        } else {
          await finish(t, row, outcome.sent);
        }
        return true;
      }),

    cancel: (key) =>
      database.write(async (t) => {
        const { count } = await t.outboxMessage.updateMany({ where: { key, state: 'waiting' }, data: { state: 'dead', finishedAt: toTime(Date.now()), error: 'cancelled', payload: null } });
        if (count === 0) return false;
        const row = await t.outboxMessage.findUniqueOrThrow({ where: { key } });
        await moveOn(t, row.lane);
        return true;
      }),

    find: (key) => database.read(async (client) => {
      const row = await client.outboxMessage.findUnique({ where: { key }, include: { sends: { where: { outcome: 'sent' }, take: 1 } } });
      if (!row) return null;
      const ids = row.sends[0]?.platformMessageIds;
      return { id: String(row.id), state: row.state === 'waiting' ? 'pending' : row.state === 'started' ? 'running' : (row.state as 'running' | 'sent' | 'unknown' | 'dead'), messageIds: ids ? (fromJson(ids) as string[]) : [] };
    }),

    nextReadyInMs: () => nextReadyInMs(database, 'outbox'),

    prune: (keepMs = 30 * day) => database.write(async (t) => (await t.outboxMessage.deleteMany({ where: { state: { in: ['sent', 'dead'] }, finishedAt: { lt: toTime(Date.now() - keepMs) } } })).count),

    stats: () =>
      database.read(async (client) => {
        const count = (...states: string[]) => client.outboxMessage.count({ where: { state: { in: states } } });
        const [pending, running, dead, unknown, oldest] = await Promise.all([count('waiting'), count('running', 'started'), count('dead'), count('unknown'), client.outboxMessage.findFirst({ where: { state: open }, orderBy: { id: 'asc' } })]);
        return { pending, running, dead, unknown, oldestMs: oldest ? Math.max(0, Date.now() - fromTime(oldest.createdAt)) : 0 };
      }),
  };
}
