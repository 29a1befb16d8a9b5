// A connection to SQLite through better-sqlite3. Prisma's adapter has one connection and lets a query slip into whatever
// transaction is open on it; here everything waits its turn, transactions take the write lock when they
// begin, and a lock that another process holds is waited for without blocking the event loop.
import { setTimeout as sleep } from 'node:timers/promises';
import { PrismaBetterSqlite3 } from '@prisma/adapter-better-sqlite3';
import { isConflictOfTransactions } from './errors.ts';

export type Adapter = Awaited<ReturnType<PrismaBetterSqlite3['connect']>>;
type Transaction = Awaited<ReturnType<Adapter['startTransaction']>>;
type Query = Parameters<Adapter['queryRaw']>[0];

/** How long a write waits for another process before it gives up. */
const patienceMs = 20_000;

/** Turns are taken in order of asking. */
class Turnstile {
  #last: Promise<void> = Promise.resolve();

  async enter(): Promise<() => void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const before = this.#last;
    this.#last = before.then(() => promise);
    await before;
    return resolve;
  }
}

/** Tries again, with jitter, while another process holds the write lock. */
async function patiently<T>(work: () => Promise<T>): Promise<T> {
  const end = performance.now() + patienceMs;
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (!isConflictOfTransactions(error) || performance.now() > end) throw error;
      await sleep(1 + Math.random() * Math.min(40, 2 * attempt));
    }
  }
}

export interface SqliteConnection extends Adapter {
  /** Runs `work` while nothing else happens on this connection. */
  alone<T>(work: () => Promise<T>): Promise<T>;
}

/** Wraps a connection of Prisma's adapter. */
function inTurns(connection: Adapter): SqliteConnection {
  const turnstile = new Turnstile();
  const alone = async <T>(work: () => Promise<T>): Promise<T> => {
    const leave = await turnstile.enter();
    try {
      return await patiently(work);
    } finally {
      leave();
    }
  };
  const script = (sql: string) => connection.executeScript(sql);
  return {
    provider: connection.provider,
    adapterName: connection.adapterName,
    alone,
    queryRaw: (query: Query) => alone(async () => connection.queryRaw(query)),
    executeRaw: (query: Query) => alone(async () => connection.executeRaw(query)),
    executeScript: (sql: string) => alone(async () => script(sql)),
    dispose: () => alone(() => connection.dispose()),
    async startTransaction(): Promise<Transaction> {
      const leave = await turnstile.enter();
      try {
        await patiently(async () => script('BEGIN IMMEDIATE'));
      } catch (error) {
        leave();
        throw error;
      }
      const end = async () => leave();
      return {
        provider: connection.provider,
        adapterName: connection.adapterName,
        // Prisma sends COMMIT and ROLLBACK as statements and tells us afterwards.
        options: { usePhantomQuery: false },
        queryRaw: async (query: Query) => connection.queryRaw(query),
        executeRaw: async (query: Query) => connection.executeRaw(query),
        commit: end,
        rollback: end,
        createSavepoint: async (name: string) => script(`SAVEPOINT ${name}`),
        rollbackToSavepoint: async (name: string) => script(`ROLLBACK TO ${name}`),
        releaseSavepoint: async (name: string) => script(`RELEASE SAVEPOINT ${name}`),
      };
    },
  } as SqliteConnection;
}

/** A connection with the settings that promises rest on. */
export async function connectSqlite(file: string): Promise<SqliteConnection> {
  const factory = new PrismaBetterSqlite3({ url: `file:${file}`, timeout: 5 });
  const connection = await factory.connect();
  try {
    // FULL: a commit that was acknowledged survives a power cut. secure_delete: what is deleted is
    // overwritten with zeros.
    await patiently(async () => connection.executeScript('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON; PRAGMA temp_store = MEMORY; PRAGMA wal_autocheckpoint = 1000;'));
  } catch (error) {
    await connection.dispose();
    throw error;
  }
  return inTurns(connection);
}
