import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Desk, Scene } from '../../src/chat/desk.ts';
import { partsOf } from '../../src/chat/question.ts';
import type { QuotedMessage } from '../../src/chat/types.ts';
import { openStore, type Store } from '../../src/store/index.ts';

let store: Store;
let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'fromage-quotations-'));
  store = await openStore({ dataDir: folder });
});
afterAll(async () => {
  await store.close();
  rmSync(folder, { recursive: true });
});

test('the words of a quotation carry whose they are, a quotation within a quotation too', async () => {
  const person = (externalId: string) => store.conversations.ensureUser({ platform: 'telegram', externalId });
  const [asker, author, third] = [await person('1'), await person('2'), await person('3')];
  const chat = await store.conversations.ensureChat({ platform: 'telegram', externalId: '-5', kind: 'group' });
  const conversation = await store.conversations.current(chat.id);
  const partsFor = async (replyTo: Partial<QuotedMessage>) => {
    const scene = { user: asker, chat, place: { platform: 'telegram' } } as unknown as Scene;
    const question = { text: 'what is meant?', pictures: [], replyTo: { messageId: '', own: false, text: '', pictures: [], ...replyTo } } as unknown as Parameters<typeof partsOf>[2];
    return (await partsOf({ store } as unknown as Desk, scene, question, new AbortController().signal)).parts;
  };
  const own = { type: 'text', text: 'what is meant?' };

  expect(await partsFor({ messageId: 'unknown', text: 'so be it', author: 'telegram:2' })).toEqual([{ type: 'text', text: 'so be it\n', quoted: author.id }, own]);
  expect(await partsFor({ messageId: 'unknown', text: 'I said', author: 'telegram:1' })).toEqual([{ type: 'text', text: 'I said\n' }, own]);
  expect(await partsFor({ messageId: 'unknown', text: 'the bot said', own: true })).toEqual([{ type: 'text', text: 'the bot said\n' }, own]);

  await store.conversations.appendTurn(conversation.id, {
    role: 'user', authorId: author.id, messageIds: ['10'],
    parts: [{ type: 'image', hash: 'ab'.repeat(32), quoted: third.id }, { type: 'text', text: 'third said\n', quoted: third.id }, { type: 'text', text: 'indeed' }],
  });
  await store.conversations.appendTurn(conversation.id, { role: 'user', authorId: asker.id, parts: [own as { type: 'text'; text: string }] });
  expect(await partsFor({ messageId: '10' })).toEqual([
    { type: 'image', hash: 'ab'.repeat(32), quoted: third.id },
    { type: 'text', text: 'third said\n', quoted: third.id },
    { type: 'text', text: 'indeed\n', quoted: author.id },
    own,
  ]);
});
