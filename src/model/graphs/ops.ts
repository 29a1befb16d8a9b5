// The words in which a transformer layer is described once. `fused` lowers them to the quickest kernels
// for running, `primitive` to plain ONNX operators that reverse mode can differentiate (src/autodiff).
import type { GraphBuilder, Value } from '../../onnx/graph/index.ts';
import type { MatrixWeight } from '../language-model-weights.ts';

export interface Norm {
  readonly kind: 'rms' | 'layer';
  readonly weight: Float32Array;
  /** Layer norms only. */
  readonly bias?: Float32Array;
  readonly epsilon: number;
  /** Path of the node. */
  readonly name: string;
}

export interface Linear {
  readonly name: string;
  readonly weight: MatrixWeight;
  readonly bias?: Float32Array;
}

/** Rotary positions by halves: tables `[positions, headDim / 2]` and the positions of a run `[B, S]`. */
export interface Rotary {
  readonly cos: Value;
  readonly sin: Value;
  readonly positions: Value;
  readonly headDim: number;
}

export type Activation = 'silu' | 'relu' | 'gelu' | 'gelu_new';

export interface Ops {
  readonly graph: GraphBuilder;
  /** `[…, columns]` -> `[…, rows]`. */
  linear(x: Value, linear: Linear): Value;
  /** The same, cut into pieces of the given widths along the last axis. */
  linearSplit(x: Value, linear: Linear, widths: readonly number[]): Value[];
  norm(x: Value, norm: Norm): Value;
  /** Residual sum, then norm: both are wanted. */
  addNorm(x: Value, delta: Value, norm: Norm): { readonly sum: Value; readonly normed: Value };
  /** `[B, H, S, headDim]`, rotated. */
  rotate(x: Value, rotary: Rotary, name: string): Value;
  activate(x: Value, activation: Activation): Value;
}

/** float32 parts of a matrix as initializers, shared when one is used twice (a tied head in training). */
export function matrixParts(graph: GraphBuilder, name: string, weight: MatrixWeight & { kind: 'float32' }): Value[] {
  return weight.parts.map((part, i) => graph.external(weight.parts.length === 1 ? `${name}.weight` : `${name}.weight.${i}`, part));
}

/** x · Wᵀ for float32 weights, parts joined along the last axis. */
export function floatProducts(graph: GraphBuilder, x: Value, name: string, weight: MatrixWeight & { kind: 'float32' }): Value[] {
  return matrixParts(graph, name, weight).map((part) => graph.op('FusedMatMul', [x, part], { transB: 1 }, { domain: 'com.microsoft', name: `${name}/product` }));
}

/** The two ways to a linear layer, given its products: one matrix's, or several to be joined. */
export function linearOps(graph: GraphBuilder, products: (x: Value, linear: Linear) => Value[]): Pick<Ops, 'linear' | 'linearSplit'> {
  const joined = (parts: readonly Value[], linear: Linear): Value => {
    const whole = parts.length === 1 ? parts[0]! : graph.op('Concat', parts, { axis: -1 }, { name: `${linear.name}/joined` });
    if (linear.bias === undefined) return whole;
    return graph.op('Add', [whole, graph.floats(`${linear.name}.bias`, [linear.bias.length], linear.bias)], {}, { name: `${linear.name}/biased` });
  };
  return {
    linear: (x, linear) => joined(products(x, linear), linear),
    linearSplit(x, linear, widths) {
      const parts = products(x, linear);
      if (parts.length === widths.length && linear.bias === undefined) return parts;
      return graph.ops('Split', [joined(parts, linear), graph.ints(widths)], { axis: -1 }, { outputs: widths.length, name: `${linear.name}/split` });
    },
  };
}
