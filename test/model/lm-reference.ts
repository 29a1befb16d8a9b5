// A plain forward pass of Llama and OPT in loops, over one whole sequence, in float64: what the graphs are
// held against. Written from the definitions, not from the graphs; slow and short.
import type { TinyModel } from '../tiny/language-model.ts';

type Row = number[];

export interface ReferenceOutput {
  /** `[positions][vocabSize]`. */
  readonly logits: Row[];
  /** By Hugging Face's index 0 … numLayers; the last one is after the final norm (and project_out). */
  readonly hidden: Row[][];
}

/** @param embeds `[positions, embedSize]`, without positions */
export function referenceForward(model: TinyModel, embeds: Float32Array): ReferenceOutput {
  return model.config['model_type'] === 'opt' ? opt(model, embeds) : llama(model, embeds);
}

function llama(model: TinyModel, embeds: Float32Array): ReferenceOutput {
  const config = model.config as Record<string, number> & { tie_word_embeddings: boolean };
  const { hidden_size: width, num_attention_heads: heads, num_key_value_heads: kvHeads, head_dim: headDim, rms_norm_eps: epsilon } = config as Record<string, number>;
  const { linear, weight } = reader(model);
  const norm = (x: Row, name: string): Row => {
    const scale = weight(name)!;
    const root = Math.sqrt(x.reduce((sum, v) => sum + v * v, 0) / x.length + epsilon!);
    return x.map((v, i) => (v / root) * scale[i]!);
  };
  const rotate = (head: Row, position: number): Row => {
    const half = headDim! / 2;
    return head.map((v, i) => {
      const angle = position * config['rope_theta']! ** (-(i % half) / half);
      return v * Math.cos(angle) + (i < half ? -head[i + half]! : head[i - half]!) * Math.sin(angle);
    });
  };
  let x = rowsOf(embeds, width!);
  const hidden = [x];
  for (let l = 0; l < config['num_hidden_layers']!; l++) {
    const at = `model.layers.${l}`;
    const normed = x.map((row) => norm(row, `${at}.input_layernorm.weight`));
    const project = (name: string) => normed.map((row) => pieces(linear(row, `${at}.self_attn.${name}`), headDim!));
    const q = project('q_proj').map((row, p) => row.map((head) => rotate(head, p)));
    const k = project('k_proj').map((row, p) => row.map((head) => rotate(head, p)));
    const mixed = attention(q, k, project('v_proj'), heads!, kvHeads!);
    x = x.map((row, p) => add(row, linear(mixed[p]!, `${at}.self_attn.o_proj`)));
    x = x.map((row) => {
      const inner = norm(row, `${at}.post_attention_layernorm.weight`);
      const gate = linear(inner, `${at}.mlp.gate_proj`);
      const up = linear(inner, `${at}.mlp.up_proj`);
      return add(row, linear(gate.map((g, i) => (g / (1 + Math.exp(-g))) * up[i]!), `${at}.mlp.down_proj`));
    });
    hidden.push(x);
  }
  x = x.map((row) => norm(row, 'model.norm.weight'));
  hidden[hidden.length - 1] = x;
  return { hidden, logits: x.map((row) => linear(row, config.tie_word_embeddings ? 'model.embed_tokens' : 'lm_head')) };
}

