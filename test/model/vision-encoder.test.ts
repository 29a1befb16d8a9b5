import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { floatToHalf, writeSafetensors, type WritableTensor } from '../../src/formats/index.ts';
import type { ClipVisionConfig } from '../../src/model/graphs/clip-vision.ts';
import { loadVisionEncoder } from '../../src/model/vision-encoder.ts';
import { clipPreset } from '../../src/vision/index.ts';
import { random } from '../vision/drawn.ts';
import { randomTower, referencePooled, type Tensors } from './vision-reference.ts';

const root = realpathSync(mkdtempSync(join(tmpdir(), 'fromage-vision-')));
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** 20 pixels in patches of 6: two are left over, as PyTorch's convolution leaves them. */
const tiny: ClipVisionConfig = { hiddenSize: 12, intermediateSize: 20, numLayers: 2, numHeads: 3, imageSize: 20, patchSize: 6, activation: 'gelu', layerNormEpsilon: 1e-5 };

function configJson(config: ClipVisionConfig): Record<string, unknown> {
  return {
    model_type: 'clip_vision_model', hidden_size: config.hiddenSize, intermediate_size: config.intermediateSize, num_hidden_layers: config.numLayers,
    num_attention_heads: config.numHeads, image_size: config.imageSize, patch_size: config.patchSize, hidden_act: config.activation, layer_norm_eps: config.layerNormEpsilon,
  };
}

interface FolderParts {
  readonly config?: unknown;
  readonly prefix?: string;
  readonly store?: (data: Float32Array) => WritableTensor['data'];
  readonly extra?: Tensors;
  readonly shards?: number;
}

let folders = 0;
function writeFolder(config: ClipVisionConfig, tensors: Tensors, parts: FolderParts = {}): string {
  const folder = join(root, String(folders++));
  mkdirSync(folder);
  writeFileSync(join(folder, 'config.json'), JSON.stringify(parts.config ?? configJson(config)));
  const store = parts.store ?? ((data: Float32Array) => data);
  const named = [...tensors].map(([name, { shape, data }]) => [(parts.prefix ?? '') + name, { shape, data: store(data) }] as const);
  const all = [...named, ...(parts.extra ?? new Map())] as (readonly [string, WritableTensor])[];
  const shards = parts.shards ?? 1;
  if (shards === 1) writeSafetensors(join(folder, 'model.safetensors'), new Map(all));
  else {
    const files = Array.from({ length: shards }, (_, i) => `model-0000${i + 1}-of-0000${shards}.safetensors`);
    for (const [i, file] of files.entries()) writeSafetensors(join(folder, file), new Map(all.filter((__, n) => n % shards === i)));
    const weightMap = Object.fromEntries(all.map(([name], n) => [name, files[n % shards]]));
    writeFileSync(join(folder, 'model.safetensors.index.json'), JSON.stringify({ metadata: {}, weight_map: weightMap }));
  }
  return folder;
}

function halves(data: Float32Array): WritableTensor['data'] {
  return { dtype: 'F16', bytes: new Uint8Array(Uint16Array.from(data, floatToHalf).buffer) };
}

/** The upper half of each float32: what bf16 keeps when it cuts. */
function brainFloats(data: Float32Array): WritableTensor['data'] {
  return { dtype: 'BF16', bytes: new Uint8Array(Uint16Array.from(new Uint32Array(data.buffer.slice(0)), (bits) => bits >>> 16).buffer) };
}

function picturesOf(config: ClipVisionConfig, count: number, seed: number): Float32Array {
  const next = random(seed);
  return Float32Array.from({ length: count * 3 * config.imageSize ** 2 }, () => next() * 4 - 2);
}

async function pooledOf(folder: string, pixels: Float32Array, count: number): Promise<Float32Array> {
  const encoder = await loadVisionEncoder({ source: folder, threads: 1 });
  const pooled = await encoder.encode(pixels, count);
  await encoder.close();
  return pooled;
}

function worstDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  expect(a.length).toBe(b.length);
  let scale = 0;
  let worst = 0;
  for (let i = 0; i < a.length; i++) {
    scale = Math.max(scale, Math.abs(b[i]!));
    worst = Math.max(worst, Math.abs(a[i]! - b[i]!));
  }
  return worst / scale;
}

const tensors = randomTower(tiny, random(3));
const pixels = picturesOf(tiny, 2, 4);
const volume = 3 * tiny.imageSize ** 2;
const expected = [0, 1].flatMap((i) => referencePooled(tiny, tensors, pixels.subarray(i * volume, (i + 1) * volume)));

