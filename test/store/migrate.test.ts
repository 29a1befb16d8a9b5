import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openStore } from '../../src/store/index.ts';
import { withLockFile } from '../../src/store/lock.ts';
import { migrate, readMigrations } from '../../src/store/migrate.ts';
import { sqliteTarget } from '../../src/store/migration-targets.ts';
import { connectSqlite } from '../../src/store/sqlite-connection.ts';

const migrations = readMigrations('sqlite');
let folder: string;
let file: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'fromage-migrate-'));
  file = join(folder, 'fromage.db');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Runs `work` on a connection of its own. */
async function withTarget<T>(path: string, work: (target: ReturnType<typeof sqliteTarget>) => Promise<T>): Promise<T> {
  const connection = await connectSqlite(path);
  try {
    return await work(sqliteTarget(connection, path));
  } finally {
    await connection.dispose();
  }
}

/** A migration folder of our own making behind the real ones. */
function writeMigration(name: string, sql: string): string {
  const root = join(folder, 'migrations');
  mkdirSync(join(root, name), { recursive: true });
  writeFileSync(join(root, name, 'migration.sql'), sql);
  return root;
}

test('both providers have the same migrations', () => {
  expect(readMigrations('postgresql').map((one) => one.name)).toEqual(migrations.map((one) => one.name));
  expect(migrations.length).toBeGreaterThanOrEqual(2);
});

describe('a database of each earlier level is upgraded with its rows', () => {
  test.each(migrations.map((_, level) => level))('level %i', async (level) => {
    await withTarget(file, async (target) => {
      await migrate(target, migrations.slice(0, level));
      if (level > 0) await target.script(`INSERT INTO "User" ("id", "platform", "externalId", "createdAt") VALUES ('old', 'telegram', '7', 1)`);
    });
    const store = await openStore({ dataDir: folder });
    expect(store.migrated).toEqual(migrations.slice(level).map((one) => one.name));
    const user = await store.conversations.ensureUser({ platform: 'telegram', externalId: '7' });
    expect(user.id === 'old').toBe(level > 0);
    await store.close();
    expect((await openStore({ dataDir: folder }).then(async (again) => (await again.close(), again.migrated)))).toEqual([]);

    if (level === 0) return expect(existsSync(join(folder, 'backups'))).toBe(false);
    const [copy] = readdirSync(join(folder, 'backups'));
    await withTarget(join(folder, 'backups', copy!), async (target) => {
      expect(await target.rows('SELECT migration_name FROM "_prisma_migrations"')).toHaveLength(level);
      expect(await target.rows('SELECT id FROM "User"')).toEqual([{ id: 'old' }]);
    });
  });
});

test('four openings at once migrate once', async () => {
  const stores = await Promise.all([1, 2, 3, 4].map(() => openStore({ dataDir: folder })));
  expect(stores.filter((store) => store.migrated.length > 0)).toHaveLength(1);
  await Promise.all(stores.map((store) => store.close()));
  expect(readdirSync(folder).filter((name) => name.includes('migrating'))).toEqual([]);
});

test('a database of a newer version, an edited migration and an unfinished one are refused in words', async () => {
  await (await openStore({ dataDir: folder })).close();
  const change = (sql: string) => withTarget(file, (target) => target.script(sql));
  const first = migrations[0]!;

  await change(`UPDATE "_prisma_migrations" SET finished_at = NULL WHERE migration_name = '${first.name}'`);
  await expect(openStore({ dataDir: folder })).rejects.toMatchObject({ code: 'STORE_MIGRATION_UNFINISHED', what: expect.stringContaining(first.name), todo: expect.stringContaining('backup') });
  await change(`UPDATE "_prisma_migrations" SET finished_at = CURRENT_TIMESTAMP, checksum = 'abc' WHERE migration_name = '${first.name}'`);
  await expect(openStore({ dataDir: folder })).rejects.toMatchObject({ code: 'STORE_MIGRATION_EDITED' });
  await change(`UPDATE "_prisma_migrations" SET checksum = '${first.checksum}' WHERE migration_name = '${first.name}'`);
  await change(`INSERT INTO "_prisma_migrations" (id, checksum, migration_name, finished_at) VALUES ('x', 'y', '29990101000000_future', CURRENT_TIMESTAMP)`);
  await expect(openStore({ dataDir: folder })).rejects.toMatchObject({ code: 'STORE_NEWER', what: expect.stringContaining('29990101000000_future') });
  await change(`DELETE FROM "_prisma_migrations" WHERE id = 'x'`);
  await (await openStore({ dataDir: folder })).close();
});

