// Settings, limits and bans.
import { randomUUID } from 'node:crypto';
import type { BanStore, LimitStore, SettingsStore } from '../chat/contracts.ts';
import type { Database } from './database.ts';
import { fromJson, fromTime, fromTimeOrNull, toJson, toTextOrNull, toTime } from './rows.ts';

export function createSettings(database: Database): SettingsStore {
  return {
    all: (scope) => database.read(async (client) => Object.fromEntries((await client.setting.findMany({ where: { scope }, orderBy: { key: 'asc' } })).map((row) => [row.key, fromJson(row.value)]))),

    get: (scope, key) => database.read(async (client) => {
      const row = await client.setting.findUnique({ where: { scope_key: { scope, key } } });
      return row ? fromJson(row.value) : undefined;
    }),

    async set(scope, key, value) {
      const row = { value: toJson(value) };
      await database.write((t) => t.setting.upsert({ where: { scope_key: { scope, key } }, create: { scope, key, ...row }, update: row }));
    },

    async unset(scope, key) {
      await database.write((t) => t.setting.deleteMany({ where: { scope, ...(key === undefined ? {} : { key }) } }));
    },
  };
}

export function createLimits(database: Database): LimitStore {
  return {
    take: (key, { max, windowMs, now = Date.now() }) =>
      database.write(async (t) => {
        const updatedAt = toTime(now);
        const row = await t.limitWindow.upsert({ where: { key }, create: { key, hits: '[]', updatedAt }, update: { updatedAt } });
        const hits = (fromJson(row.hits) as number[]).filter((at) => at > now - windowMs);
        const allowed = hits.length < max;
        if (allowed) hits.push(now);
        await t.limitWindow.update({ where: { key }, data: { hits: toJson(hits) } });
        // One more fits once the oldest of the last `max` leaves the window.
        const oldest = hits[hits.length - max];
        return { allowed, used: hits.length, retryInMs: allowed || oldest === undefined ? (max > 0 ? 0 : windowMs) : Math.max(1, oldest + windowMs - now) };
      }),

    async reset(key) {
      await database.write((t) => t.limitWindow.deleteMany({ where: { key } }));
    },

    prune: (olderThanMs = 7 * 86_400_000) => database.write(async (t) => (await t.limitWindow.deleteMany({ where: { updatedAt: { lt: toTime(Date.now() - olderThanMs) } } })).count),
  };
}

const scopeOf = (userId: string, chatId: string | null) => `${userId} ${chatId ?? ''}`;

export function createBans(database: Database): BanStore {
  const banOf = (row: { userId: string; chatId: string | null; byId: string | null; reason: string | null; at: bigint; until: bigint | null }) => ({
    userId: row.userId,
    chatId: row.chatId,
    by: row.byId,
    reason: row.reason,
    at: fromTime(row.at),
    until: fromTimeOrNull(row.until),
  });
  const inForce = () => ({ OR: [{ until: null }, { until: { gt: toTime(Date.now()) } }] });

  return {
    async ban(userId, { chatId = null, by, reason, until } = {}) {
      const row = { byId: by ?? null, reason: toTextOrNull(reason), at: toTime(Date.now()), until: until === undefined ? null : toTime(until) };
      await database.write((t) => t.ban.upsert({ where: { scope: scopeOf(userId, chatId) }, create: { id: randomUUID(), userId, chatId, scope: scopeOf(userId, chatId), ...row }, update: row }));
    },

    unban: (userId, chatId = null) => database.write(async (t) => (await t.ban.deleteMany({ where: { scope: scopeOf(userId, chatId) } })).count > 0),

    active: (userId, chatId) => database.read(async (client) => {
      const scopes = [scopeOf(userId, null), ...(chatId === null ? [] : [scopeOf(userId, chatId)])];
      const row = await client.ban.findFirst({ where: { scope: { in: scopes }, ...inForce() }, orderBy: { at: 'desc' } });
      return row && banOf(row);
    }),

    list: (chatId) => database.read(async (client) => (await client.ban.findMany({ where: { ...inForce(), ...(chatId === undefined ? {} : { chatId }) }, orderBy: { at: 'desc' } })).map(banOf)),
  };
}