function opt(model: TinyModel, embeds: Float32Array): ReferenceOutput {
  const config = model.config as Record<string, number | boolean | string>;
  const width = config['hidden_size'] as number;
  const embedWidth = config['word_embed_proj_dim'] as number;
  const heads = config['num_attention_heads'] as number;
  const preNorm = config['do_layer_norm_before'] as boolean;
  const { linear, weight } = reader(model);
  const at = 'model.decoder';
  const norm = (x: Row, name: string): Row => {
    const mean = x.reduce((sum, v) => sum + v, 0) / x.length;
    const root = Math.sqrt(x.reduce((sum, v) => sum + (v - mean) ** 2, 0) / x.length + 1e-5);
    const scale = weight(`${name}.weight`);
    const shift = weight(`${name}.bias`);
    return x.map((v, i) => ((v - mean) / root) * (scale?.[i] ?? 1) + (shift?.[i] ?? 0));
  };
  const activate = (v: number): number => {
    if (config['activation_function'] === 'relu') return Math.max(0, v);
    if (config['activation_function'] === 'gelu_new') return 0.5 * v * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (v + 0.044715 * v ** 3)));
    return 0.5 * v * (1 + erf(v / Math.SQRT2));
  };
  const positions = rowsOf(weight(`${at}.embed_positions.weight`)!, width);
  let x = rowsOf(embeds, embedWidth).map((row, p) => add(embedWidth === width ? row : linear(row, `${at}.project_in`), positions[p + 2]!));
  const hidden = [x];
  for (let l = 0; l < (config['num_hidden_layers'] as number); l++) {
    const layer = `${at}.layers.${l}`;
    const before = preNorm ? x.map((row) => norm(row, `${layer}.self_attn_layer_norm`)) : x;
    const project = (name: string) => before.map((row) => pieces(linear(row, `${layer}.self_attn.${name}`), width / heads));
    const mixed = attention(project('q_proj'), project('k_proj'), project('v_proj'), heads, heads);
    x = x.map((row, p) => add(row, linear(mixed[p]!, `${layer}.self_attn.out_proj`)));
    if (!preNorm) x = x.map((row) => norm(row, `${layer}.self_attn_layer_norm`));
    x = x.map((row) => add(row, linear(linear(preNorm ? norm(row, `${layer}.final_layer_norm`) : row, `${layer}.fc1`).map(activate), `${layer}.fc2`)));
    if (!preNorm) x = x.map((row) => norm(row, `${layer}.final_layer_norm`));
    hidden.push(x);
  }
  if (preNorm && config['_remove_final_layer_norm'] !== true) x = x.map((row) => norm(row, `${at}.final_layer_norm`));
  if (embedWidth !== width) x = x.map((row) => linear(row, `${at}.project_out`));
  hidden[hidden.length - 1] = x;
  return { hidden, logits: x.map((row) => linear(row, config['tie_word_embeddings'] === true ? `${at}.embed_tokens` : 'lm_head')) };
}

/** Causal attention; query head h reads key/value head floor(h · kvHeads / heads). */
function attention(q: Row[][], k: Row[][], v: Row[][], heads: number, kvHeads: number): Row[] {
  return q.map((queries, p) =>
    queries.flatMap((query, h) => {
      const shared = Math.floor((h * kvHeads) / heads);
      const scores = k.slice(0, p + 1).map((keys) => dot(query, keys[shared]!) / Math.sqrt(query.length));
      const top = Math.max(...scores);
      const weights = scores.map((score) => Math.exp(score - top));
      const sum = weights.reduce((total, w) => total + w, 0);
      return query.map((_, i) => weights.reduce((total, w, s) => total + (w / sum) * v[s]![shared]![i]!, 0));
    }),
  );
}

function reader(model: TinyModel) {
  const weight = (name: string): Float32Array | undefined => model.tensors.get(name)?.data;
  const linear = (x: Row, name: string): Row => {
    const matrix = weight(`${name}.weight`)!;
    const bias = weight(`${name}.bias`);
    return Array.from({ length: matrix.length / x.length }, (_, o) => x.reduce((sum, value, i) => sum + value * matrix[o * x.length + i]!, bias?.[o] ?? 0));
  };
  return { weight, linear };
}

function rowsOf(data: Float32Array, width: number): Row[] {
  return pieces([...data], width);
}

function pieces(row: Row, width: number): Row[] {
  return Array.from({ length: row.length / width }, (_, i) => row.slice(i * width, (i + 1) * width));
}

function add(a: Row, b: Row): Row {
  return a.map((v, i) => v + b[i]!);
}

function dot(a: Row, b: Row): number {
  return a.reduce((sum, v, i) => sum + v * b[i]!, 0);
}

/** Its Taylor series: exact enough for arguments of tiny models. */
function erf(x: number): number {
  let term = x;
  let sum = x;
  for (let n = 1; n < 200; n++) {
    term *= (-x * x) / n;
    sum += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * sum;
}
