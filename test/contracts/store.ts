// One suite for every database: whoever opens a store hands it in.
import { afterAll, beforeAll, describe } from '@jest/globals';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openStore, type Store } from '../../src/store/index.ts';
import { conversationContract } from './store-conversations.ts';
import { galleryContract } from './store-gallery.ts';
import { queueContract } from './store-queues.ts';
import { userDataContract } from './store-user-data.ts';

/** @param databaseUrl none: SQLite in a temporary folder */
export function storeContract(name: string, databaseUrl: () => string | undefined): void {
  describe(name, () => {
    let store: Store;
    let folder: string;
    beforeAll(async () => {
      folder = mkdtempSync(join(tmpdir(), 'fromage-store-'));
      const url = databaseUrl();
      store = await openStore({ dataDir: folder, ...(url === undefined ? {} : { databaseUrl: url }) });
    });
    afterAll(async () => {
      await store?.close();
      rmSync(folder, { recursive: true, force: true });
    });
    conversationContract(() => store);
    queueContract(() => store);
    galleryContract(() => store, () => folder);
    userDataContract(() => store, () => folder, databaseUrl);
  });
}
