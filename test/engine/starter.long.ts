// The real starter in a child process: it answers in words and in pictures, and its parent stays quick.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { afterAll, expect, test } from '@jest/globals';
import { retrievalPrompt, startEngine } from '../../src/engine/index.ts';
import { dot } from '../../src/tensor/index.ts';
import { fromRgb, scene } from '../vision/drawn.ts';
import { asked, collect } from './collect.ts';

const cacheDir = mkdtempSync(join(tmpdir(), 'fromage-starter-'));
const engine = startEngine({ model: { model: 'starter', weights: 'auto', cacheDir, threads: 1 } });
afterAll(async () => {
  await engine.close();
  rmSync(cacheDir, { recursive: true, force: true });
});

test('a request for a picture gives [RET] by itself, with the embedding that a search would use', async () => {
  const { rets, end } = await collect(engine, { prompt: asked('Show me a picture of a dog') });
  expect(rets).toHaveLength(1);
  expect(rets[0]!.probability).toBeGreaterThan(0.5);
  expect(end).toMatchObject({ text: '', reason: 'stop' });
  const [embedded] = await engine.embedPrompts([retrievalPrompt('a dog', 'chat')]);
  // 8-bit activations are rounded differently in a step of one and of many positions (engine.md §4).
  expect(dot(rets[0]!.embedding, 0, embedded!, 0, embedded!.length)).toBeGreaterThan(0.98);
});

test('a picture gets a caption, ordinary talk gets words', async () => {
  const picture = await fromRgb(scene(320, 240), 320, 240).jpeg().toBuffer();
  const caption = await collect(engine, { prompt: asked({ type: 'image', image: { bytes: picture } }, 'What is in this picture?') });
  expect(caption.end.reason).toBe('stop');
  expect(caption.end.text.trim().split(/\s+/).length).toBeGreaterThan(2);
  expect(caption.rets).toEqual([]);
  const talk = await collect(engine, { prompt: asked('Hello, how are you?'), decoding: { maxNewTokens: 16 } });
  expect(talk.end.text.trim()).not.toBe('');
});

test('the event loop of the parent stays quick while eight conversations generate', async () => {
  await engine.ready();
  const delay = monitorEventLoopDelay({ resolution: 5 });
  delay.enable();
  await Promise.all(
    Array.from({ length: 8 }, (_, i) => collect(engine, { prompt: asked(`Tell me a story about number ${i}`), conversation: `c${i}`, decoding: { maxNewTokens: 64, temperature: 1, topP: 0.95, maxNumRets: 0 }, seed: i })),
  );
  delay.disable();
  console.log(`starter, 8 conversations: event-loop delay of the parent p99 ${(delay.percentile(99) / 1e6).toFixed(1)} ms`);
  expect(delay.percentile(99) / 1e6).toBeLessThan(50);
});
