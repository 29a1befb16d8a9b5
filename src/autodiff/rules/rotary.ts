// Rotary positions (com.microsoft.RotaryEmbedding): a rotation's gradient is the rotation backwards.
import type { Rule } from '../adjoint.ts';

export const rotaryEmbedding: Rule = {
  through: [0],
  backward: (a) =>
    a.each(() =>
      a.graph.op('RotaryEmbedding', [a.gradient, a.input(1), a.input(2), a.op('Neg', [a.input(3)])], a.node.attributes, { domain: 'com.microsoft' }),
    ),
};
