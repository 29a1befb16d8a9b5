// Attention in its two forms. Running: over our own cache and the new columns, which alone go out
// (EXPERIMENTS.md has why). Training: over the whole sequence under an additive mask.
import type { GraphBuilder, Value } from '../../onnx/graph/index.ts';
import type { ModelConfig } from '../language-model-config.ts';

/** q `[B, heads, S, headDim]`, k and v `[B, kvHeads, S, headDim]` -> `[B, S, heads · headDim]`. */
export type Attend = (layer: number, q: Value, k: Value, v: Value) => Value;

/**
 * Two-part attention. Query heads that share a key/value head are laid under one another, so keys are
 * never repeated. Adds inputs `past_k.i`, `past_v.i` `[B, kvHeads, T, headDim]`.
 *
 * @param mask additive `[B, 1, G·S, T + S]` (or broadcast to it), G = heads per key/value head
 * @param splitSizes int64 `[2]`: T and S
 * @param present is given the new keys and values of each layer, `[B, kvHeads, S, headDim]`
 */
export function cachedAttention(graph: GraphBuilder, config: ModelConfig, mask: Value, splitSizes: Value, present: { k: Value; v: Value }[]): Attend {
  const { numHeads, numKvHeads, headDim } = config;
  const grouped = numHeads !== numKvHeads;
  const alpha = { float: 1 / Math.sqrt(headDim) };
  return (layer, q, k, v) => {
    const at = `layers.${layer}/attention`;
    const past = ['B', numKvHeads, 'T', headDim];
    const pastK = graph.input(`past_k.${layer}`, 'float32', past);
    const pastV = graph.input(`past_v.${layer}`, 'float32', past);
    present.push({ k, v });
    const queries = grouped ? graph.op('Reshape', [q, graph.ints([0, numKvHeads, -1, headDim])]) : q;
    const scores = (keys: Value): Value => graph.op('FusedMatMul', [queries, keys], { transB: 1, alpha }, { domain: 'com.microsoft' });
    const masked = graph.op('Add', [graph.op('Concat', [scores(pastK), scores(k)], { axis: -1 }), mask]);
    const [onPast, onNew] = graph.ops('Split', [graph.op('Softmax', [masked], { axis: -1 }, { name: at }), splitSizes], { axis: -1 }, { outputs: 2 });
    const mixed = graph.op('Add', [graph.op('MatMul', [onPast!, pastV]), graph.op('MatMul', [onNew!, v])]);
    return joinHeads(graph, grouped ? graph.op('Reshape', [mixed, graph.ints([0, numHeads, -1, headDim])]) : mixed, config);
  };
}

/** @param mask additive `[B, 1, S, S]` */
export function wholeAttention(graph: GraphBuilder, config: ModelConfig, mask: Value): Attend {
  const { numHeads, numKvHeads, headDim } = config;
  const group = numHeads / numKvHeads;
  const alpha = { float: 1 / Math.sqrt(headDim) };
  const groupMask = group === 1 ? mask : graph.op('Concat', Array.from({ length: group }, () => mask), { axis: 2 });
  return (layer, q, k, v) => {
    const queries = group === 1 ? q : graph.op('Reshape', [q, graph.ints([0, numKvHeads, -1, headDim])]);
    const scores = graph.op('FusedMatMul', [queries, k], { transB: 1, alpha }, { domain: 'com.microsoft' });
    const weights = graph.op('Softmax', [graph.op('Add', [scores, groupMask])], { axis: -1 }, { name: `layers.${layer}/attention` });
    const mixed = graph.op('MatMul', [weights, v]);
    return joinHeads(graph, group === 1 ? mixed : graph.op('Reshape', [mixed, graph.ints([0, numHeads, -1, headDim])]), config);
  };
}

/** `[B, S, n · headDim]` -> `[B, n, S, headDim]`. */
export function splitHeads(graph: GraphBuilder, x: Value, config: ModelConfig): Value {
  return graph.op('Transpose', [graph.op('Reshape', [x, graph.ints([0, 0, -1, config.headDim])])], { perm: [0, 2, 1, 3] });
}

function joinHeads(graph: GraphBuilder, x: Value, config: ModelConfig): Value {
  return graph.op('Reshape', [graph.op('Transpose', [x], { perm: [0, 2, 1, 3] }), graph.ints([0, 0, config.numHeads * config.headDim])]);
}
