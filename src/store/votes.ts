// Votes, corrections and consents.
import { randomUUID } from 'node:crypto';
import type { Consent, ConsentPurpose, ConsentStore, Correction, VoteStore, VoteValue } from '../chat/contracts.ts';
import { FromageError } from '../errors.ts';
import type { Database } from './database.ts';
import { fromTime, fromTimeOrNull, toText, toTime } from './rows.ts';

export function correctionOf(row: { kind: string; pictureId: string | null; text: string | null }): Correction {
  if (row.kind === 'it-shows') return { kind: 'it-shows', text: row.text ?? '' };
  return { kind: row.kind === 'not-this' ? 'not-this' : 'right-picture', pictureId: row.pictureId ?? '' };
}

export function consentOf(row: { id: string; userId: string; purpose: string; chatId: string | null; platform: string; grantedAt: bigint; revokedAt: bigint | null }): Consent {
  return { id: row.id, userId: row.userId, purpose: row.purpose as ConsentPurpose, chatId: row.chatId, platform: row.platform, grantedAt: fromTime(row.grantedAt), revokedAt: fromTimeOrNull(row.revokedAt) };
}

/** False instead of an error when the answer is gone. */
async function unlessGone(work: () => Promise<unknown>): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (error) {
    if (error instanceof FromageError && error.code === 'STORE_REFERENCE') return false;
    throw error;
  }
}

export function createVotes(database: Database): VoteStore {
  return {
    set: (answerId, userId, value) => {
      if (value === null) {
        return database.write(async (t) => {
          await t.vote.deleteMany({ where: { answerId, userId } });
          return (await t.answer.count({ where: { id: answerId } })) > 0;
        });
      }
      const at = toTime(Date.now());
      return unlessGone(() => database.write((t) => t.vote.upsert({ where: { answerId_userId: { answerId, userId } }, create: { answerId, userId, value, at }, update: { value, at } })));
    },

    of: (answerId, userId) => database.read(async (client) => ((await client.vote.findUnique({ where: { answerId_userId: { answerId, userId } } }))?.value ?? null) as VoteValue | null),

    count: (answerId) =>
      database.read(async (client) => {
        const rows = await client.vote.groupBy({ by: ['value'], where: { answerId }, _count: { _all: true } });
        const of = (value: string) => rows.find((row) => row.value === value)?._count._all ?? 0;
        return { up: of('up'), down: of('down') };
      }),

    correct: (answerId, userId, correction) => {
      const subject = correction.kind === 'not-this' ? correction.pictureId : '';
      const row = { pictureId: correction.kind === 'it-shows' ? null : correction.pictureId, text: correction.kind === 'it-shows' ? toText(correction.text) : null, at: toTime(Date.now()) };
      const key = { answerId, userId, kind: correction.kind, subject };
      return unlessGone(() => database.write((t) => t.correction.upsert({ where: { answerId_userId_kind_subject: key }, create: { ...key, ...row }, update: row })));
    },

    retract: (answerId, userId) => database.write(async (t) => (await t.correction.deleteMany({ where: { answerId, userId } })).count),

    corrections: (answerId) =>
      database.read(async (client) => (await client.correction.findMany({ where: { answerId }, orderBy: [{ at: 'asc' }, { userId: 'asc' }] })).map((row) => ({ ...correctionOf(row), userId: row.userId, at: fromTime(row.at) }))),

    daily: (since) =>
      database.read(async (client) => {
        const days = new Map<string, { up: number; down: number }>();
        for (const { value, at } of await client.vote.findMany({ where: { at: { gte: toTime(since) } }, orderBy: { at: 'asc' }, select: { value: true, at: true } })) {
          const day = new Date(fromTime(at)).toISOString().slice(0, 10);
          const counts = days.get(day) ?? { up: 0, down: 0 };
          if (value === 'up') counts.up += 1;
          else counts.down += 1;
          days.set(day, counts);
        }
        return [...days].map(([day, counts]) => ({ day, ...counts }));
      }),
  };
}

const activeKey = (userId: string, purpose: string, chatId: string | null) => `${userId} ${purpose} ${chatId ?? ''}`;

export function createConsents(database: Database): ConsentStore {
  return {
    grant: (userId, purpose, chatId) =>
      database.write(async (t) => {
        const user = await t.user.update({ where: { id: userId }, data: { createdAt: { increment: 0 } } });
        const key = activeKey(userId, purpose, chatId);
        const there = await t.consent.findUnique({ where: { activeKey: key } });
        return consentOf(there ?? (await t.consent.create({ data: { id: randomUUID(), userId, purpose, chatId, platform: user.platform, grantedAt: toTime(Date.now()), activeKey: key } })));
      }),

    revoke: (userId, purpose, chatId) =>
      database.write(async (t) => {
        const where = { userId, activeKey: { not: null }, ...(purpose === undefined ? {} : { purpose }), ...(chatId === undefined ? {} : { OR: [{ chatId }, { chatId: null }] }) };
        return (await t.consent.updateMany({ where, data: { revokedAt: toTime(Date.now()), activeKey: null } })).count;
      }),

    active: (userId, purpose, chatId) =>
      database.read(async (client) => {
        const keys = [activeKey(userId, purpose, null), ...(chatId === null ? [] : [activeKey(userId, purpose, chatId)])];
        const rows = await client.consent.findMany({ where: { activeKey: { in: keys } } });
        const row = rows.find((one) => one.chatId !== null) ?? rows[0];
        return row ? consentOf(row) : null;
      }),

    history: (userId) => database.read(async (client) => (await client.consent.findMany({ where: { userId }, orderBy: [{ grantedAt: 'desc' }, { id: 'asc' }] })).map(consentOf)),
  };
}
