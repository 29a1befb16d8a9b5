// The lowering for training: float32 weights where they lie, and only operators whose gradients
// src/autodiff knows. Few large ones: what a session costs to open grows faster than its nodes.
import { FromageError } from '../../errors.ts';
import type { GraphBuilder, Value } from '../../onnx/graph/index.ts';
import { floatProducts, type Linear, linearOps, type Norm, type Ops } from './ops.ts';

const contrib = 'com.microsoft';

export function primitiveOps(graph: GraphBuilder): Ops {
  const products = (x: Value, linear: Linear): Value[] => {
    if (linear.weight.kind !== 'float32') throw new FromageError({ code: 'MODEL_TRAINING_WEIGHTS', what: `${linear.name} is quantised`, why: 'gradients pass through float32 weights', todo: 'open the weights with the scheme fp32' });
    return floatProducts(graph, x, linear.name, linear.weight);
  };
  const normalise = (x: Value, norm: Norm): Value => {
    const length = norm.weight.length;
    const weight = graph.floats(`${norm.name}.weight`, [length], norm.weight);
    if (norm.kind === 'layer') {
      const bias = graph.floats(`${norm.name}.bias`, [length], norm.bias ?? new Float32Array(length));
      return graph.op('LayerNormalization', [x, weight, bias], { epsilon: { float: norm.epsilon }, axis: -1 }, { name: norm.name });
    }
    return graph.op('SimplifiedLayerNormalization', [x, weight], { epsilon: { float: norm.epsilon }, axis: -1, stash_type: 1 }, { name: norm.name });
  };
  const ops: Ops = {
    graph,
    ...linearOps(graph, products),
    norm: normalise,
    addNorm(x, delta, norm) {
      const sum = graph.op('Add', [x, delta]);
      return { sum, normed: normalise(sum, norm) };
    },
    rotate: (x, rotary, name) => graph.op('RotaryEmbedding', [x, rotary.positions, rotary.cos, rotary.sin], {}, { domain: contrib, name }),
    activate(x, activation) {
      if (activation === 'relu') return graph.op('Relu', [x]);
      if (activation === 'silu') return graph.op('QuickGelu', [x], { alpha: { float: 1 } }, { domain: contrib });
      return graph.op('Gelu', [x], { approximate: activation === 'gelu' ? 'none' : 'tanh' });
    },
  };
  return ops;
}
