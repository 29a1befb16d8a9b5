// What a part of a model will need before its weights are fetched, from its configuration alone.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ClipVisionConfig } from './graphs/clip-vision.ts';
import { readLanguageModelConfig } from './language-model-config.ts';
import { chooseScheme, countWeights, estimateMemory } from './language-model-memory.ts';
import type { WeightScheme } from './language-model-weights.ts';
import { readClipFolder } from './vision-encoder-config.ts';

export interface ModelNeeds {
  readonly kind: 'language model' | 'vision encoder';
  /** Numbers in its matrices. */
  readonly weights: number;
  readonly scheme: WeightScheme;
  /** Resident; of a language model the whole process with one conversation that fills the context window. */
  readonly memoryBytes: number;
  /** Of these, keys and values of that conversation. */
  readonly conversationBytes: number;
  /** On disk beside the download: converted weights. */
  readonly convertedBytes: number;
}

/**
 * @param folder with config.json; weights are not looked at
 * @returns null where there is no config.json (a GGUF, an adapter)
 * @throws FromageError `MODEL_UNSUPPORTED`, `MODEL_CONFIG_INVALID`, `MODEL_VISION_CONFIG`
 */
export function estimateNeeds(folder: string, scheme: WeightScheme | 'auto'): ModelNeeds | null {
  if (!existsSync(join(folder, 'config.json'))) return null;
  if (isVision(folder)) {
    const weights = clipWeights(readClipFolder(folder).config);
    return { kind: 'vision encoder', weights, scheme: 'fp32', memoryBytes: weights * 4, conversationBytes: 0, convertedBytes: 0 };
  }
  const config = readLanguageModelConfig(folder);
  const chosen = scheme === 'auto' ? chooseScheme(config, []) : scheme;
  const { totalBytes, cacheBytes, convertedBytes } = estimateMemory(config, { weights: chosen, slots: 1, context: config.contextWindow });
  return { kind: 'language model', weights: countWeights(config), scheme: chosen, memoryBytes: totalBytes, conversationBytes: cacheBytes, convertedBytes };
}

function isVision(folder: string): boolean {
  const { model_type: type } = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')) as { model_type?: unknown };
  return typeof type === 'string' && type.startsWith('clip');
}

function clipWeights({ hiddenSize, intermediateSize, numLayers, imageSize, patchSize }: ClipVisionConfig): number {
  const layer = 4 * hiddenSize ** 2 + 2 * hiddenSize * intermediateSize;
  return numLayers * layer + hiddenSize * (3 * patchSize ** 2 + (imageSize / patchSize) ** 2 + 1);
}
