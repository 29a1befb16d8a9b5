// CLIP's vision tower in plain loops and double precision, one picture at a time: what the ONNX graph is
// compared with for sizes and activations that no golden folder has. And a random tower to feed both.
import type { ClipVisionConfig } from '../../src/model/graphs/clip-vision.ts';

export type Tensors = Map<string, { readonly shape: readonly number[]; readonly data: Float32Array }>;

/** Random weights under the names of `CLIPVisionModel`, without prefix. */
export function randomTower(config: ClipVisionConfig, next: () => number): Tensors {
  const { hiddenSize: d, intermediateSize: f, patchSize: p } = config;
  const places = Math.floor(config.imageSize / p) ** 2 + 1;
  const tensors: Tensors = new Map();
  const add = (name: string, shape: readonly number[], around = 0, spread = 0.4): void => {
    const length = shape.reduce((a, b) => a * b, 1);
    tensors.set(name, { shape, data: Float32Array.from({ length }, () => around + (next() - 0.5) * spread) });
  };
  const norm = (name: string): void => (add(`${name}.weight`, [d], 1), add(`${name}.bias`, [d]));
  const linear = (name: string, inputs: number, outputs: number): void => (add(`${name}.weight`, [outputs, inputs], 0, 0.6), add(`${name}.bias`, [outputs]));
  add('embeddings.class_embedding', [d]);
  add('embeddings.patch_embedding.weight', [d, 3, p, p]);
  add('embeddings.position_embedding.weight', [places, d]);
  norm('pre_layrnorm');
  for (let i = 0; i < config.numLayers; i++) {
    const layer = `encoder.layers.${i}`;
    norm(`${layer}.layer_norm1`);
    for (const part of ['q_proj', 'k_proj', 'v_proj', 'out_proj']) linear(`${layer}.self_attn.${part}`, d, d);
    norm(`${layer}.layer_norm2`);
    linear(`${layer}.mlp.fc1`, d, f);
    linear(`${layer}.mlp.fc2`, f, d);
  }
  norm('post_layernorm');
  return tensors;
}

/** `[3, S, S]` -> pooled `[hiddenSize]`. */
export function referencePooled(config: ClipVisionConfig, tensors: Tensors, pixels: Float32Array): number[] {
  const get = (name: string): Float32Array => tensors.get(name)!.data;
  const { hiddenSize: d, patchSize: p, imageSize: s, numHeads } = config;
  const side = Math.floor(s / p);
  const norm = (row: readonly number[], name: string): number[] => {
    const mean = sum(row) / row.length;
    const variance = sum(row.map((v) => (v - mean) ** 2)) / row.length;
    return row.map((v, i) => ((v - mean) / Math.sqrt(variance + config.layerNormEpsilon)) * get(`${name}.weight`)[i]! + get(`${name}.bias`)[i]!);
  };
  const linear = (row: readonly number[], name: string): number[] => {
    const weight = get(`${name}.weight`);
    return Array.from(get(`${name}.bias`), (bias, o) => bias + sum(row.map((v, i) => v * weight[o * row.length + i]!)));
  };

  const patch = get('embeddings.patch_embedding.weight');
  const position = get('embeddings.position_embedding.weight');
  const rows = [Array.from(get('embeddings.class_embedding'))];
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      rows.push(Array.from({ length: d }, (_, o) => {
        let total = 0;
        for (let c = 0; c < 3; c++) for (let i = 0; i < p; i++) for (let j = 0; j < p; j++) total += patch[((o * 3 + c) * p + i) * p + j]! * pixels[(c * s + y * p + i) * s + x * p + j]!;
        return total;
      }));
    }
  }
  let states = rows.map((row, t) => norm(row.map((v, i) => v + position[t * d + i]!), 'pre_layrnorm'));
  for (let layer = 0; layer < config.numLayers; layer++) {
    const name = `encoder.layers.${layer}`;
    const inputs = states.map((row) => norm(row, `${name}.layer_norm1`));
    const [q, k, v] = ['q_proj', 'k_proj', 'v_proj'].map((part) => inputs.map((row) => linear(row, `${name}.self_attn.${part}`)));
    const width = d / numHeads;
    const mixed = states.map((_, t) => Array.from({ length: d }, (__, i) => {
      const head = Math.floor(i / width) * width;
      const scores = k!.map((key) => sum(key.slice(head, head + width).map((value, j) => value * q![t]![head + j]!)) / Math.sqrt(width));
      const top = Math.max(...scores);
      const weights = scores.map((score) => Math.exp(score - top));
      return sum(weights.map((weight, u) => weight * v![u]![i]!)) / sum(weights);
    }));
    states = states.map((row, t) => add(row, linear(mixed[t]!, `${name}.self_attn.out_proj`)));
    states = states.map((row) => add(row, linear(linear(norm(row, `${name}.layer_norm2`), `${name}.mlp.fc1`).map((v) => activate(v, config.activation)), `${name}.mlp.fc2`)));
  }
  return norm(states[0]!, 'post_layernorm');
}

function activate(x: number, activation: ClipVisionConfig['activation']): number {
  if (activation === 'relu') return Math.max(0, x);
  if (activation === 'quick_gelu') return x / (1 + Math.exp(-1.702 * x));
  if (activation === 'gelu_new') return 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
  return 0.5 * x * (1 + erf(x / Math.SQRT2));
}

/** By its power series, exact enough below 4. */
function erf(x: number): number {
  if (Math.abs(x) > 4) return Math.sign(x);
  let term = x;
  let total = x;
  for (let n = 1; n < 80; n++) {
    term *= (-x * x) / n;
    total += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * total;
}

function sum(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0);
}

function add(a: readonly number[], b: readonly number[]): number[] {
  return a.map((value, i) => value + b[i]!);
}
