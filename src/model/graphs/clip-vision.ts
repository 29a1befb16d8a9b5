// CLIP's vision tower as an ONNX graph: patches and a class token with learned positions, a pre-norm
// transformer, and the class token after the post layer norm as the pooled output. Weights stay in their
// files and are widened from half precision where they are stored so.
import { FromageError } from '../../errors.ts';
import { type ElementType, type Graph, GraphBuilder, type Value } from '../../onnx/graph/index.ts';

export type ClipActivation = 'quick_gelu' | 'gelu' | 'gelu_new' | 'relu';

export interface ClipVisionConfig {
  /** The paper's V. */
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly numLayers: number;
  readonly numHeads: number;
  /** Side of the picture in pixels. */
  readonly imageSize: number;
  readonly patchSize: number;
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

/** Patches along one side; what is left over at the right and the bottom is not seen, as in PyTorch. */
export function patchesPerSide(config: Pick<ClipVisionConfig, 'imageSize' | 'patchSize'>): number {
  return Math.floor(config.imageSize / config.patchSize);
}

/**
 * Builds `pixel_values [batch, 3, S, S]` -> `pooled_output [batch, hiddenSize]`, float32 throughout.
 * Source of names and order: Hugging Face's `CLIPVisionModel` (its `pre_layrnorm` is spelled so).
 */
export function clipVisionGraph(config: ClipVisionConfig, weights: GraphWeights): Graph {
  const { hiddenSize, imageSize, patchSize, numLayers } = config;
  const graph = new GraphBuilder('clip-vision');
  const parts = new TowerParts(graph, weights, config);
  const places = patchesPerSide(config) ** 2 + 1;
  const pixels = graph.input('pixel_values', 'float32', ['batch', 3, imageSize, imageSize]);

  const patchWeight = parts.weight('embeddings.patch_embedding.weight', [hiddenSize, 3, patchSize, patchSize]);
  const grid = graph.op('Conv', [pixels, patchWeight], { kernel_shape: [patchSize, patchSize], strides: [patchSize, patchSize] }, { name: 'patches' });
  // [batch, hidden, rows, columns] -> [batch, rows · columns, hidden]
  const patches = graph.op('Transpose', [graph.op('Reshape', [grid, graph.ints([0, hiddenSize, -1])])], { perm: [0, 2, 1] });
  const batch = graph.op('Shape', [pixels], { start: 0, end: 1 });
  const classShape = graph.op('Concat', [batch, graph.ints([1, hiddenSize])], { axis: 0 });
  const classToken = graph.op('Expand', [parts.weight('embeddings.class_embedding', [hiddenSize]), classShape]);
  const embedded = graph.op('Concat', [classToken, patches], { axis: 1 });
  const positions = parts.weight('embeddings.position_embedding.weight', [places, hiddenSize]);

  let x = parts.layerNorm(graph.op('Add', [embedded, positions]), 'pre_layrnorm');
  for (let i = 0; i < numLayers; i++) {
    const name = `encoder.layers.${i}`;
    x = graph.op('Add', [x, parts.attention(parts.layerNorm(x, `${name}.layer_norm1`), `${name}.self_attn`)]);
    x = graph.op('Add', [x, parts.feedForward(parts.layerNorm(x, `${name}.layer_norm2`), `${name}.mlp`)]);
  }
  const first = graph.op('Gather', [x, graph.ints([0], [])], { axis: 1 });
  graph.output(parts.layerNorm(first, 'post_layernorm'), 'pooled_output', 'float32', ['batch', hiddenSize]);
  return graph.build();
}

class TowerParts {
  readonly #graph: GraphBuilder;
  readonly #weights: GraphWeights;
  readonly #config: ClipVisionConfig;

  constructor(graph: GraphBuilder, weights: GraphWeights, config: ClipVisionConfig) {
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

  /** Every place attends to all: `[batch, places, hidden]` -> the same. */
  attention(x: Value, name: string): Value {
    const { hiddenSize, numHeads } = this.#config;
    const headDim = hiddenSize / numHeads;
    const [query, key, value] = ['q_proj', 'k_proj', 'v_proj'].map((part) => {
      const projected = this.#linear(x, `${name}.${part}`, hiddenSize, hiddenSize);
      // [batch, places, heads · headDim] -> [batch, heads, places, headDim]
      return this.#graph.op('Transpose', [this.#graph.op('Reshape', [projected, this.#graph.ints([0, 0, numHeads, headDim])])], { perm: [0, 2, 1, 3] });
    });
    const scores = this.#graph.op('FusedMatMul', [query!, key!], { transB: 1, alpha: { float: headDim ** -0.5 } }, { domain: 'com.microsoft', name: `${name}/scores` });
    const mixed = this.#graph.op('MatMul', [this.#graph.op('Softmax', [scores], { axis: -1 }), value!]);
    const joined = this.#graph.op('Reshape', [this.#graph.op('Transpose', [mixed], { perm: [0, 2, 1, 3] }), this.#graph.ints([0, 0, hiddenSize])]);
    return this.#linear(joined, `${name}.out_proj`, hiddenSize, hiddenSize);
  }

  feedForward(x: Value, name: string): Value {
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
