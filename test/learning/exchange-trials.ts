// Versions exchanged again and again while people ask: no request fails, each ends with the adapter it
// began with, and memory stays flat.
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect } from '@jest/globals';
import { readAdapterFolder, saveAdapter } from '../../src/model/index.ts';
import { everyone, openWorld } from './world.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** MB that are in use or held: what JavaScript keeps after a collection, and what the process has of the machine. */
function memory(): { readonly used: number; readonly resident: number } {
  collect();
  const { heapUsed, external, rss } = process.memoryUsage();
  return { used: (heapUsed + external) / 2 ** 20, resident: rss / 2 ** 20 };
}

/** @returns growth of memory in MB over the second half: before that the collector still finds the size of its heap */
export async function exchangeTrials(times: number): Promise<{ readonly answered: number; readonly used: number; readonly resident: number }> {
  const world = await openWorld();
  const learning = await world.learning();
  try {
    const { id: base } = (await learning.adapters.list())[0]!;
    const folder = join('adapters', 'a-second');
    const { tensors } = readAdapterFolder(join(world.folder, 'model', 'adapter-b'));
    const card = saveAdapter(join(world.folder, 'data', folder), tensors, { promptStyle: 'chat' });
    await world.store.adapters.add({ id: 'a-second', parentId: base, folder, hash: card['hash'] as string, visualHash: card['visualHash'] as string, trainSetId: null, runId: null, metrics: {} });
    let going = true;
    let answered = 0;
    const { chatId } = await world.person(1);
    const asking = Array.from({ length: 3 }, async (_, i) => {
      while (going) {
        const adapter = await learning.adapterFor(chatId);
        for await (const event of world.engine.generate({ prompt: { kind: 'turns', turns: [{ role: 'user', parts: [{ type: 'text', text: 'show me my cat' }] }] }, conversation: `chat ${i}`, decoding: { forceRet: true, maxNewTokens: 3 }, ...(adapter === undefined ? {} : { adapter }) })) {
          if (event.type === 'ret') expect(await world.gallery.find({ vector: event.embedding, filter: everyone, limit: 1, ...(adapter === undefined ? {} : { adapter }) })).toHaveLength(1);
          if (event.type === 'end') expect(event.adapter).toBe(adapter);
        }
        answered++;
      }
    });
    let half = memory();
    for (let i = 0; i < times; i++) {
      await learning.adapters.promote(i % 2 === 0 ? 'a-second' : base, '');
      // Somebody is answered between any two exchanges.
      for (const before = answered; answered === before; ) await pause(1);
      if (i === times >> 1) half = memory();
    }
    going = false;
    await Promise.all(asking);
    const end = memory();
    return { answered, used: end.used - half.used, resident: end.resident - half.resident };
  } finally {
    await world.close();
    world.cleanUp();
  }
}
