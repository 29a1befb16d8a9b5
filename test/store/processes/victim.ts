// A process that is killed at any moment: `node victim.ts FOLDER FIRST`. It takes updates in and works them
// off, says on standard output what it has acknowledged, and sends by writing a line to a file, as a
// platform would keep a message.
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { openStore } from '../../../src/store/index.ts';

const [folder = '', first = '0'] = process.argv.slice(2);
const store = await openStore({ dataDir: folder });
await store.outbox.sweep();
const chat = await store.conversations.ensureChat({ platform: 'test', externalId: 'chat', kind: 'group' });
console.log('open');

async function takeIn(): Promise<void> {
  for (let i = Number(first); ; i++) {
    await store.inbox.accept({ platform: 'test', updateId: String(i), lane: `test:${i % 4}`, payload: { number: i } });
    console.log(`ack ${i}`);
  }
}

async function workOff(): Promise<void> {
  for (;;) {
    const claim = await store.inbox.claimNext({ owner: String(process.pid), leaseMs: 100 });
    if (!claim) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      continue;
    }
    await store.inbox.complete(claim, [{ key: `answer ${claim.updateId}`, platform: 'test', chatId: chat.id, lane: claim.lane, payload: claim.payload }]);
  }
}

async function send(): Promise<void> {
  for (;;) {
    const claim = await store.outbox.claimNext({ owner: String(process.pid), leaseMs: 100 });
    if (!claim) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      continue;
    }
    if (!(await store.outbox.markStarted(claim))) continue;
    appendFileSync(join(folder, 'platform.txt'), `${claim.key}\n`);
    await store.outbox.markSent(claim, [claim.key]);
  }
}

await Promise.all([takeIn(), workOff(), workOff(), send(), send()]);
