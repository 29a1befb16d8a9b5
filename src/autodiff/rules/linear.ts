// Products of matrices. Weights that are shared by a batch get their gradient from one flat product;
// FusedMatMul with its transpose flags keeps ONNX Runtime from storing a transposed copy of a weight.
import type { Value } from '../../onnx/graph/index.ts';
import type { Adjoint, Rule } from '../adjoint.ts';

/** MatMul and com.microsoft.FusedMatMul (transA, transB, alpha), batched with broadcasting. */
export const matMul: Rule = {
  backward(a) {
    if (a.int('transBatchA', 0) !== 0 || a.int('transBatchB', 0) !== 0) throw a.unsupported('transBatchA and transBatchB are not covered');
    const left = a.shape(0);
    const right = a.shape(1);
    if ((left && left.length < 2) || (right && right.length < 2)) throw a.unsupported('a factor with fewer than two axes is not covered');
    const transA = a.int('transA', 0) === 1;
    const transB = a.int('transB', 0) === 1;
    const alpha = a.float('alpha', 1);
    const g = a.gradient;
    const flat = !transA && left !== undefined && left.length > 2 && right?.length === 2;
    return a.each(
      () => {
        const gradient = transA ? a.matMul(a.input(1), g, { transA: transB, transB: true, alpha }) : a.matMul(g, a.input(1), { transB: !transB, alpha });
        return flat ? gradient : a.reduceBatch(gradient, 0);
      },
      () => {
        const x = flat ? a.flatten(a.input(0), left.at(-1)) : a.input(0);
        const y = flat ? a.flatten(g, a.outputShape()?.at(-1)) : g;
        const gradient = transB ? a.matMul(y, x, { transA: true, transB: transA, alpha }) : a.matMul(x, y, { transA: !transA, alpha });
        return flat ? gradient : a.reduceBatch(gradient, 1);
      },
    );
  },
};

/** `alpha · A' · B' + beta · C`. */
export const gemm: Rule = {
  backward(a) {
    const transA = a.int('transA', 0) === 1;
    const transB = a.int('transB', 0) === 1;
    const alpha = a.float('alpha', 1);
    const g = a.gradient;
    return a.each(
      () => (transA ? a.matMul(a.input(1), g, { transA: transB, transB: true, alpha }) : a.matMul(g, a.input(1), { transB: !transB, alpha })),
      () => (transB ? a.matMul(g, a.input(0), { transA: true, transB: transA, alpha }) : a.matMul(a.input(0), g, { transA: !transA, alpha })),
      () => scaled(a, a.reduceTo(g, 2), a.float('beta', 1)),
    );
  },
};

function scaled(a: Adjoint, value: Value, factor: number): Value {
  return factor === 1 ? value : a.mul(value, factor);
}
