// What CLIP's two towers have in common: a pre-norm transformer whose weights stay in their files and are
// widened from half precision where they are stored so. Source of the names: Hugging Face's `CLIPEncoder`.
import { FromageError } from '../../errors.ts';
import type { ElementType, GraphBuilder, Value } from '../../onnx/graph/index.ts';

export type ClipActivation = 'quick_gelu' | 'gelu' | 'gelu_new' | 'relu';

export interface ClipTowerConfig {
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly numLayers: number;
  readonly numHeads: number;
  readonly activation: ClipActivation;
  readonly layerNormEpsilon: number;
}

/** Puts weights into a graph. */
export interface GraphWeights {
  /**
   * @param name without the checkpoint's prefix: `encoder.layers.0.layer_norm1.weight`
   * @returns an edge of the stored element type
   * @throws FromageError when the tensor is missing or of another shape
   */
  place(graph: GraphBuilder, name: string, shape: readonly number[]): { readonly value: Value; readonly type: ElementType };
}

export class TowerParts {
  readonly #graph: GraphBuilder;
  readonly #weights: GraphWeights;
  readonly #config: ClipTowerConfig;

  constructor(graph: GraphBuilder, weights: GraphWeights, config: ClipTowerConfig) {
    this.#graph = graph;
    this.#weights = weights;
    this.#config = config;
  }

  weight(name: string, shape: readonly number[]): Value {
    const { value, type } = this.#weights.place(this.#graph, name, shape);
    return type === 'float32' ? value : this.#graph.op('Cast', [value], { to: 1 }, { name: `${name}/float32` });
  }

  layerNorm(x: Value, name: string): Value {
    const { hiddenSize, layerNormEpsilon } = this.#config;
    const scale = this.weight(`${name}.weight`, [hiddenSize]);
    const bias = this.weight(`${name}.bias`, [hiddenSize]);
    return this.#graph.op('LayerNormalization', [x, scale, bias], { axis: -1, epsilon: { float: layerNormEpsilon } }, { name });
  }

  /** y = x · Wᵀ + b, the weight used as it is stored, `[outputs, inputs]`. */
  #linear(x: Value, name: string, inputs: number, outputs: number): Value {
    const weight = this.weight(`${name}.weight`, [outputs, inputs]);
    const bias = this.weight(`${name}.bias`, [outputs]);
    return this.#graph.op('Add', [this.#graph.op('FusedMatMul', [x, weight], { transB: 1 }, { domain: 'com.microsoft', name }), bias]);
  }

  /**
   * The pre-norm layers, `[batch, places, hidden]` -> the same.
   *
   * @param mask additive, broadcast to `[batch, heads, places, places]`; without it every place attends to all
   */
  layers(embedded: Value, mask?: Value): Value {
    let x = embedded;
    for (let i = 0; i < this.#config.numLayers; i++) {
      const name = `encoder.layers.${i}`;
      x = this.#graph.op('Add', [x, this.#attention(this.layerNorm(x, `${name}.layer_norm1`), `${name}.self_attn`, mask)]);
      x = this.#graph.op('Add', [x, this.#feedForward(this.layerNorm(x, `${name}.layer_norm2`), `${name}.mlp`)]);
    }
    return x;
  }

  #attention(x: Value, name: string, mask: Value | undefined): Value {
    const { hiddenSize, numHeads } = this.#config;
    const headDim = hiddenSize / numHeads;
    const [query, key, value] = ['q_proj', 'k_proj', 'v_proj'].map((part) => {
      const projected = this.#linear(x, `${name}.${part}`, hiddenSize, hiddenSize);
      // [batch, places, heads · headDim] -> [batch, heads, places, headDim]
      return this.#graph.op('Transpose', [this.#graph.op('Reshape', [projected, this.#graph.ints([0, 0, numHeads, headDim])])], { perm: [0, 2, 1, 3] });
    });
    const scores = this.#graph.op('FusedMatMul', [query!, key!], { transB: 1, alpha: { float: headDim ** -0.5 } }, { domain: 'com.microsoft', name: `${name}/scores` });
    const allowed = mask === undefined ? scores : this.#graph.op('Add', [scores, mask]);
    const mixed = this.#graph.op('MatMul', [this.#graph.op('Softmax', [allowed], { axis: -1 }), value!]);
    const joined = this.#graph.op('Reshape', [this.#graph.op('Transpose', [mixed], { perm: [0, 2, 1, 3] }), this.#graph.ints([0, 0, hiddenSize])]);
    return this.#linear(joined, `${name}.out_proj`, hiddenSize, hiddenSize);
  }

  #feedForward(x: Value, name: string): Value {
    const { hiddenSize, intermediateSize, activation } = this.#config;
    const wide = activate(this.#graph, this.#linear(x, `${name}.fc1`, hiddenSize, intermediateSize), activation);
    return this.#linear(wide, `${name}.fc2`, intermediateSize, hiddenSize);
  }
}

function activate(graph: GraphBuilder, x: Value, activation: ClipActivation): Value {
  switch (activation) {
    case 'quick_gelu':
      return graph.op('Mul', [x, graph.op('Sigmoid', [graph.op('Mul', [x, graph.scalar(1.702)])])]);
    case 'gelu':
      return graph.op('Gelu', [x], { approximate: 'none' });
    case 'gelu_new':
      return graph.op('Gelu', [x], { approximate: 'tanh' });
    case 'relu':
      return graph.op('Relu', [x]);
    default: {
      const unknown: never = activation;
      throw new FromageError({ code: 'MODEL_VISION_CONFIG', what: `the activation ${String(unknown)} is not known` });
    }
  }
}
