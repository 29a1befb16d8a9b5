// Run as a process of its own by lm-memory.long.ts: loads a model, runs a prompt and a few tokens in every
// slot, and prints what the process holds beside what was announced.
//   node test/model/measure-memory.ts FOLDER CACHE WEIGHTS SLOTS
import { readFileSync } from 'node:fs';
import { estimateMemory, loadLanguageModel, readLanguageModelConfig } from '../../src/model/index.ts';
import type { WeightScheme } from '../../src/model/index.ts';

const [source = '', cacheDir = '', weights = 'q8', slots = '1'] = process.argv.slice(2);
const promptLength = 100;
const rows = Array.from({ length: Number(slots) }, (_, slot) => slot);

const started = performance.now();
const model = await loadLanguageModel({ source, weights: weights as WeightScheme, cacheDir, threads: 1 });
const loaded = performance.now();
const cache = model.createCache(rows.length);
const run = (ids: readonly number[]) => model.step(cache, rows.map((slot) => ({ slot, embeds: model.embed(ids), select: [ids.length - 1] })));
await run(new Array<number>(promptLength).fill(7));
const times: number[] = [];
for (let i = 0; i < 5; i++) {
  const before = performance.now();
  await run([9]);
  times.push(performance.now() - before);
}
const resident = Number(/VmRSS:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]) * 1024;
const announced = estimateMemory(readLanguageModelConfig(source), { weights: model.weights as WeightScheme, slots: rows.length, context: promptLength + 5, stepPositions: promptLength * rows.length });
await model.close();
console.log(JSON.stringify({ resident, announced: announced.totalBytes, loadSeconds: (loaded - started) / 1000, stepMs: Math.min(...times) }));
