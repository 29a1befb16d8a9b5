// A process of its own that writes one SQLite file beside others: `node writer.ts FOLDER LANE COUNT`.
// Each transaction reads, then writes. It prints how many ended well.
import { openStore } from '../../../src/store/index.ts';

const [folder = '', lane = '', count = '0'] = process.argv.slice(2);
const store = await openStore({ dataDir: folder });
const user = await store.conversations.ensureUser({ platform: 'test', externalId: 'shared' });
const chat = await store.conversations.ensureChat({ platform: 'test', externalId: 'shared', kind: 'group' });
const conversation = await store.conversations.current(chat.id);
let done = 0;
let failed = 0;
for (let i = 0; i < Number(count); i++) {
  try {
    // In turn: the place in a conversation that both write, and an update with its lane.
    if (i % 2 === 0) await store.conversations.appendTurn(conversation.id, { role: 'user', authorId: user.id, parts: [{ type: 'text', text: `${lane} ${i}` }] });
    else await store.inbox.accept({ platform: 'test', updateId: `${lane} ${i}`, lane: `test:${i % 7}`, payload: i });
    done += 1;
  } catch (error) {
    failed += 1;
    console.error(error);
  }
}
await store.close();
console.log(JSON.stringify({ done, failed }));
