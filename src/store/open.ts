// Opens the store: connects, brings the database to this program's level, and hands out every contract.
import { access, constants, mkdir, stat } from 'node:fs/promises';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { FromageError } from '../errors.ts';
import type { ChatStore } from '../chat/contracts.ts';
import type { LearningStore } from '../learning/contracts.ts';
import type { PictureStore } from '../retrieval/contracts.ts';
import { createAdapters } from './adapters.ts';
import { createConversations } from './conversations.ts';
import type { Database } from './database.ts';
import { asStoreError } from './errors.ts';
import { createFeedback } from './feedback.ts';
import { createFiles } from './files.ts';
import { forgetUser } from './forget.ts';
import { createInbox } from './inbox.ts';
import { migrate, readMigrations } from './migrate.ts';
import { writeMyData } from './mydata.ts';
import { createOutbox } from './outbox.ts';
import { createPictures } from './pictures.ts';
import { createJobs, createRuns } from './runs.ts';
import { createBans, createLimits, createSettings } from './settings.ts';
import { createTrainSets } from './train-sets.ts';
import { createConsents, createVotes } from './votes.ts';

export interface Store extends ChatStore, LearningStore {
  readonly provider: 'sqlite' | 'postgresql';
  readonly pictures: PictureStore;
  /** Migrations applied by this opening. */
  readonly migrated: readonly string[];
  /** Resolves when the database answers and can be written to; for the health check. */
  check(): Promise<void>;
  /** Old tombstones, sent messages, unused limits and unreferenced files. */
  tidy(): Promise<void>;
  close(): Promise<void>;
}

export interface StoreOptions {
  /** Everything that is written lies under it; made when missing. */
  readonly dataDir: string;
  /** `postgres://…`, or `file:…` (relative to `dataDir`); `fromage.db` in the data folder by default. */
  readonly databaseUrl?: string;
}

const oldestNode = 22;

/** Where the database is. @throws FromageError STORE_URL */
function targetOf({ dataDir, databaseUrl }: StoreOptions): { kind: 'sqlite'; file: string } | { kind: 'postgresql'; url: string } {
  const url = databaseUrl?.trim();
  if (!url) return { kind: 'sqlite', file: join(resolve(dataDir), 'fromage.db') };
  if (/^postgres(ql)?:\/\//.test(url)) return { kind: 'postgresql', url };
  if (url.startsWith('file:')) {
    const path = url.slice('file:'.length).replace(/\?.*$/, '');
    if (path !== '' && path !== ':memory:') return { kind: 'sqlite', file: isAbsolute(path) ? path : join(resolve(dataDir), path) };
  }
  throw new FromageError({ code: 'STORE_URL', what: 'DATABASE_URL is not one that Fromage knows', todo: 'use postgres://user:password@host:5432/database, or file:name.db for SQLite, or leave it out' });
}

/** Makes a folder step by step: Node's own recursion calls a read-only disk a missing folder. */
async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { mode: 0o700 });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST' && (await stat(path)).isDirectory()) return;
    if (code !== 'ENOENT' || dirname(path) === path) throw error;
    await makeFolder(dirname(path));
    await makeFolder(path);
  }
}

async function openDatabase(options: StoreOptions): Promise<{ database: Database; migrated: readonly string[]; backups: string | null }> {
  const target = targetOf(options);
  const targets = await import('./migration-targets.ts');
  if (target.kind === 'postgresql') {
    const { openPostgres } = await import('./postgres.ts');
    const migrated = await targets.withPostgresTarget(target.url, (one) => migrate(one));
    return { database: openPostgres(target.url), migrated, backups: null };
  }
  // better-sqlite3's binary ends older Node versions with a segmentation fault that nothing can catch: ask before it is loaded.
  const major = Number(process.versions.node.split('.')[0]);
  if (major < oldestNode) throw new FromageError({ code: 'STORE_NODE', what: `Node ${process.versions.node} is too old for SQLite`, why: `Node ${oldestNode}.12 or newer is needed`, todo: 'start through npm start or npx fromage, which bring their own Node, or install a newer one' });
  const [{ connectSqlite }, { openSqlite }] = await Promise.all([import('./sqlite-connection.ts'), import('./sqlite.ts')]);
  await makeFolder(dirname(target.file));
  // SQLite calls a folder in which it can make no file beside the database one that it cannot open.
  await access(dirname(target.file), constants.W_OK);
  const connection = await connectSqlite(target.file);
  try {
    const migrated = await migrate(targets.sqliteTarget(connection, target.file), readMigrations('sqlite'));
    return { database: openSqlite(connection, target.file), migrated, backups: targets.backupFolder(target.file) };
  } catch (error) {
    await connection.dispose();
    throw error;
  }
}

/**
 * Opens the store and migrates it.
 *
 * @throws FromageError STORE_URL, STORE_NODE, STORE_OPEN, STORE_READ_ONLY, STORE_DISK_FULL, STORE_DAMAGED,
 *   STORE_UNREACHABLE, STORE_LOGIN, and those of `migrate`
 */
export async function openStore(options: StoreOptions): Promise<Store> {
  try {
    await makeFolder(resolve(options.dataDir));
    const { database, migrated, backups } = await openDatabase(options);
    const files = createFiles(database, join(resolve(options.dataDir), 'pictures'));
    const [inbox, outbox, limits] = [createInbox(database), createOutbox(database), createLimits(database)];
    return {
      provider: database.provider,
      migrated,
      conversations: createConversations(database),
      inbox,
      outbox,
      files,
      votes: createVotes(database),
      consents: createConsents(database),
      settings: createSettings(database),
      limits,
      bans: createBans(database),
      userData: { mydata: (userId) => writeMyData(database, files, userId), forget: (userId) => forgetUser(database, files, userId, backups) },
      pictures: createPictures(database, files),
      adapters: createAdapters(database),
      trainSets: createTrainSets(database),
      runs: createRuns(database),
      jobs: createJobs(database),
      feedback: createFeedback(database),
      async check() {
        const row = { value: '0', updatedAt: BigInt(Date.now()) };
        await database.write((t) => t.cursor.upsert({ where: { name: 'store:check' }, create: { name: 'store:check', ...row }, update: row }));
      },
      async tidy() {
        await inbox.prune();
        await outbox.prune();
        await limits.prune();
        await files.collect();
      },
      close: () => database.close(),
    };
  } catch (error) {
    throw asStoreError(error);
  }
}
