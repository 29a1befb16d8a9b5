// Retrieval embeddings of many prompts at once: [RET] is put behind each, prompts of like length run
// together, and conversations go on between the units.
import type { Adapter, KvCache, StepRow } from '../model/types.ts';
import type { ImageFeatures } from './image-features.ts';
import { retEmbeddingAt } from './outputs.ts';
import type { EngineParts } from './parts.ts';
import { preparePrompt } from './prepare.ts';
import type { PromptRows } from './prompt-rows.ts';
import type { Prompt } from './types.ts';
import type { WorkQueue } from './work-queue.ts';

/** What bulk work runs with: the model, a cache of its own, and turns between the steps. */
export interface BulkContext {
  readonly parts: EngineParts;
  readonly adapter: Adapter;
  readonly features: ImageFeatures;
  readonly work: WorkQueue;
  readonly cache: KvCache;
}

/** New positions in one unit of bulk work. */
const unitTokens = 256;

/**
 * @returns for each prompt the unit vector `[retrievalDim]` at a [RET] put after it
 */
export async function embedPrompts(context: BulkContext, prompts: readonly Prompt[]): Promise<readonly Float32Array[]> {
  const { adapter, parts, features, cache } = context;
  const results: Float32Array[] = new Array(prompts.length);
  const rows: { readonly index: number; readonly prompt: PromptRows }[] = [];
  for (const [index, prompt] of prompts.entries()) rows.push({ index, prompt: (await preparePrompt(prompt, 1, adapter, parts, features, [adapter.ret.id])).prompt });
  // The longest first: those that are done free the last slots, and the rest stays a prefix of the cache.
  rows.sort((a, b) => b.prompt.length - a.prompt.length);
  for (let first = 0; first < rows.length; first += cache.slots) {
    const group = rows.slice(first, first + cache.slots);
    await readGroup(context, group.map(({ prompt }) => prompt), (row, embedding) => {
      results[group[row]!.index] = embedding;
    });
  }
  return results;
}

async function readGroup({ parts, adapter, work, cache }: BulkContext, group: readonly PromptRows[], onDone: (row: number, embedding: Float32Array) => void): Promise<void> {
  const { vocabSize } = parts.languageModel.config;
  group.forEach((_, slot) => cache.truncate(slot, 0));
  for (;;) {
    const open = group.map((prompt, slot) => ({ prompt, slot })).filter(({ prompt, slot }) => cache.length(slot) < prompt.length);
    if (open.length === 0) return;
    const share = Math.max(1, Math.floor(unitTokens / open.length));
    await work.unit(async () => {
      const steps = open.map(({ prompt, slot }): StepRow => {
        const start = cache.length(slot);
        const end = Math.min(prompt.length, start + share);
        return { slot, embeds: prompt.embeds(start, end), select: end === prompt.length ? [end - start - 1] : [] };
      });
      const output = await parts.languageModel.step(cache, steps);
      let selected = 0;
      steps.forEach(({ slot, select }) => {
        if (select.length > 0) onDone(slot, retEmbeddingAt(output, selected++, adapter, vocabSize));
      });
    });
  }
}
