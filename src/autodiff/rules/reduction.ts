// Sums and means over axes: the gradient goes back to every entry that was summed.
import type { Adjoint, Rule } from '../adjoint.ts';
import type { Value } from '../../onnx/graph/index.ts';

export const reduceSum: Rule = { through: [0], backward: (a) => a.each(() => spread(a, a.gradient)) };

export const reduceMean: Rule = {
  through: [0],
  backward: (a) =>
    a.each(() => {
      const count = (value: Value) => a.op('Cast', [a.op('Size', [value])], { to: 1 });
      const from = a.shape(0);
      const to = a.outputShape();
      const product = (dims: readonly (number | string)[] | undefined) => dims?.reduce<number>((n, dim) => (typeof dim === 'number' ? n * dim : Number.NaN), 1) ?? Number.NaN;
      const axes = axesOf(a);
      const divisor = from && axes && axes.length > 0 ? product(axes.map((axis) => from.at(axis)!)) : product(from) / product(to);
      const scaled = Number.isFinite(divisor) ? a.mul(a.gradient, 1 / divisor) : a.op('Div', [a.gradient, a.op('Div', [count(a.input(0)), count(a.output())])]);
      return spread(a, scaled);
    }),
};

function axesOf(a: Adjoint): readonly number[] | undefined {
  return a.has(1) ? a.constant(1) : (a.ints('axes') ?? []);
}

function spread(a: Adjoint, gradient: Value): Value {
  const axes = axesOf(a);
  if (!axes) throw a.unsupported('the axes of the sum are not a constant');
  if (axes.length === 0 && a.int('noop_with_empty_axes', 0) === 1) return gradient;
  const open = axes.length > 0 && a.int('keepdims', 1) === 0 ? a.op('Unsqueeze', [gradient, a.graph.ints(axes)]) : gradient;
  return a.op('Expand', [open, a.shapeTensor(0)]);
}
