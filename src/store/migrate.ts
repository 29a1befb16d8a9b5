// Brings a database to the level of the program when it starts. It keeps Prisma's own table of applied
// migrations, so that Prisma's tools agree with it, and refuses in words what it cannot vouch for.
import { createHash, randomUUID } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { FromageError } from '../errors.ts';
import { asStoreError } from './errors.ts';

export interface Migration {
  /** Folder name: UTC timestamp and a word. */
  readonly name: string;
  readonly sql: string;
  /** SHA-256 (hex) of the script, as Prisma counts it. */
  readonly checksum: string;
}

/** What the runner needs of a database: one connection that nobody else uses meanwhile. */
export interface MigrationTarget {
  readonly provider: 'sqlite' | 'postgresql';
  rows(sql: string): Promise<readonly Readonly<Record<string, unknown>>[]>;
  /** Several statements. */
  script(sql: string): Promise<void>;
  /** Runs `work` while no other process migrates. */
  locked<T>(work: () => Promise<T>): Promise<T>;
  /** A copy of the whole database before it is changed; where it lies, or null where that is the operator's affair. */
  backUp(before: string): Promise<string | null>;
}

const ledger = {
  sqlite: `CREATE TABLE IF NOT EXISTS "_prisma_migrations" ("id" TEXT PRIMARY KEY NOT NULL, "checksum" TEXT NOT NULL, "finished_at" DATETIME, "migration_name" TEXT NOT NULL, "logs" TEXT, "rolled_back_at" DATETIME, "started_at" DATETIME NOT NULL DEFAULT current_timestamp, "applied_steps_count" INTEGER UNSIGNED NOT NULL DEFAULT 0)`,
  postgresql: `CREATE TABLE IF NOT EXISTS "_prisma_migrations" ("id" VARCHAR(36) PRIMARY KEY NOT NULL, "checksum" VARCHAR(64) NOT NULL, "finished_at" TIMESTAMPTZ, "migration_name" VARCHAR(255) NOT NULL, "logs" TEXT, "rolled_back_at" TIMESTAMPTZ, "started_at" TIMESTAMPTZ NOT NULL DEFAULT now(), "applied_steps_count" INTEGER NOT NULL DEFAULT 0)`,
};

/** The migrations that come with the program, in order. */
export function readMigrations(provider: 'sqlite' | 'postgresql', folder?: string): readonly Migration[] {
  const root = folder ?? fileURLToPath(new URL(`../../prisma/${provider === 'sqlite' ? 'sqlite' : 'postgres'}/migrations`, import.meta.url));
  return readdirSync(root, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && /^\d{14}_\w+$/.test(entry.name))
    .map(({ name }) => {
      const sql = readFileSync(`${root}/${name}/migration.sql`, 'utf8');
      return { name, sql, checksum: createHash('sha256').update(sql).digest('hex') };
    })
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Which migrations are still to be applied. */
async function pendingOf(target: MigrationTarget, migrations: readonly Migration[]): Promise<readonly Migration[]> {
  const exists = await target.rows(
    target.provider === 'sqlite' ? `SELECT name FROM sqlite_master WHERE name = '_prisma_migrations'` : `SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema() AND table_name = '_prisma_migrations'`,
  );
  if (exists.length === 0) return migrations;
  const rows = await target.rows('SELECT migration_name, checksum, finished_at FROM "_prisma_migrations" WHERE rolled_back_at IS NULL ORDER BY migration_name');
  const known = new Map(migrations.map((migration) => [migration.name, migration]));
  const applied = new Set<string>();
  for (const row of rows) {
    const name = String(row['migration_name']);
    const migration = known.get(name);
    if (!migration) {
      throw new FromageError({ code: 'STORE_NEWER', what: `the database was changed by a newer Fromage (migration ${name})`, why: `this version ends with ${migrations.at(-1)?.name ?? 'none'}`, todo: 'start the newer version, or put back the backup that it made before it changed the database' });
    }
    if (row['finished_at'] === null) {
      throw new FromageError({ code: 'STORE_MIGRATION_UNFINISHED', what: `migration ${name} was begun and did not end`, why: 'the process was stopped in the middle of it', todo: 'put back the backup made before it (backups/ in the data folder; on PostgreSQL your own) and start again' });
    }
    if (row['checksum'] !== migration.checksum) {
      throw new FromageError({ code: 'STORE_MIGRATION_EDITED', what: `migration ${name} was applied with another text than this program has`, why: `its checksum is ${String(row['checksum']).slice(0, 12)}…, ours ${migration.checksum.slice(0, 12)}…`, todo: 'restore the file of the migration as it was, and put further changes into a new one' });
    }
    applied.add(name);
  }
  return migrations.filter((migration) => !applied.has(migration.name));
}

/** True where the script may run inside a transaction: SQLite's rebuilds of tables switch foreign keys off, which does nothing inside one. */
const fitsTransaction = (sql: string): boolean => !/^\s*PRAGMA\b/im.test(sql);

async function apply(target: MigrationTarget, { name, sql, checksum }: Migration, backup: string | null): Promise<void> {
  const id = randomUUID();
  const begun = `INSERT INTO "_prisma_migrations" (id, checksum, migration_name) VALUES ('${id}', '${checksum}', '${name}');`;
  const ended = `UPDATE "_prisma_migrations" SET finished_at = CURRENT_TIMESTAMP, applied_steps_count = 1 WHERE id = '${id}';`;
  const atomic = fitsTransaction(sql);
  try {
    if (atomic) {
      await target.script(`BEGIN;\n${begun}\n${sql}\n;${ended}\nCOMMIT;`);
    } else {
      await target.script(begun);
      await target.script(sql);
      await target.script(ended);
    }
  } catch (error) {
    if (atomic) await target.script('ROLLBACK;').catch(() => undefined);
    const reason = asStoreError(error);
    // A full or read-only disk says more than "the migration failed".
    if (reason.code !== 'STORE_FAILED' && reason.code !== 'STORE_CONFLICT' && reason.code !== 'STORE_REFERENCE') throw reason;
    throw new FromageError({
      code: 'STORE_MIGRATION_FAILED',
      what: `migration ${name} could not be applied`,
      why: error instanceof Error ? error.message : String(error),
      todo: atomic ? 'nothing was changed; report this as a bug' : `put back the backup made before it (${backup ?? 'your own'}) and report this as a bug`,
      cause: error,
    });
  }
}

/**
 * Applies what is missing.
 *
 * @returns the names of the migrations applied now
 * @throws FromageError STORE_NEWER, STORE_MIGRATION_EDITED, STORE_MIGRATION_UNFINISHED, STORE_MIGRATION_FAILED, STORE_LOCKED
 */
export async function migrate(target: MigrationTarget, migrations: readonly Migration[] = readMigrations(target.provider)): Promise<readonly string[]> {
  if ((await pendingOf(target, migrations)).length === 0) return [];
  return target.locked(async () => {
    // Another process may have been quicker.
    const pending = await pendingOf(target, migrations);
    const first = pending[0];
    if (!first) return [];
    await target.script(ledger[target.provider]);
    const used = pending.length < migrations.length;
    const backup = used ? await target.backUp(first.name) : null;
    for (const migration of pending) await apply(target, migration, backup);
    return pending.map((migration) => migration.name);
  });
}
