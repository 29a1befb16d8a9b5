// PostgreSQL through node-postgres. The generated client's type is cast here, once, to that of SQLite's:
// repositories use only what both can do.
import { PrismaPg } from '@prisma/adapter-pg';
import { Pool } from 'pg';
import { type Client, type Database, createDatabase } from './database.ts';
import { PrismaClient } from './generated/postgres/client.ts';
import { log } from '../log.ts';

/** @param url `postgres://user:password@host:port/database`, never logged */
export function openPostgres(url: string): Database {
  const pool = new Pool({ connectionString: url, max: 10, connectionTimeoutMillis: 15_000, application_name: 'fromage' });
  // An idle connection that the server drops must not end the process.
  pool.on('error', (error) => log.warn({ room: 'store', error: error.message }, 'a database connection was lost'));
  const client = new PrismaClient({ adapter: new PrismaPg(pool) }) as unknown as Client;
  return createDatabase({
    provider: 'postgresql',
    client,
    async scrub() {
      // Dead rows go; what the server keeps elsewhere (its own log, replicas, backups) is the operator's.
      await pool.query('VACUUM');
    },
    async close() {
      await client.$disconnect();
      await pool.end();
    },
  });
}
