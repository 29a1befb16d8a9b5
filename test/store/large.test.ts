// SQLite takes 999 values in a statement, and rows with children ask for the children by their parents'
// ids: what a person collects in a year must not meet that limit.
import { expect, test } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openStore } from '../../src/store/index.ts';
import { connectSqlite } from '../../src/store/sqlite-connection.ts';
import { pictureOf, trainRow } from '../contracts/store-gallery.ts';
import { unzip } from '../contracts/store-user-data.ts';

test('1,100 turns, pictures and train rows of one person are listed, exported and forgotten', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'fromage-large-'));
  const store = await openStore({ dataDir: folder });
  const user = await store.conversations.ensureUser({ platform: 'test', externalId: '1' });
  const chat = await store.conversations.ensureChat({ platform: 'test', externalId: '2', kind: 'group' });
  const conversation = await store.conversations.current(chat.id);
  const count = 1100;
  // Written directly: one transaction each would take most of a minute on a busy machine.
  const connection = await connectSqlite(join(folder, 'fromage.db'));
  const numbers = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${count})`;
  await connection.executeScript(`BEGIN;
    INSERT INTO "Turn" ("id", "conversationId", "seq", "role", "authorId", "createdAt") ${numbers} SELECT 'turn ' || i, '${conversation.id}', i, 'user', '${user.id}', i FROM n;
    INSERT INTO "TurnPart" ("turnId", "position", "type", "text") ${numbers} SELECT 'turn ' || i, 0, 'text', 'words ' || i FROM n;
    COMMIT;`);
  await connection.dispose();
  const pictures = Array.from({ length: count }, () => pictureOf({ id: randomUUID(), addedBy: user.id, tags: ['a'] }));
  expect(await store.pictures.add(pictures)).toBe(count);
  const provenance = { userId: null, consentId: null, platform: null, chatId: null, answerId: null, origin: 'gallery', contentClass: 'safe' };
  const set = await store.trainSets.freeze(pictures.map((picture) => trainRow({ pictureId: picture.id, provenance })));

  const turns = await store.conversations.turns(conversation.id, 5000);
  expect(turns.map((turn) => turn.seq)).toEqual(Array.from({ length: count }, (_, i) => i + 1));
  const ids = pictures.map((picture) => picture.id).sort();
  expect((await store.pictures.list({}, { limit: 5000 })).map((row) => row.id)).toEqual(ids);
  expect(await store.pictures.list({}, { after: ids[9]!, limit: 1001 })).toHaveLength(1001);
  expect(await store.pictures.withoutPooled('encoder', { limit: 5000 })).toHaveLength(count);
  expect((await store.pictures.getMany(ids)).map((row) => row.id)).toEqual(ids);

  const parts: Uint8Array[] = [];
  for await (const part of await store.userData.mydata(user.id)) parts.push(part);
  const data = JSON.parse((await unzip(Buffer.concat(parts))).get('data.json')!.toString('utf8')) as { turns: unknown[]; pictures: unknown[]; trainRows: unknown[] };
  expect([data.turns.length, data.pictures.length, data.trainRows.length]).toEqual([count, count, count]);

  const report = await store.userData.forget(user.id);
  expect(report).toMatchObject({ turns: count, pictures: count, trainRows: count });
  expect(await store.trainSets.get(set.id)).toMatchObject({ removedRows: count });
  expect(await store.pictures.count()).toBe(0);
  await store.close();
  rmSync(folder, { recursive: true });
});
