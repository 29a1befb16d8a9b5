// The time from a question to the first word of its answer, through the whole engine in its own process.
import type { Engine } from '../../engine/types.ts';

/** @param i tells questions apart, so that no cache knows them */
export async function firstWordMs(engine: Pick<Engine, 'generate'>, i: number): Promise<number> {
  const began = performance.now();
  for await (const event of engine.generate({ prompt: { kind: 'turns', turns: [{ role: 'user', parts: [{ type: 'text', text: `What is the ${i}th day of the week?` }] }] }, decoding: { maxNewTokens: 4, retScaleFactor: 0 } })) {
    if (event.type === 'text' || event.type === 'end') break;
  }
  return performance.now() - began;
}