test('a migration that fails changes nothing; one that cannot be undone is named at the next start', async () => {
  await withTarget(file, async (target) => {
    await migrate(target);
    const broken = readMigrations('sqlite', writeMigration('20300101000000_broken', 'CREATE TABLE "New" (a TEXT);\nINSERT INTO "Nowhere" VALUES (1);'));
    await expect(migrate(target, [...migrations, ...broken])).rejects.toMatchObject({ code: 'STORE_MIGRATION_FAILED', todo: expect.stringContaining('nothing was changed') });
    expect(await target.rows(`SELECT name FROM sqlite_master WHERE name = 'New'`)).toEqual([]);
    expect(await migrate(target, migrations)).toEqual([]);

    rmSync(join(folder, 'migrations'), { recursive: true });
    const rebuild = readMigrations('sqlite', writeMigration('20300101000001_rebuild', 'PRAGMA foreign_keys=OFF;\nCREATE TABLE "New" (a TEXT);\nINSERT INTO "Nowhere" VALUES (1);'));
    await expect(migrate(target, [...migrations, ...rebuild])).rejects.toMatchObject({ code: 'STORE_MIGRATION_FAILED', todo: expect.stringContaining('backups') });
    await expect(migrate(target, [...migrations, ...rebuild])).rejects.toMatchObject({ code: 'STORE_MIGRATION_UNFINISHED' });
  });
});

test('a table rebuilt with foreign keys off keeps its rows', async () => {
  await withTarget(file, async (target) => {
    await migrate(target);
    await target.script(`INSERT INTO "Cursor" VALUES ('a', '1', 5)`);
    const rebuild = readMigrations('sqlite', writeMigration('20300101000000_rebuild', 'PRAGMA foreign_keys=OFF;\nCREATE TABLE "new_Cursor" (name TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL, "updatedAt" BIGINT NOT NULL, extra TEXT);\nINSERT INTO "new_Cursor" (name, value, "updatedAt") SELECT name, value, "updatedAt" FROM "Cursor";\nDROP TABLE "Cursor";\nALTER TABLE "new_Cursor" RENAME TO "Cursor";\nPRAGMA foreign_keys=ON;'));
    expect(await migrate(target, [...migrations, ...rebuild])).toEqual(['20300101000000_rebuild']);
    expect(await target.rows('SELECT name, extra FROM "Cursor"')).toEqual([{ name: 'a', extra: null }]);
  });
});

test('a file that is no database, a foreign URL and a folder that cannot be made are errors with a code', async () => {
  writeFileSync(file, 'this is no database, but it is long enough to be looked at as one'.repeat(100));
  await expect(openStore({ dataDir: folder })).rejects.toMatchObject({ code: 'STORE_DAMAGED' });
  await expect(openStore({ dataDir: folder, databaseUrl: 'mysql://me:geheim@host/db' })).rejects.toMatchObject({ code: 'STORE_URL', message: expect.not.stringContaining('geheim') });
  await expect(openStore({ dataDir: join(file, 'below a file') })).rejects.toMatchObject({ code: 'STORE_OPEN' });
  const other = await openStore({ dataDir: folder, databaseUrl: 'file:other.db' });
  await other.close();
  expect(existsSync(join(folder, 'other.db'))).toBe(true);
});

describe('the lock file', () => {
  test('keeps two apart', async () => {
    const path = join(folder, 'lock');
    const order: string[] = [];
    const hold = (name: string) => withLockFile(path, async () => {
      order.push(`${name} in`);
      await new Promise((resolve) => setTimeout(resolve, 30));
      order.push(`${name} out`);
    });
    await Promise.all([hold('a'), hold('b')]);
    expect(order.map((entry) => entry.slice(2))).toEqual(['in', 'out', 'in', 'out']);
    expect(existsSync(path)).toBe(false);
  });

  test.each([
    ['of a process that is gone', () => JSON.stringify({ pid: 2 ** 22 - 3, host: '', born: '' })],
    ['of a process whose number was given out again', () => JSON.stringify({ pid: process.pid, host: '', born: '1' })],
    ['with nonsense in it', () => '{"pid":'],
  ])('is taken over when it is %s', async (_name, text) => {
    const { hostname } = await import('node:os');
    const path = join(folder, 'lock');
    writeFileSync(path, text().replace('"host":""', `"host":"${hostname()}"`));
    expect(await withLockFile(path, async () => 'mine', 500)).toBe('mine');
  });

  test('of a living process is respected, until it has long not been touched', async () => {
    const path = join(folder, 'lock');
    writeFileSync(path, JSON.stringify({ pid: 1, host: 'another host', born: '' }));
    await expect(withLockFile(path, async () => 'mine', 100)).rejects.toMatchObject({ code: 'STORE_LOCKED', retryable: true });
    utimesSync(path, new Date(0), new Date(0));
    expect(await withLockFile(path, async () => 'mine', 500)).toBe('mine');
  });
});
