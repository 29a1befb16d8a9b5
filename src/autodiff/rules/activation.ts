// The activation functions of transformers. Erf and the two forms of GELU share one density.
import type { Value } from '../../onnx/graph/index.ts';
import type { Adjoint, Rule } from '../adjoint.ts';

/** 0 at 0, as PyTorch. */
export const relu: Rule = { backward: (a) => a.each(() => a.mul(a.gradient, a.op('Sign', [a.output()]))) };

export const sigmoid: Rule = { backward: (a) => a.each(() => a.mul(a.gradient, a.mul(a.output(), oneMinus(a, a.output())))) };

export const tanh: Rule = { backward: (a) => a.each(() => a.mul(a.gradient, oneMinus(a, a.mul(a.output(), a.output())))) };

export const softplus: Rule = { backward: (a) => a.each(() => a.mul(a.gradient, a.op('Sigmoid', [a.input(0)]))) };

export const erf: Rule = {
  backward: (a) => a.each(() => a.mul(a.gradient, a.mul(a.op('Exp', [a.op('Neg', [a.mul(a.input(0), a.input(0))])]), 2 / Math.sqrt(Math.PI)))),
};

/** Both the exact form and the one by tanh. */
export const gelu: Rule = {
  backward(a) {
    const x = a.input(0);
    const square = () => a.mul(x, x);
    const half = (value: Value) => a.mul(a.op('Add', [value, a.graph.scalar(1)]), 0.5);
    return a.each(() => {
      if (a.node.attributes['approximate'] === 'tanh') {
        const c = Math.sqrt(2 / Math.PI);
        const inner = a.op('Tanh', [a.mul(a.mul(x, a.op('Add', [a.mul(square(), 0.044715), a.graph.scalar(1)])), c)]);
        const slope = a.mul(a.op('Add', [a.mul(square(), 3 * 0.044715), a.graph.scalar(1)]), c / 2);
        const bend = a.mul(a.mul(x, oneMinus(a, a.mul(inner, inner))), slope);
        return a.mul(a.gradient, a.op('Add', [half(inner), bend]));
      }
      const cumulative = half(a.op('Erf', [a.mul(x, Math.SQRT1_2)]));
      const density = a.mul(a.op('Exp', [a.mul(square(), -0.5)]), 1 / Math.sqrt(2 * Math.PI));
      return a.mul(a.gradient, a.op('Add', [cumulative, a.mul(x, density)]));
    });
  },
};

/** com.microsoft.QuickGelu: `x · sigmoid(alpha · x)`; SiLU at alpha 1. */
export const quickGelu: Rule = {
  backward: (a) =>
    a.each(() => {
      // With s = sigmoid(αx) and the output y = x · s the slope is s + α · (y − y · s).
      const alpha = a.float('alpha', 1.702);
      const times = (value: Value) => (alpha === 1 ? value : a.mul(value, alpha));
      const gate = a.op('Sigmoid', [times(a.input(0))]);
      const bend = times(a.op('Sub', [a.output(), a.mul(a.output(), gate)]));
      return a.mul(a.op('Add', [bend, gate]), a.gradient);
    }),
};

/** `y ⊙ (g − Σ g ⊙ y)` along the axis. */
export const softmax: Rule = {
  backward: (a) =>
    a.each(() => {
      const weighted = a.mul(a.gradient, a.output());
      return a.op('Sub', [weighted, a.mul(a.output(), a.sum(weighted, [a.int('axis', -1)], true))]);
    }),
};

/** `g − softmax · Σ g` along the axis. */
export const logSoftmax: Rule = {
  backward: (a) => a.each(() => a.op('Sub', [a.gradient, a.mul(a.op('Exp', [a.output()]), a.sum(a.gradient, [a.int('axis', -1)], true))])),
};

function oneMinus(a: Adjoint, value: Value): Value {
  return a.op('Sub', [a.graph.scalar(1), value]);
}
