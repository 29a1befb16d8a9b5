// The two kinds of database as the migration runner sees them: how each is locked, asked and backed up.
import { mkdir, readdir, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { FromageError } from '../errors.ts';
import { withLockFile } from './lock.ts';
import type { MigrationTarget } from './migrate.ts';
import type { SqliteConnection } from './sqlite-connection.ts';

/** The number Prisma takes for the same purpose, so that its own tools wait too. */
const advisoryLock = 72_707_369;
const keptBackups = 3;

export const backupFolder = (file: string): string => join(dirname(file), 'backups');

/** @param file path of the database; the lock and the backups lie beside it */
export function sqliteTarget(connection: SqliteConnection, file: string): MigrationTarget {
  return {
    provider: 'sqlite',
    async rows(sql) {
      const { columnNames, rows } = await connection.queryRaw({ sql, args: [], argTypes: [] });
      return rows.map((row) => Object.fromEntries(columnNames.map((name, i) => [name, row[i]])));
    },
    script: (sql) => connection.executeScript(sql),
    locked: (work) => withLockFile(`${file}.migrating`, work),
    async backUp(before) {
      const folder = backupFolder(file);
      await mkdir(folder, { recursive: true, mode: 0o700 });
      const copy = join(folder, `${basename(file, '.db')}-before-${before}-${Date.now()}.db`);
      // A consistent copy, the write-ahead log included, whatever other processes do meanwhile.
      await connection.executeScript(`VACUUM INTO '${copy.replaceAll("'", "''")}';`);
      const old = (await readdir(folder)).filter((name) => name.includes('-before-')).sort().slice(0, -keptBackups);
      await Promise.all(old.map((name) => rm(join(folder, name), { force: true })));
      return copy;
    },
  };
}

/** A connection of its own for as long as `work` runs: an advisory lock belongs to a connection. */
export async function withPostgresTarget<T>(url: string, work: (target: MigrationTarget) => Promise<T>): Promise<T> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 15_000, application_name: 'fromage migrations' });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return await work({
      provider: 'postgresql',
      rows: async (sql) => (await client.query<Record<string, unknown>>(sql)).rows,
      script: async (sql) => void (await client.query(sql)),
      async locked(inner) {
        const end = performance.now() + 120_000;
        while (!(await client.query<{ locked: boolean }>(`SELECT pg_try_advisory_lock(${advisoryLock}) AS locked`)).rows[0]?.locked) {
          if (performance.now() > end) throw new FromageError({ code: 'STORE_LOCKED', what: 'another process has been changing the database for too long', todo: `wait for it; pg_locks shows who holds advisory lock ${advisoryLock}`, retryable: true });
          await sleep(100);
        }
        try {
          return await inner();
        } finally {
          await client.query(`SELECT pg_advisory_unlock(${advisoryLock})`).catch(() => undefined);
        }
      },
      backUp: async () => null,
    });
  } finally {
    await client.end();
  }
}
