// Versions exchanged again and again while people ask: no request fails, each ends with the adapter it
// began with, and memory stays flat.
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { expect } from '@jest/globals';
import { readAdapterFolder, saveAdapter } from '../../src/model/index.ts';
import { everyone, openWorld } from './world.ts';

/** @returns growth of resident memory in MB from a tenth of the way to the end */
export async function exchangeTrials(times: number): Promise<{ readonly answered: number; readonly growth: number }> {
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
    let start = 0;
    for (let i = 0; i < times; i++) {
      await learning.adapters.promote(i % 2 === 0 ? 'a-second' : base, '');
      // Somebody is answered between any two exchanges.
      for (const before = answered; answered === before; ) await pause(1);
      if (i === Math.floor(times / 10)) start = process.memoryUsage().rss;
    }
    going = false;
    await Promise.all(asking);
    const growth = (process.memoryUsage().rss - start) / 2 ** 20;
    return { answered, growth };
  } finally {
    await world.close();
    world.cleanUp();
  }
}
