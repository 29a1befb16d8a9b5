// The lowering for training: float32 weights where they lie, and only operators whose gradients
// src/autodiff knows.
import { FromageError } from '../../errors.ts';
import type { GraphBuilder, Value } from '../../onnx/graph/index.ts';
import { floatProducts, type Linear, linearOps, type Norm, type Ops } from './ops.ts';

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
    const meanSquare = graph.op('ReduceMean', [graph.op('Mul', [x, x]), graph.ints([-1])], { keepdims: 1 });
    const root = graph.op('Sqrt', [graph.op('Add', [meanSquare, graph.scalar(norm.epsilon)])]);
    return graph.op('Mul', [graph.op('Div', [x, root]), weight], {}, { name: norm.name });
  };
  const ops: Ops = {
    graph,
    ...linearOps(graph, products),
    norm: normalise,
    addNorm(x, delta, norm) {
      const sum = graph.op('Add', [x, delta]);
      return { sum, normed: normalise(sum, norm) };
    },
    rotate(x, rotary, name) {
      const half = rotary.headDim / 2;
      const row = (table: Value): Value => graph.op('Reshape', [graph.op('Gather', [table, rotary.positions], { axis: 0 }), graph.ints([0, 1, -1, half])]);
      const cos = row(rotary.cos);
      const sin = row(rotary.sin);
      const [first, second] = graph.ops('Split', [x, graph.ints([half, half])], { axis: -1 }, { outputs: 2 }) as [Value, Value];
      const left = graph.op('Sub', [graph.op('Mul', [first, cos]), graph.op('Mul', [second, sin])]);
      const right = graph.op('Add', [graph.op('Mul', [second, cos]), graph.op('Mul', [first, sin])]);
      return graph.op('Concat', [left, right], { axis: -1 }, { name });
    },
    activate(x, activation) {
      if (activation === 'relu') return graph.op('Relu', [x]);
      if (activation === 'silu') return graph.op('Mul', [x, graph.op('Sigmoid', [x])]);
      const gate =
        activation === 'gelu'
          ? graph.op('Erf', [graph.op('Mul', [x, graph.scalar(Math.SQRT1_2)])])
          : graph.op('Tanh', [graph.op('Mul', [graph.op('Add', [x, graph.op('Mul', [graph.op('Mul', [x, graph.op('Mul', [x, x])]), graph.scalar(0.044715)])]), graph.scalar(Math.sqrt(2 / Math.PI))])]);
      return graph.op('Mul', [graph.op('Mul', [x, graph.scalar(0.5)]), graph.op('Add', [gate, graph.scalar(1)])]);
    },
  };
  return ops;
}
