// Loads, promotes, uses and unloads an adapter again and again, and tells by how much memory grew.
import type { Engine } from '../../src/engine/types.ts';
import { asked, collect } from './collect.ts';

/** @returns growth of resident memory in MB from a tenth of the way to the end */
export async function exchangeAdapters(engine: Engine, folder: string, times: number): Promise<number> {
  const { servingAdapter: first } = await engine.info();
  let base = 0;
  for (let i = 0; i < times; i++) {
    const id = `adapter ${i}`;
    await engine.loadAdapter(folder, id);
    await engine.serveAdapter(id);
    await collect(engine, { prompt: asked('Show me a dog'), conversation: `chat ${i % 5}`, decoding: { stopLoops: false, forceRet: true, maxNewTokens: 2 } });
    await engine.serveAdapter(first);
    await engine.unloadAdapter(id);
    if (i === Math.floor(times / 10)) base = (await engine.stats()).residentBytes;
  }
  return ((await engine.stats()).residentBytes - base) / 2 ** 20;
}
