// Retrieval embeddings of many prompts, kept by content: what was embedded before with the same models and
// the same adapter is not embedded again.
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Engine, EngineInfo, Prompt, PromptStyle } from '../../engine/types.ts';
import { retrievalPrompt } from '../../engine/index.ts';
import { FromageError } from '../../errors.ts';
import { requestText } from '../../model/index.ts';
import type { EvaluationOptions, KeyedPrompt, QueryForm } from '../types.ts';
import { openVectorCache } from './vector-cache.ts';

/** Prompts in one call; a run that is stopped loses no more. */
const callSize = 64;

/** File of kept vectors; null without a cache folder. */
export function embeddingFile({ cacheDir }: EvaluationOptions, kind: 'pictures' | 'texts', owner: string): string | null {
  return cacheDir === undefined ? null : join(cacheDir, 'evaluation', `${kind}-${createHash('sha256').update(owner).digest('hex').slice(0, 24)}.vectors`);
}

/** All that an answer depends on beside the prompt. */
export function modelSetting(info: EngineInfo, options: EvaluationOptions): string {
  const { hash } = adapterOf(info, options);
  return JSON.stringify([info.model, info.family, info.weights, info.device, info.hiddenSize, info.vocabSize, info.visionHash, hash, options.identity ?? '']);
}

export function adapterOf(info: EngineInfo, { adapter }: EvaluationOptions): EngineInfo['adapters'][number] {
  const id = adapter ?? info.servingAdapter;
  const found = info.adapters.find((each) => each.id === id);
  if (!found) throw new FromageError({ code: 'EVALUATION_ADAPTER', what: `the engine has no adapter ${JSON.stringify(id)}`, todo: 'load it first' });
  return found;
}

/** @returns for each prompt the unit vector `[retrievalDim]` at a [RET] put after it */
export async function embedKeyed(engine: Engine, prompts: readonly KeyedPrompt[], stage: string, options: EvaluationOptions): Promise<Float32Array[]> {
  const info = await engine.info();
  const adapter = adapterOf(info, options);
  const cache = openVectorCache(embeddingFile(options, 'texts', modelSetting(info, options)), adapter.retrievalDim);
  try {
    const wanted = new Map(prompts.map(({ key, prompt }) => [key, prompt] as const));
    const results = new Map<string, Float32Array>();
    const fresh: [string, Prompt][] = [];
    for (const [key, prompt] of wanted) {
      const known = cache.get(key);
      if (known) results.set(key, known);
      else fresh.push([key, prompt]);
    }
    // Prompts of like length run together.
    fresh.sort(([a], [b]) => a.length - b.length);
    options.onProgress?.({ stage, unit: 'texts', done: results.size, total: wanted.size });
    for (let start = 0; start < fresh.length; start += callSize) {
      options.signal?.throwIfAborted();
      const part = fresh.slice(start, start + callSize);
      const vectors = await engine.embedPrompts(part.map(([, prompt]) => prompt), options.adapter);
      part.forEach(([key], i) => {
        cache.set(key, vectors[i]!);
        results.set(key, vectors[i]!);
      });
      options.onProgress?.({ stage, unit: 'texts', done: results.size, total: wanted.size });
    }
    return prompts.map(({ key }) => results.get(key)!);
  } finally {
    cache.close();
  }
}

/**
 * The prompt that asks for a picture of this caption. In chat the caption is the object of a request, as in
 * training: "A dog runs ." becomes "Show me a picture of a dog runs"; the paper's forms take it as it is.
 */
export function captionQuery(caption: string, form: QueryForm, ownStyle: PromptStyle): KeyedPrompt {
  const style = form.style ?? ownStyle;
  return textQuery(style === 'chat' ? requestText('{}', caption) : caption.trim(), form, style);
}

/** The prompt that asks for the picture of a text which stands as it is. */
export function textQuery(object: string, form: QueryForm, style: PromptStyle): KeyedPrompt {
  const template = form.template ?? (style === 'chat' ? 'Show me a picture of {}' : null);
  const prompt = template === null ? retrievalPrompt(object, style) : ownWords(template.replaceAll('{}', () => object), style);
  return { key: JSON.stringify(prompt), prompt };
}

function ownWords(text: string, style: PromptStyle): Prompt {
  if (style === 'plain') return { kind: 'segments', segments: [{ type: 'text', text }] };
  return { kind: 'turns', style, turns: [{ role: 'user', parts: [{ type: 'text', text }] }] };
}
