// What a part of a model will need before its weights are fetched, from its configuration alone.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type DType, openWeights } from '../formats/index.ts';
import type { ClipVisionConfig } from './graphs/clip-vision.ts';
import { type ModelConfig, readLanguageModelConfig } from './language-model-config.ts';
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
 * @param source a folder with config.json, whose weights are not looked at, or a GGUF file
 * @returns null for a folder without config.json (a GGUF is to come, an adapter)
 * @throws FromageError `MODEL_UNSUPPORTED`, `MODEL_CONFIG_INVALID`, `MODEL_VISION_CONFIG`
 */
export function estimateNeeds(source: string, scheme: WeightScheme | 'auto'): ModelNeeds | null {
  if (source.endsWith('.gguf')) {
    const store = openWeights(source);
    try {
      return languageModelNeeds(readLanguageModelConfig(source, store), scheme, [...store.tensors.values()].map(({ dtype }) => dtype));
    } finally {
      store.close();
    }
  }
  if (!existsSync(join(source, 'config.json'))) return null;
  if (isVision(source)) {
    const weights = clipWeights(readClipFolder(source).config);
    return { kind: 'vision encoder', weights, scheme: 'fp32', memoryBytes: weights * 4, conversationBytes: 0, convertedBytes: 0 };
  }
  return languageModelNeeds(readLanguageModelConfig(source), scheme, []);
}

function languageModelNeeds(config: ModelConfig, scheme: WeightScheme | 'auto', dtypes: readonly DType[]): ModelNeeds {
  const chosen = scheme === 'auto' ? chooseScheme(config, dtypes) : scheme;
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
