// What a vision encoder is, how it wants its pictures, and what CLIP's text tower beside it is, from the files
// that lie beside its weights.
import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { FromageError } from '../errors.ts';
import { clipPreset, parsePreprocessorConfig, type PicturePreset } from '../vision/index.ts';
import type { ClipTextConfig } from './graphs/clip-text.ts';
import type { ClipActivation, ClipTowerConfig } from './graphs/clip-tower.ts';
import type { ClipVisionConfig } from './graphs/clip-vision.ts';

const size = z.number().int().min(1).max(65_536);

/** Defaults are those of Hugging Face's `CLIPVisionConfig`. */
const visionConfig = z.object({
  hidden_size: size.default(768),
  intermediate_size: size.default(3072),
  num_hidden_layers: size.max(1000).default(12),
  num_attention_heads: size.default(12),
  num_channels: z.literal(3).default(3),
  image_size: size.max(4096).default(224),
  patch_size: size.max(4096).default(32),
  hidden_act: z.string().default('quick_gelu'),
  layer_norm_eps: z.number().positive().default(1e-5),
});

/** Defaults are those of Hugging Face's `CLIPTextConfig`. */
const textConfig = z.object({
  vocab_size: z.number().int().min(1).max(10_000_000).default(49_408),
  hidden_size: size.default(512),
  intermediate_size: size.default(2048),
  num_hidden_layers: size.max(1000).default(12),
  num_attention_heads: size.default(8),
  max_position_embeddings: size.min(2).default(77),
  hidden_act: z.string().default('quick_gelu'),
  layer_norm_eps: z.number().positive().default(1e-5),
  eos_token_id: z.number().int().nonnegative().default(49_407),
});

const activations: Readonly<Record<string, ClipActivation>> = {
  quick_gelu: 'quick_gelu', gelu: 'gelu', gelu_new: 'gelu_new', gelu_pytorch_tanh: 'gelu_new', relu: 'relu',
};

/** CLIP's weights mean nothing without this. The folder's picture preset is CLIP's own where it has none. */
export interface ClipFolder {
  readonly config: ClipVisionConfig;
  readonly picture: PicturePreset;
}

/**
 * Reads config.json and preprocessor_config.json beside the weights.
 *
 * @param source the folder, or a weight file in it
 * @throws FromageError `MODEL_VISION_CONFIG`, VisionError `VISION_CONFIG`
 */
export function readClipFolder(source: string): ClipFolder {
  const folder = folderOf(source);
  const config = parseClipVisionConfig(readJson(join(folder, 'config.json')));
  const preprocessor = join(folder, 'preprocessor_config.json');
  const processor = join(folder, 'processor_config.json');
  if (existsSync(preprocessor)) return { config, picture: parsePreprocessorConfig(readJson(preprocessor), config.imageSize) };
  // Newer releases of transformers keep the image processor inside the processor's file.
  const inner = existsSync(processor) ? record(readJson(processor))?.image_processor : undefined;
  return { config, picture: inner === undefined ? clipPreset(config.imageSize) : parsePreprocessorConfig(inner, config.imageSize) };
}

/**
 * Reads a parsed config.json of `CLIPVisionModel`, or of the whole `CLIPModel`, whose `vision_config` is taken.
 *
 * @throws FromageError `MODEL_VISION_CONFIG`
 */
export function parseClipVisionConfig(json: unknown): ClipVisionConfig {
  const root = record(json);
  const inner = record(root?.vision_config);
  const type = inner?.model_type ?? root?.model_type;
  if (typeof type === 'string' && !type.startsWith('clip')) {
    throw configError(`the vision encoder is of the type ${type}`, 'only CLIP vision towers are built from a config.json', 'choose a CLIP encoder');
  }
  // The first releases also wrote `vision_config_dict`, which wins where both are there, as in transformers.
  const merged = root && inner ? { ...inner, ...record(root.vision_config_dict) } : json;
  const config = checked(visionConfig, merged, 'vision encoder');
  if (config.patch_size > config.image_size) throw configError(`patch_size ${config.patch_size} of the vision encoder is above its image_size ${config.image_size}`);
  return { ...towerOf(config, 'vision encoder'), imageSize: config.image_size, patchSize: config.patch_size };
}

/** What a text tower is, but for the width of its projection, which the weights tell. */
export interface ClipTextFacts extends Omit<ClipTextConfig, 'projectionSize'> {
  readonly endTokenId: number;
}

/**
 * The text tower's half of a `CLIPModel`'s config.json; null where there is none.
 *
 * @param source the folder, or a weight file in it
 * @throws FromageError `MODEL_VISION_CONFIG`
 */
export function readClipTextFacts(source: string): ClipTextFacts | null {
  const root = record(readJson(join(folderOf(source), 'config.json')));
  const inner = record(root?.text_config);
  if (inner === undefined) return null;
  const config = checked(textConfig, { ...inner, ...record(root?.text_config_dict) }, 'text tower');
  return { ...towerOf(config, 'text tower'), vocabSize: config.vocab_size, positions: config.max_position_embeddings, endTokenId: config.eos_token_id };
}

/** Where the files beside the weights lie. */
export function folderOf(source: string): string {
  return statSync(source).isDirectory() ? source : dirname(source);
}

function checked<T>(schema: z.ZodType<T>, json: unknown, part: string): T {
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw configError(`config.json of the ${part}: ${issue?.path.join('.') || 'the whole'}: ${issue?.message ?? 'not valid'}`);
}

function towerOf(config: z.infer<typeof visionConfig> | z.infer<typeof textConfig>, part: string): ClipTowerConfig {
  const activation = activations[config.hidden_act];
  if (activation === undefined) throw configError(`hidden_act of the ${part} is ${config.hidden_act}, known are ${Object.keys(activations).join(', ')}`);
  if (config.hidden_size % config.num_attention_heads !== 0) {
    throw configError(`hidden_size ${config.hidden_size} of the ${part} is not a multiple of its ${config.num_attention_heads} heads`);
  }
  return {
    hiddenSize: config.hidden_size,
    intermediateSize: config.intermediate_size,
    numLayers: config.num_hidden_layers,
    numHeads: config.num_attention_heads,
    activation,
    layerNormEpsilon: config.layer_norm_eps,
  };
}

function readJson(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    throw new FromageError({
      code: 'MODEL_VISION_CONFIG',
      what: `${path} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`,
      todo: 'keep config.json beside the weights of the vision encoder, as it was published',
      cause,
    });
  }
}

function record(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : undefined;
}

function configError(what: string, why?: string, todo = 'compare config.json with the published one'): FromageError {
  return new FromageError({ code: 'MODEL_VISION_CONFIG', what, todo, ...(why === undefined ? {} : { why }) });
}
