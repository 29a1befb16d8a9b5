// OPT as ONNX: learned positions with an offset of 2, layer norms before (or, as in opt-350m, after) the
// residual sums, and an embedding width that may differ from the width inside.
import type { OptConfig } from '../language-model-config.ts';
import type { MatrixSpec, VectorPart, WeightsLayout } from '../weights-layout.ts';
import { type Architecture, linearOf } from './architecture.ts';
import { splitHeads } from './attention.ts';
import { matrixParts, type Norm } from './ops.ts';

/** Rows of the position table before position 0: a remnant of the padding index in the original code. */
const positionOffset = 2;

/** PyTorch's default, which OPT keeps. */
const normEpsilon = 1e-5;

export const opt: Architecture<OptConfig> = {
  layout(config, has): WeightsLayout {
    const { innerSize, embedSize, ffnSize, vocabSize } = config;
    const prefix = has('model.decoder.embed_tokens.weight') ? 'model.decoder' : 'decoder';
    const embedding = `${prefix}.embed_tokens.weight`;
    const matrices = new Map<string, MatrixSpec>();
    const vectors = new Map<string, VectorPart[]>();
    const norm = (name: string, tensor: string): void => {
      if (!config.normAffine) return;
      vectors.set(name, [{ tensor: `${tensor}.weight`, length: innerSize }]);
      vectors.set(`${name}.bias`, [{ tensor: `${tensor}.bias`, length: innerSize }]);
    };
    for (let i = 0; i < config.numLayers; i++) {
      const at = `${prefix}.layers.${i}`;
      const linear = (key: string, rows: number, columns: number, tensors: readonly string[]): void => {
        matrices.set(`layers.${i}.${key}`, { parts: tensors.map((tensor) => ({ tensor: `${at}.${tensor}.weight`, rows })), columns, precision: 'linear' });
        if (config.bias) vectors.set(`layers.${i}.${key}.bias`, tensors.map((tensor) => ({ tensor: `${at}.${tensor}.bias`, length: rows })));
      };
      linear('qkv', innerSize, innerSize, ['self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj']);
      linear('o', innerSize, innerSize, ['self_attn.out_proj']);
      linear('fc1', ffnSize, innerSize, ['fc1']);
      linear('fc2', innerSize, ffnSize, ['fc2']);
      norm(`layers.${i}.attention_norm`, `${at}.self_attn_layer_norm`);
      norm(`layers.${i}.mlp_norm`, `${at}.final_layer_norm`);
    }
    const float = (name: string, tensor: string, rows: number, columns: number): void => {
      matrices.set(name, { parts: [{ tensor, rows }], columns, precision: 'float32' });
    };
    float('positions', `${prefix}.embed_positions.weight`, config.contextWindow + positionOffset, innerSize);
    if (embedSize !== innerSize) {
      float('project_in', `${prefix}.project_in.weight`, innerSize, embedSize);
      float('project_out', `${prefix}.project_out.weight`, embedSize, innerSize);
    }
    if (config.finalNorm) norm('norm', `${prefix}.final_layer_norm`);
    matrices.set('head', { parts: [{ tensor: config.tiedHead ? embedding : 'lm_head.weight', rows: vocabSize }], columns: embedSize, precision: 'head' });
    return { matrices, vectors, embedding };
  },

  describe(ops, config, weights, inputs, attend) {
    const { graph } = ops;
    const { innerSize, numLayers, numHeads } = config;
    const projected = config.embedSize !== innerSize;
    const linear = (name: string) => linearOf(weights, name, config.bias);
    const norm = (name: string): Norm => ({
      kind: 'layer',
      name,
      weight: config.normAffine ? weights.vector(name) : new Float32Array(innerSize).fill(1),
      bias: config.normAffine ? weights.vector(`${name}.bias`) : new Float32Array(innerSize),
      epsilon: normEpsilon,
    });
    const embedded = projected ? ops.linear(inputs.embeds, linearOf(weights, 'project_in', false)) : inputs.embeds;
    const positionTable = weights.matrix('positions');
    const [table] = positionTable.kind === 'float32' ? matrixParts(graph, 'positions', positionTable) : [];
    const rows = graph.op('Gather', [table!, graph.op('Add', [inputs.positions, graph.ints([positionOffset], [])])], { axis: 0 });

    const attention = (i: number, x: typeof embedded) => {
      const heads = splitHeads(graph, ops.linear(x, linear(`layers.${i}.qkv`)), config);
      const [q, k, v] = graph.ops('Split', [heads, graph.ints([numHeads, numHeads, numHeads])], { axis: 1 }, { outputs: 3 });
      return ops.linear(attend(i, q!, k!, v!), linear(`layers.${i}.o`));
    };
    const feedForward = (i: number, x: typeof embedded) => ops.linear(ops.activate(ops.linear(x, linear(`layers.${i}.fc1`)), config.activation), linear(`layers.${i}.fc2`));

    let state = graph.op('Add', [embedded, rows], {}, { name: 'embedded' });
    const hidden = [state];
    let last = state;
    if (config.preNorm) {
      let normed = ops.norm(state, norm('layers.0.attention_norm'));
      for (let i = 0; i < numLayers; i++) {
        const middle = ops.addNorm(state, attention(i, normed), norm(`layers.${i}.mlp_norm`));
        const delta = feedForward(i, middle.normed);
        const next = i + 1 < numLayers ? `layers.${i + 1}.attention_norm` : config.finalNorm ? 'norm' : null;
        if (next === null) last = graph.op('Add', [middle.sum, delta]);
        else ({ sum: state, normed } = ops.addNorm(middle.sum, delta, norm(next)));
        if (i + 1 < numLayers) hidden.push(state);
        else if (next !== null) last = normed;
      }
    } else {
      for (let i = 0; i < numLayers; i++) {
        const middle = ops.addNorm(state, attention(i, state), norm(`layers.${i}.attention_norm`)).normed;
        state = ops.addNorm(middle, feedForward(i, middle), norm(`layers.${i}.mlp_norm`)).normed;
        if (i + 1 < numLayers) hidden.push(state);
      }
      last = state;
    }
    return { hidden, final: projected ? ops.linear(last, linearOf(weights, 'project_out', false)) : last };
  },
};
