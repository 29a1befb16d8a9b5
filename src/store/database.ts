// One database, whichever provider: a gate that every repository goes through. Reads and writes come out
// as plain results or as FromageErrors; a write is one transaction, run again when another was in its way.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Prisma, PrismaClient } from './generated/sqlite/client.ts';
import { asStoreError, isConflictOfTransactions, isDuplicate } from './errors.ts';

/** The client's type of the smaller provider; PostgreSQL's client is cast to it once, where it is made. */
export type Client = PrismaClient;
export type Transaction = Prisma.TransactionClient;

export interface Database {
  readonly provider: 'sqlite' | 'postgresql';
  /** Runs outside a transaction. Never call it inside `write`: on SQLite it would wait for itself. */
  read<T>(work: (client: Client) => Promise<T>): Promise<T>;
  /** One transaction. `work` may run several times and must touch nothing but `transaction`. Begin it with a write. */
  write<T>(work: (transaction: Transaction) => Promise<T>): Promise<T>;
  /** Makes sure that deleted rows are gone from the files of the database. */
  scrub(): Promise<void>;
  close(): Promise<void>;
}

export interface DatabaseParts {
  readonly provider: 'sqlite' | 'postgresql';
  readonly client: Client;
  readonly scrub: () => Promise<void>;
  readonly close: () => Promise<void>;
}

const attempts = 12;

export function createDatabase({ provider, client, scrub, close }: DatabaseParts): Database {
  return {
    provider,
    async read(work) {
      try {
        return await work(client);
      } catch (error) {
        throw asStoreError(error);
      }
    },
    async write(work) {
      for (let attempt = 1; ; attempt++) {
        try {
          return await client.$transaction(work, { maxWait: 30_000, timeout: 60_000 });
        } catch (error) {
          // A key that another transaction made between our look and our write is found the second time.
          const again = isConflictOfTransactions(error) ? attempt < attempts : isDuplicate(error) && attempt < 3;
          if (!again) throw asStoreError(error);
          await sleep(Math.random() * Math.min(500, 5 * 2 ** attempt));
        }
      }
    },
    async scrub() {
      try {
        await scrub();
      } catch (error) {
        throw asStoreError(error);
      }
    },
    close,
  };
}
