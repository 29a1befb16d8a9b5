// Lanes keep order: of each lane only the head is worked on, under a lease that ends, by whoever holds the
// newest fence. Inbox and outbox share this.
import { randomInt } from 'node:crypto';
import type { ClaimOptions } from '../chat/contracts.ts';
import type { Database, Transaction } from './database.ts';
import { toTime } from './rows.ts';

export type QueueName = 'inbox' | 'outbox';

/** After this many attempts without an end an entry goes to the dead letters, whatever stopped it. */
export const maxAttempts = 8;

export interface Lease {
  readonly lane: string;
  readonly fence: number;
  readonly leaseUntil: number;
}

/** Something was appended to a lane. A lane that already waits keeps its place. Always a write. */
export async function wake(t: Transaction, queue: QueueName, lane: string, platform: string, readyAt: number): Promise<void> {
  await t.lane.upsert({
    where: { queue_key: { queue, key: lane } },
    // The fence begins anywhere: a lane made again after a deletion must not meet an old lease's number.
    create: { queue, key: lane, platform, readyAt: toTime(readyAt), fence: randomInt(2 ** 30) },
    update: { platform },
  });
  await t.lane.updateMany({ where: { queue, key: lane, readyAt: null }, data: { readyAt: toTime(readyAt) } });
}

/**
 * Takes the lease of the ready lane that has waited longest and hands its head to `take`.
 *
 * @param take gives the work of a lane, or when its head will be ready (null: nothing waits)
 */
export async function claimLane<T>(
  database: Database,
  queue: QueueName,
  { owner, leaseMs, platform, except = [] }: ClaimOptions,
  take: (t: Transaction, lease: Lease) => Promise<{ readonly work: T } | { readonly headReadyAt: number | null }>,
): Promise<T | null> {
  for (let round = 0; round < 50; round++) {
    const now = toTime(Date.now());
    const ready = { queue, readyAt: { lte: now }, OR: [{ leaseUntil: null }, { leaseUntil: { lt: now } }], ...(platform === undefined ? {} : { platform }), key: { notIn: [...except] } };
    const candidates = await database.read((client) => client.lane.findMany({ where: ready, orderBy: [{ readyAt: 'asc' }, { key: 'asc' }], take: 8, select: { key: true } }));
    if (candidates.length === 0) return null;
    for (const { key } of candidates) {
      const work = await database.write(async (t): Promise<T | null> => {
        const leaseUntil = Date.now() + leaseMs;
        const { count } = await t.lane.updateMany({ where: { AND: [ready, { key }] }, data: { owner, leaseUntil: toTime(leaseUntil), fence: { increment: 1 } } });
        if (count === 0) return null;
        const lane = await t.lane.findUniqueOrThrow({ where: { queue_key: { queue, key } } });
        const taken = await take(t, { lane: key, fence: lane.fence, leaseUntil });
        if (!('headReadyAt' in taken)) return taken.work;
        const { headReadyAt } = taken;
        await t.lane.update({ where: { queue_key: { queue, key } }, data: { owner: null, leaseUntil: null, readyAt: headReadyAt === null ? null : toTime(headReadyAt) } });
        return null;
      });
      if (work !== null) return work;
    }
  }
  return null;
}

/** Gives the lease back; false when a newer fence exists. To be called first in a transaction. */
export async function leave(t: Transaction, queue: QueueName, { lane, fence }: Pick<Lease, 'lane' | 'fence'>): Promise<boolean> {
  const { count } = await t.lane.updateMany({ where: { queue, key: lane, fence, leaseUntil: { not: null } }, data: { owner: null, leaseUntil: null } });
  return count === 1;
}

/** Whether the lease is still held, as a write: the lane stays locked until the transaction ends. */
export async function hold(t: Transaction, queue: QueueName, { lane, fence }: Pick<Lease, 'lane' | 'fence'>, leaseUntil?: number): Promise<boolean> {
  const data = leaseUntil === undefined ? { fence } : { leaseUntil: toTime(leaseUntil) };
  const { count } = await t.lane.updateMany({ where: { queue, key: lane, fence, leaseUntil: { not: null } }, data });
  return count === 1;
}

/** Sets when the lane may be served next: it goes behind the lanes that wait already. */
export async function advance(t: Transaction, queue: QueueName, lane: string, headReadyAt: number | null): Promise<void> {
  const readyAt = headReadyAt === null ? null : toTime(Math.max(headReadyAt, Date.now()));
  await t.lane.updateMany({ where: { queue, key: lane }, data: { readyAt } });
}

/** Milliseconds until a lane may be ready, by readiness or by the end of a lease; null when nothing waits. */
export async function nextReadyInMs(database: Database, queue: QueueName): Promise<number | null> {
  const [free, leased] = await database.read((client) =>
    Promise.all([
      client.lane.findFirst({ where: { queue, readyAt: { not: null }, leaseUntil: null }, orderBy: { readyAt: 'asc' } }),
      client.lane.findFirst({ where: { queue, readyAt: { not: null }, leaseUntil: { not: null } }, orderBy: { leaseUntil: 'asc' } }),
    ]),
  );
  const times = [free?.readyAt, leased?.leaseUntil].filter((time) => time !== null && time !== undefined).map(Number);
  return times.length === 0 ? null : Math.max(0, Math.min(...times) - Date.now());
}
