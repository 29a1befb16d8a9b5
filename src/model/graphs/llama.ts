// The Llama family as ONNX: RMS norms, rotary positions by halves, grouped key/value heads, SwiGLU.
// Mistral and Qwen2 differ by configuration alone (head width, biases).
import type { LlamaConfig } from '../language-model-config.ts';
import type { MatrixPart, MatrixSpec, VectorPart, WeightsLayout } from '../weights-layout.ts';
import { type Architecture, linearOf } from './architecture.ts';
import { splitHeads } from './attention.ts';
import type { Norm } from './ops.ts';

const names = {
  huggingface: { q: 'self_attn.q_proj', k: 'self_attn.k_proj', v: 'self_attn.v_proj', o: 'self_attn.o_proj', gate: 'mlp.gate_proj', up: 'mlp.up_proj', down: 'mlp.down_proj', attentionNorm: 'input_layernorm', mlpNorm: 'post_attention_layernorm' },
  gguf: { q: 'attn_q', k: 'attn_k', v: 'attn_v', o: 'attn_output', gate: 'ffn_gate', up: 'ffn_up', down: 'ffn_down', attentionNorm: 'attn_norm', mlpNorm: 'ffn_norm' },
} as const;

export const llama: Architecture<LlamaConfig> = {
  layout(config, has): WeightsLayout {
    const { hiddenSize, intermediateSize, headDim, numHeads, numKvHeads, vocabSize } = config;
    const gguf = config.layout === 'gguf';
    const prefix = gguf || !has('model.embed_tokens.weight') ? '' : 'model.';
    const embedding = gguf ? 'token_embd.weight' : `${prefix}embed_tokens.weight`;
    const headTensor = config.tiedHead ? embedding : gguf ? 'output.weight' : 'lm_head.weight';
    const name = names[config.layout];
    const matrices = new Map<string, MatrixSpec>();
    const vectors = new Map<string, VectorPart[]>();
    for (let i = 0; i < config.numLayers; i++) {
      const at = gguf ? `blk.${i}` : `${prefix}layers.${i}`;
      const linear = (key: string, columns: number, bias: boolean, parts: readonly MatrixPart[]): void => {
        matrices.set(`layers.${i}.${key}`, { parts: parts.map((part) => ({ ...part, tensor: `${at}.${part.tensor}.weight` })), columns, precision: 'linear' });
        if (bias) vectors.set(`layers.${i}.${key}.bias`, parts.map(({ tensor, rows, ...rest }) => ({ ...rest, tensor: `${at}.${tensor}.bias`, length: rows })));
      };
      const interleaved = gguf ? { interleaved: headDim } : {};
      linear('qkv', hiddenSize, config.qkvBias, [
        { tensor: name.q, rows: numHeads * headDim, ...interleaved },
        { tensor: name.k, rows: numKvHeads * headDim, ...interleaved },
        { tensor: name.v, rows: numKvHeads * headDim },
      ]);
      linear('o', numHeads * headDim, config.outputBias, [{ tensor: name.o, rows: hiddenSize }]);
      linear('gate_up', hiddenSize, config.mlpBias, [
        { tensor: name.gate, rows: intermediateSize },
        { tensor: name.up, rows: intermediateSize },
      ]);
      linear('down', intermediateSize, config.mlpBias, [{ tensor: name.down, rows: hiddenSize }]);
      vectors.set(`layers.${i}.attention_norm`, [{ tensor: `${at}.${name.attentionNorm}.weight`, length: hiddenSize }]);
      vectors.set(`layers.${i}.mlp_norm`, [{ tensor: `${at}.${name.mlpNorm}.weight`, length: hiddenSize }]);
    }
    matrices.set('head', { parts: [{ tensor: headTensor, rows: vocabSize }], columns: hiddenSize, precision: 'head' });
    vectors.set('norm', [{ tensor: gguf ? 'output_norm.weight' : `${prefix}norm.weight`, length: hiddenSize }]);
    return { matrices, vectors, embedding };
  },

  describe(ops, config, weights, inputs, attend) {
    const { graph } = ops;
    const { numHeads, numKvHeads, headDim, intermediateSize, numLayers } = config;
    const tables = rotaryTables(config);
    const shape = [config.contextWindow, headDim / 2];
    const rotary = { cos: graph.floats('rotary.cos', shape, tables.cos), sin: graph.floats('rotary.sin', shape, tables.sin), positions: inputs.positions, headDim };
    const norm = (name: string): Norm => ({ kind: 'rms', name, weight: weights.vector(name), epsilon: config.rmsNormEpsilon });
    const hidden = [inputs.embeds];
    let sum = inputs.embeds;
    let normed = ops.norm(sum, norm('layers.0.attention_norm'));
    for (let i = 0; i < numLayers; i++) {
      const at = `layers.${i}`;
      const heads = splitHeads(graph, ops.linear(normed, linearOf(weights, `${at}.qkv`, config.qkvBias)), config);
      const [queriesAndKeys, v] = graph.ops('Split', [heads, graph.ints([numHeads + numKvHeads, numKvHeads])], { axis: 1 }, { outputs: 2 });
      const rotated = ops.rotate(queriesAndKeys!, rotary, `${at}/rotary`);
      const [q, k] = graph.ops('Split', [rotated, graph.ints([numHeads, numKvHeads])], { axis: 1 }, { outputs: 2 });
      const attended = ops.linear(attend(i, q!, k!, v!), linearOf(weights, `${at}.o`, config.outputBias));
      const middle = ops.addNorm(sum, attended, norm(`${at}.mlp_norm`));
      const [gate, up] = ops.linearSplit(middle.normed, linearOf(weights, `${at}.gate_up`, config.mlpBias), [intermediateSize, intermediateSize]);
      const inner = graph.op('Mul', [ops.activate(gate!, 'silu'), up!]);
      const down = ops.linear(inner, linearOf(weights, `${at}.down`, config.mlpBias));
      ({ sum, normed } = ops.addNorm(middle.sum, down, norm(i + 1 < numLayers ? `layers.${i + 1}.attention_norm` : 'norm')));
      if (i + 1 < numLayers) hidden.push(sum);
    }
    return { hidden, final: normed };
  },
};

/** cos and sin of position · theta^(−2j / headDim), `[contextWindow, headDim / 2]`. */
function rotaryTables(config: LlamaConfig): { cos: Float32Array; sin: Float32Array } {
  const half = config.headDim / 2;
  const cos = new Float32Array(config.contextWindow * half);
  const sin = new Float32Array(config.contextWindow * half);
  // The reference computes frequencies and angles in float32; so do we, to agree far from the start.
  const frequencies = Float32Array.from({ length: half }, (_, j) => 1 / Math.fround(config.ropeTheta ** Math.fround((2 * j) / config.headDim)));
  for (let position = 0; position < config.contextWindow; position++) {
    for (let j = 0; j < half; j++) {
      const angle = Math.fround(position * frequencies[j]!);
      cos[position * half + j] = Math.cos(angle);
      sin[position * half + j] = Math.sin(angle);
    }
  }
  return { cos, sin };
}
