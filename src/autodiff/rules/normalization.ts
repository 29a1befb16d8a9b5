// Layer normalisation and its form without a mean (RMSNorm), with the statistics that the forward node
// already put out.
import type { Value } from '../../onnx/graph/index.ts';
import type { Adjoint, Rule } from '../adjoint.ts';

/** Outputs y, mean, inverse standard deviation. */
export const layerNormalization: Rule = {
  backward(a) {
    const inverse = a.output(2);
    const centred = a.op('Sub', [a.input(0), a.output(1)]);
    const unit = a.mul(centred, inverse);
    return normalization(a, unit, inverse, true);
  },
};

/** Outputs y, inverse root mean square. */
export const simplifiedLayerNormalization: Rule = {
  backward(a) {
    const inverse = a.output(1);
    return normalization(a, a.mul(a.input(0), inverse), inverse, false);
  },
};

/** `inverse · (gs − mean(gs) − unit · mean(gs · unit))` with `gs = g · scale`; the mean of gs only where the input was centred. */
function normalization(a: Adjoint, unit: Value, inverse: Value, centred: boolean) {
  const rank = a.rank(0);
  const first = a.int('axis', -1) < 0 ? a.int('axis', -1) + rank : a.int('axis', -1);
  const axes = Array.from({ length: rank - first }, (_, i) => first + i);
  const leading = Array.from({ length: first }, (_, i) => i);
  const scaled = () => a.mul(a.gradient, a.input(1));
  return a.each(
    () => {
      const gs = scaled();
      const along = a.mul(unit, a.mean(a.mul(gs, unit), axes));
      const rest = a.op('Sub', [gs, along]);
      return a.mul(centred ? a.op('Sub', [rest, a.mean(gs, axes)]) : rest, inverse);
    },
    () => sumLeading(a, a.mul(a.gradient, unit), leading),
    () => sumLeading(a, a.gradient, leading),
  );
}

function sumLeading(a: Adjoint, value: Value, leading: readonly number[]): Value {
  return leading.length === 0 ? value : a.sum(value, leading, false);
}
