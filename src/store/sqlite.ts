// The SQLite database in one file.
import { dirname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { log } from '../log.ts';
import { type Database, createDatabase } from './database.ts';
import { PrismaClient } from './generated/sqlite/client.ts';
import type { SqliteConnection } from './sqlite-connection.ts';

/** Rewrites the file in a thread of its own: seconds for a large gallery, and the event loop must not stand still. */
async function scrubInThread(file: string): Promise<void> {
  // Where SQLite puts that copy: on the data folder's disk, not in a small /tmp.
  process.env['SQLITE_TMPDIR'] ??= dirname(file);
  const worker = new Worker(new URL('./scrub-worker.ts', import.meta.url), { workerData: { file } });
  await new Promise<void>((resolve, reject) => {
    worker.once('error', reject);
    worker.once('message', ({ isEmpty }: { isEmpty: boolean }) => {
      if (!isEmpty) log.warn({ room: 'store' }, 'another process reads the database: what was deleted leaves the write-ahead log when that ends');
    });
    worker.once('exit', (code) => (code === 0 ? resolve() : reject(new Error(`the thread that rewrites the database ended with ${code}`))));
  });
}

/** @param connection made by `connectSqlite` for `file` */
export function openSqlite(connection: SqliteConnection, file: string): Database {
  const client = new PrismaClient({ adapter: { provider: 'sqlite', adapterName: connection.adapterName, connect: async () => connection } });
  return createDatabase({
    provider: 'sqlite',
    client,
    // Our own reads would keep the write-ahead log from being emptied: they wait meanwhile.
    scrub: () => connection.alone(() => scrubInThread(file)),
    close: () => client.$disconnect(),
  });
}
