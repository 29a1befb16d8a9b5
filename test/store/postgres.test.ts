// The same suite on a real PostgreSQL: the one TEST_POSTGRES_URL names, or a throwaway server where
// PostgreSQL is installed. Skipped where neither is there.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { storeContract } from '../contracts/store.ts';
import { openStore } from '../../src/store/index.ts';
import { migrate, readMigrations } from '../../src/store/migrate.ts';
import { withPostgresTarget } from '../../src/store/migration-targets.ts';
import { findServer, startPostgres } from '../../scripts/postgres-for-tests.mjs';

const given = process.env.TEST_POSTGRES_URL;

if (given === undefined && findServer() === null) {
  test.skip('PostgreSQL: no server is installed (apt-get install postgresql) and TEST_POSTGRES_URL is not set', () => undefined);
} else {
  let url: string | undefined;
  let stop: (() => Promise<void>) | undefined;
  const name = `fromage_test_${process.pid}`;

  const admin = async (base: string, sql: string) => {
    const client = new Client({ connectionString: base });
    await client.connect();
    const result = await client.query(sql);
    await client.end();
    return result.rows as Record<string, unknown>[];
  };
  let base = '';

  beforeAll(async () => {
    const server = given === undefined ? await startPostgres() : { url: given, stop: async () => undefined };
    base = server!.url;
    stop = server!.stop;
    await admin(base, `CREATE DATABASE ${name}`);
    url = Object.assign(new URL(base), { pathname: `/${name}` }).href;
  });
  afterAll(async () => {
    if (base !== '') await admin(base, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
    await stop?.();
  });

  storeContract('the store on PostgreSQL', () => url);

  describe('PostgreSQL', () => {
    test('three processes opening an empty database migrate it once', async () => {
      await admin(base, `CREATE DATABASE ${name}_empty`);
      const empty = Object.assign(new URL(base), { pathname: `/${name}_empty` }).href;
      const dataDir = mkdtempSync(join(tmpdir(), 'fromage-store-'));
      const stores = await Promise.all([1, 2, 3].map(() => openStore({ dataDir, databaseUrl: empty })));
      expect(stores.filter((store) => store.migrated.length > 0)).toHaveLength(1);
      await Promise.all(stores.map((store) => store.close()));
      await admin(empty, `UPDATE "_prisma_migrations" SET checksum = 'other'`);
      await expect(openStore({ dataDir, databaseUrl: empty })).rejects.toMatchObject({ code: 'STORE_MIGRATION_EDITED' });
      await admin(base, `DROP DATABASE ${name}_empty WITH (FORCE)`);
      rmSync(dataDir, { recursive: true, force: true });
    });

    test('a database of each earlier level is upgraded with its rows', async () => {
      const migrations = readMigrations('postgresql');
      const dataDir = mkdtempSync(join(tmpdir(), 'fromage-store-'));
      for (let level = 1; level < migrations.length; level++) {
        await admin(base, `CREATE DATABASE ${name}_level`);
        const old = Object.assign(new URL(base), { pathname: `/${name}_level` }).href;
        await withPostgresTarget(old, (target) => migrate(target, migrations.slice(0, level)));
        await admin(old, `INSERT INTO "User" ("id", "platform", "externalId", "createdAt") VALUES ('old', 'telegram', '7', 1)`);
        const store = await openStore({ dataDir, databaseUrl: old });
        expect(store.migrated).toEqual(migrations.slice(level).map((one) => one.name));
        expect(await store.conversations.ensureUser({ platform: 'telegram', externalId: '7' })).toMatchObject({ id: 'old' });
        await store.close();
        await admin(base, `DROP DATABASE ${name}_level WITH (FORCE)`);
      }
      rmSync(dataDir, { recursive: true, force: true });
    });

    test('a server that is not there is an error with a code and no password', async () => {
      const dataDir = mkdtempSync(join(tmpdir(), 'fromage-store-'));
      const error = (await openStore({ dataDir, databaseUrl: 'postgres://me:geheim@127.0.0.1:1/none' }).catch((thrown: unknown) => thrown)) as Error & { code: string };
      expect(error.code).toBe('STORE_UNREACHABLE');
      expect(error.message).not.toContain('geheim');
      rmSync(dataDir, { recursive: true, force: true });
    });
  });
}
