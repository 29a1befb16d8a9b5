// The lowering for running: fused kernels of com.microsoft, and block-quantised products.
import type { GraphBuilder, Value } from '../../onnx/graph/index.ts';
import { blockSize, meanColumns } from '../quantize.ts';
import { floatProducts, type Linear, linearOps, type Norm, type Ops } from './ops.ts';

const contrib = 'com.microsoft';

export interface FusedOptions {
  /** Of MatMulNBits: 4 computes on int8 activations (quick), 1 on float32 (exact, slow). */
  readonly accuracyLevel: number;
}

export function fusedOps(graph: GraphBuilder, options: FusedOptions): Ops {
  const zeros = new Map<number, Value>();
  /** The inputs with the means of their blocks behind them, twice: what `repackBlocks` multiplies by. */
  const withMeans = (x: Value, { name, weight }: Linear): Value => {
    const { padding } = meanColumns(weight.kind === 'blocks' ? weight.inputColumns : weight.columns);
    const means = graph.op('AveragePool', [x], { kernel_shape: [blockSize], strides: [blockSize] }, { name: `${name}/means` });
    if (padding === 0) return graph.op('Concat', [x, means, means], { axis: -1 }, { name: `${name}/inputs` });
    // Nothing of a padding's length is at hand but a slice of the inputs: made 0 once, used by all layers.
    const filled = zeros.get(padding) ?? graph.op('Mul', [graph.op('Slice', [x, graph.ints([0]), graph.ints([padding]), graph.ints([-1])]), graph.scalar(0)]);
    zeros.set(padding, filled);
    return graph.op('Concat', [x, means, filled, means], { axis: -1 }, { name: `${name}/inputs` });
  };
  const products = (x: Value, linear: Linear): Value[] => {
    const { name, weight } = linear;
    if (weight.kind === 'float32') return floatProducts(graph, x, name, weight);
    const operands = [graph.external(`${name}.data`, weight.data), graph.external(`${name}.scales`, weight.scales), graph.external(`${name}.zero_points`, weight.zeroPoints)];
    const attributes = { K: weight.columns, N: weight.rows, bits: weight.bits, block_size: weight.blockSize, accuracy_level: options.accuracyLevel };
    return [graph.op('MatMulNBits', [weight.columns === weight.inputColumns ? x : withMeans(x, linear), ...operands], attributes, { domain: contrib, name: `${name}/product` })];
  };
  const normInputs = (norm: Norm): Value[] => {
    const length = norm.weight.length;
    const weight = graph.floats(`${norm.name}.weight`, [length], norm.weight);
    return norm.bias === undefined ? [weight] : [weight, graph.floats(`${norm.name}.bias`, [length], norm.bias)];
  };
  const ops: Ops = {
    graph,
    ...linearOps(graph, products),
    norm(x, norm) {
      const attributes = { epsilon: { float: norm.epsilon }, axis: -1, stash_type: 1 };
      return graph.op(norm.kind === 'rms' ? 'SimplifiedLayerNormalization' : 'LayerNormalization', [x, ...normInputs(norm)], attributes, { name: norm.name });
    },
    addNorm(x, delta, norm) {
      const op = norm.kind === 'rms' ? 'SkipSimplifiedLayerNormalization' : 'SkipLayerNormalization';
      const [normed, , , sum] = graph.ops(op, [x, delta, ...normInputs(norm)], { epsilon: { float: norm.epsilon } }, { domain: contrib, outputs: 4, name: norm.name });
      return { normed: normed!, sum: sum! };
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