describe('CLIP\'s vision tower', () => {
  test.each(['gelu', 'quick_gelu', 'gelu_new', 'relu'] as const)('with %s gives what plain loops give', async (activation) => {
    const config = { ...tiny, activation };
    const folder = writeFolder(config, tensors);
    expect(worstDifference(await pooledOf(folder, pixels.subarray(0, volume), 1), referencePooled(config, tensors, pixels.subarray(0, volume)))).toBeLessThan(1e-5);
  });

  test.each([{ imageSize: 16, patchSize: 16 }, { imageSize: 28, patchSize: 4 }, { imageSize: 21, patchSize: 7 }])('with $imageSize pixels in patches of $patchSize', async (size) => {
    const config = { ...tiny, ...size };
    const weights = randomTower(config, random(8));
    const picture = picturesOf(config, 1, 9);
    expect(worstDifference(await pooledOf(writeFolder(config, weights), picture, 1), referencePooled(config, weights, picture))).toBeLessThan(1e-5);
  });

  test('a prefix, other towers in the file and shards change nothing', async () => {
    const textTower: Tensors = new Map([
      ['text_model.embeddings.position_embedding.weight', { shape: [5, 4], data: new Float32Array(20) }],
      ['visual_projection.weight', { shape: [3, 12], data: new Float32Array(36) }],
    ]);
    const whole = { model_type: 'clip', text_config: { model_type: 'clip_text_model', hidden_size: 4 }, vision_config: configJson(tiny), projection_dim: 3 };
    for (const parts of [{ prefix: 'vision_model.' }, { prefix: 'vision_model.', extra: textTower, config: whole }, { prefix: 'clip.vision_model.', shards: 3 }]) {
      expect(worstDifference(await pooledOf(writeFolder(tiny, tensors, parts), pixels, 2), expected)).toBeLessThan(1e-5);
    }
  });

  test('the old vision_config_dict wins over vision_config', async () => {
    const config = { model_type: 'clip', vision_config: { ...configJson(tiny), num_attention_heads: 4 }, vision_config_dict: { num_attention_heads: 3 } };
    expect(worstDifference(await pooledOf(writeFolder(tiny, tensors, { config }), pixels, 2), expected)).toBeLessThan(1e-5);
  });

  test.each([['fp16', halves, 5e-3], ['bf16', brainFloats, 5e-2]] as const)('%s weights are widened', async (_, store, tolerance) => {
    const difference = worstDifference(await pooledOf(writeFolder(tiny, tensors, { store }), pixels, 2), expected);
    expect(difference).toBeLessThan(tolerance);
    expect(difference).toBeGreaterThan(0);
  });

  test('many pictures in small batches give what each gives alone', async () => {
    const encoder = await loadVisionEncoder({ source: writeFolder(tiny, tensors), threads: 1, maxBatch: 2 });
    const five = picturesOf(tiny, 5, 12);
    const together = await encoder.encode(five, 5);
    for (let i = 0; i < 5; i++) {
      const alone = await encoder.encode(five.slice(i * volume, (i + 1) * volume), 1);
      expect(worstDifference(together.subarray(i * 12, (i + 1) * 12), alone)).toBeLessThan(1e-6);
    }
    expect(await encoder.encode(new Float32Array(0), 0)).toHaveLength(0);
    await expect(encoder.encode(five, 4)).rejects.toMatchObject({ code: 'MODEL_VISION_SHAPE' });
    await encoder.close();
  });
});

describe('the encoder\'s hash', () => {
  const hashOf = async (source: string, picture = clipPreset(20)): Promise<string> => {
    const encoder = await loadVisionEncoder({ source, picture, threads: 1 });
    await encoder.close();
    return encoder.hash;
  };

  test('follows weights and preprocessing, not where or how the file lies', async () => {
    const original = await hashOf(writeFolder(tiny, tensors));
    expect(original).toMatch(/^[0-9a-f]{64}$/);
    expect(await hashOf(writeFolder(tiny, tensors, { prefix: 'vision_model.', shards: 2 }))).toBe(original);
    const changed = new Map(tensors);
    const bias = tensors.get('post_layernorm.bias')!;
    changed.set('post_layernorm.bias', { ...bias, data: bias.data.map((value, i) => (i === 0 ? value + 1e-6 : value)) });
    expect(await hashOf(writeFolder(tiny, changed))).not.toBe(original);
    expect(await hashOf(writeFolder(tiny, tensors), { ...clipPreset(20), filter: 'bilinear' })).not.toBe(original);
  });
});

describe('what does not fit is refused in words', () => {
  const codeOf = (source: string, options = {}): Promise<unknown> =>
    loadVisionEncoder({ source, threads: 1, ...options }).then(() => 'loaded', (error: { code: string }) => error.code);

  test('weights of other shapes than the configuration', async () => {
    expect(await codeOf(writeFolder(tiny, tensors, { config: configJson({ ...tiny, hiddenSize: 24 }) }))).toBe('MODEL_VISION_SHAPE');
    expect(await codeOf(writeFolder(tiny, tensors, { config: configJson({ ...tiny, numLayers: 3 }) }))).toBe('FORMAT_TENSOR_MISSING');
  });

  test.each([
    ['heads that do not divide', { num_attention_heads: 5 }], ['an unknown activation', { hidden_act: 'mish' }], ['no number', { image_size: 'large' }],
    ['a patch larger than the picture', { patch_size: 21 }], ['another family', { model_type: 'vit' }],
  ])('%s', async (_, change) => {
    expect(await codeOf(writeFolder(tiny, tensors, { config: { ...configJson(tiny), ...change } }))).toBe('MODEL_VISION_CONFIG');
  });

  test('a missing config.json, a picture size that disagrees, weights of something else', async () => {
    const folder = writeFolder(tiny, tensors);
    rmSync(join(folder, 'config.json'));
    expect(await codeOf(folder)).toBe('MODEL_VISION_CONFIG');
    expect(await codeOf(writeFolder(tiny, tensors), { picture: clipPreset(24) })).toBe('MODEL_VISION_CONFIG');
    expect(await codeOf(writeFolder(tiny, new Map([['lm_head.weight', { shape: [1], data: new Float32Array(1) }]])))).toBe('MODEL_VISION_FAMILY');
  });
});
