// Writes a whole tiny FROMAGe model as a folder: a Llama or OPT, a CLIP tower, random adapters between
// the two, and the model.json that names them. The real loader opens it in a few milliseconds.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type AdapterTensors, type LinearMap, saveAdapter } from '../../src/model/index.ts';
import { randomTower } from '../model/vision-reference.ts';
import { tinyLlamaTokens, tinyOptTokens, writeTinyLlama, writeTinyOpt } from './language-model.ts';
import { normal, normals, uniform } from './random.ts';
import { writeCheckpoint } from './safetensors.ts';

export const tinyRetrievalDim = 8;
export const tinyVisionHiddenSize = 12;
const width = 32;

export interface TinyFromageOptions {
  readonly family?: 'llama' | 'opt';
  readonly visualTokens?: number;
  /** Layers that the adapters read; default the last. */
  readonly textLayers?: readonly number[];
  /** Keys of the language model's config.json to change. */
  readonly languageModel?: Readonly<Record<string, unknown>>;
}

/**
 * @param folder made when missing; gets `lm`, `vision`, `adapter`, `adapter-b` and model.json
 * @returns paths of two adapters that differ in every tensor; the first one serves
 */
export function writeTinyFromage(folder: string, seed: number, options: TinyFromageOptions = {}): { readonly folder: string; readonly adapters: readonly [string, string] } {
  const { family = 'llama', visualTokens = 2, textLayers = [-1] } = options;
  mkdirSync(folder, { recursive: true });
  if (family === 'llama') writeTinyLlama(join(folder, 'lm'), seed, options.languageModel);
  else writeTinyOpt(join(folder, 'lm'), seed, options.languageModel);
  writeTinyClip(join(folder, 'vision'), seed + 1);
  // OPT has <|image|> before [RET].
  const retTokenId = family === 'llama' ? tinyLlamaTokens.length + 256 : tinyOptTokens.length + 256 + 1;
  const adapters = ['adapter', 'adapter-b'].map((name, index) => {
    saveAdapter(join(folder, name), randomAdapter(seed + 2 + index, visualTokens, retTokenId, textLayers), { promptStyle: family === 'llama' ? 'chat' : 'qa' });
    return join(folder, name);
  });
  writeFileSync(
    join(folder, 'model.json'),
    JSON.stringify({ name: `tiny-${family}`, languageModel: 'lm', visionEncoder: 'vision', adapter: 'adapter', promptStyle: family === 'llama' ? 'chat' : 'qa', files: [] }),
  );
  return { folder, adapters: [adapters[0]!, adapters[1]!] };
}

/** A CLIP tower of one layer over 20×20 pixels, pooled output of 12. */
export function writeTinyClip(folder: string, seed: number): void {
  const config = { hiddenSize: tinyVisionHiddenSize, intermediateSize: 20, numLayers: 1, numHeads: 3, imageSize: 20, patchSize: 10, activation: 'quick_gelu', layerNormEpsilon: 1e-5 } as const;
  mkdirSync(folder, { recursive: true });
  writeFileSync(
    join(folder, 'config.json'),
    JSON.stringify({ model_type: 'clip_vision_model', hidden_size: 12, intermediate_size: 20, num_hidden_layers: 1, num_attention_heads: 3, image_size: 20, patch_size: 10, hidden_act: 'quick_gelu', layer_norm_eps: 1e-5 }),
  );
  writeCheckpoint(folder, new Map([...randomTower(config, uniform(seed))].map(([name, tensor]) => [`vision_model.${name}`, tensor])));
}

/** Random maps between the tiny models. */
export function randomAdapter(seed: number, visualTokens: number, retTokenId: number, textLayers: readonly number[] = [-1]): AdapterTensors {
  const next = normal(seed);
  const linear = (inputs: number, outputs: number): LinearMap => ({ inputs, outputs, weight: normals(next, inputs * outputs, 0.5), bias: normals(next, outputs, 0.1) });
  return {
    visualTokens,
    textLayers,
    retTokenId,
    visualEmbeddings: linear(tinyVisionHiddenSize, visualTokens * width),
    visualFc: linear(tinyVisionHiddenSize, tinyRetrievalDim),
    textFcs: textLayers.map(() => linear(width, tinyRetrievalDim)),
    retEmbedding: normals(next, width, 1),
    logitScale: Math.log(1 / 0.07),
  };
}
