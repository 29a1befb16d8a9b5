// Our side of the benchmark, in a process of its own like the peer's and with the environment that the
// engine gives its child. Answers one message at a time: a measurement, or the quality of the weights.
import { loadLanguageModel } from '../../model/index.ts';
import type { LanguageModel } from '../../model/types.ts';
import { compareQuality, type QualityOptions } from './quality.ts';

export type OursRequest =
  | { readonly decode: { readonly batch: number; readonly context: number; readonly steps: number } }
  | { readonly prefill: number }
  | { readonly quality: QualityOptions };

export interface OursReply {
  readonly ms: number;
  readonly weights: string;
  readonly residentBytes: number;
  readonly quality?: { readonly ratio: number; readonly texts: number };
}

const before = process.memoryUsage().rss;
const model = await loadLanguageModel(JSON.parse(process.argv[2] ?? '{}'));

process.on('message', async (request: OursRequest) => {
  let ms = 0;
  let quality: OursReply['quality'];
  if ('decode' in request) ms = await decode(model, request.decode);
  else if ('prefill' in request) ms = await prefill(model, request.prefill);
  else quality = await compareQuality(model, request.quality);
  const reply: OursReply = { ms, weights: model.weights, residentBytes: process.memoryUsage().rss - before, ...(quality ? { quality } : {}) };
  process.send?.(reply);
});
process.on('disconnect', () => process.exit(0));
process.send?.({ ms: 0 });

/** Milliseconds for `steps` steps of `batch` sequences that have `context` positions behind them. */
async function decode(lm: LanguageModel, { batch, context, steps }: { batch: number; context: number; steps: number }): Promise<number> {
  const cache = lm.createCache(batch);
  for (let row = 0; row < batch; row++) await lm.step(cache, [{ slot: row, embeds: lm.embed(ids(context, row)), select: [] }]);
  const next = (step: number) => Array.from({ length: batch }, (_, slot) => ({ slot, embeds: lm.embed([1000 + step * 31 + slot]), select: [0] }));
  await lm.step(cache, next(0));
  const began = performance.now();
  for (let step = 1; step <= steps; step++) await lm.step(cache, next(step));
  return performance.now() - began;
}

async function prefill(lm: LanguageModel, length: number): Promise<number> {
  const cache = lm.createCache(1);
  const embeds = lm.embed(ids(length, 7));
  const began = performance.now();
  await lm.step(cache, [{ slot: 0, embeds, select: [length - 1] }]);
  return performance.now() - began;
}

/** Token ids of no meaning, different in each row; the peer uses the same. */
function ids(count: number, seed: number): number[] {
  return Array.from({ length: count }, (_, i) => 1000 + ((i * 7919 + seed * 104729) % 40000));
}
