// Writes until the disk refuses: `node filler.ts FOLDER`. It prints what was acknowledged and the error.
import { openStore } from '../../../src/store/index.ts';

const [folder = ''] = process.argv.slice(2);
const turns: string[] = [];
const files: string[] = [];
let problem: unknown = null;
try {
  const store = await openStore({ dataDir: folder });
  const user = await store.conversations.ensureUser({ platform: 'test', externalId: '1' });
  const chat = await store.conversations.ensureChat({ platform: 'test', externalId: '1', kind: 'group' });
  const conversation = await store.conversations.current(chat.id);
  for (let i = 0; i < 3000; i++) {
    turns.push((await store.conversations.appendTurn(conversation.id, { role: 'user', authorId: user.id, parts: [{ type: 'text', text: `${i} ${'x'.repeat(2000)}` }] })).id);
    if (i % 3 === 0) files.push((await store.files.put(new Uint8Array(20_000).fill(i), { mimeType: 'image/png', width: 1, height: 1 })).hash);
  }
} catch (error) {
  const { code, message, retryable } = error as { code?: string; message: string; retryable?: boolean };
  problem = { code, message, retryable };
}
console.log(JSON.stringify({ turns, files, problem }));
process.exit(0);
