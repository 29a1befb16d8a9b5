// Operators that work entry by entry: arithmetic with broadcasting and functions of one variable.
import type { Adjoint, Rule } from '../adjoint.ts';
import type { Value } from '../../onnx/graph/index.ts';

export const add: Rule = { backward: (a) => a.each(() => a.reduceTo(a.gradient, 0), () => a.reduceTo(a.gradient, 1)) };

export const sub: Rule = { backward: (a) => a.each(() => a.reduceTo(a.gradient, 0), () => a.reduceTo(a.op('Neg', [a.gradient]), 1)) };

export const mul: Rule = {
  backward: (a) => a.each(() => a.reduceTo(a.mul(a.gradient, a.input(1)), 0), () => a.reduceTo(a.mul(a.gradient, a.input(0)), 1)),
};

export const div: Rule = {
  backward(a) {
    const overB = () => a.op('Div', [a.gradient, a.input(1)]);
    return a.each(
      () => a.reduceTo(overB(), 0),
      () => a.reduceTo(a.op('Neg', [a.mul(overB(), a.output())]), 1),
    );
  },
};

/** The exponent's gradient needs a positive base. */
export const pow: Rule = {
  backward: (a) =>
    a.each(
      () => {
        const below = a.op('Pow', [a.input(0), a.op('Sub', [a.input(1), a.graph.scalar(1)])]);
        return a.reduceTo(a.mul(a.gradient, a.mul(a.input(1), below)), 0);
      },
      () => a.reduceTo(a.mul(a.gradient, a.mul(a.output(), a.op('Log', [a.input(0)]))), 1),
    ),
};

/** Variadic sum. */
export const sum: Rule = { backward: (a) => a.each(...a.node.inputs.map((_, i) => () => a.reduceTo(a.gradient, i))) };

export const where: Rule = {
  through: [1, 2],
  backward(a) {
    const zero = a.graph.scalar(0);
    return a.each(
      null,
      () => a.reduceTo(a.op('Where', [a.input(0), a.gradient, zero]), 1),
      () => a.reduceTo(a.op('Where', [a.input(0), zero, a.gradient]), 2),
    );
  },
};

/** A rule from the derivative alone. */
function unary(derivative: (a: Adjoint) => Value): Rule {
  return { backward: (a) => a.each(() => a.mul(a.gradient, derivative(a))) };
}

export const identity: Rule = { backward: (a) => a.each(() => a.gradient) };
export const neg: Rule = { backward: (a) => a.each(() => a.op('Neg', [a.gradient])) };
export const exp = unary((a) => a.output());
export const log: Rule = { backward: (a) => a.each(() => a.op('Div', [a.gradient, a.input(0)])) };
export const sqrt: Rule = { backward: (a) => a.each(() => a.op('Div', [a.mul(a.gradient, 0.5), a.output()])) };
export const reciprocal: Rule = { backward: (a) => a.each(() => a.op('Neg', [a.mul(a.gradient, a.mul(a.output(), a.output()))])) };
export const sin = unary((a) => a.op('Cos', [a.input(0)]));
export const cos = unary((a) => a.op('Neg', [a.op('Sin', [a.input(0)])]));
export const abs = unary((a) => a.op('Sign', [a.input(0)]));
