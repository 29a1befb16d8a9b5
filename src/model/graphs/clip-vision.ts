// CLIP's vision tower as an ONNX graph: patches and a class token with learned positions, a pre-norm
// transformer, and the class token after the post layer norm as the pooled output. Weights stay in their
// files and are widened from half precision where they are stored so.
import { type Graph, GraphBuilder } from '../../onnx/graph/index.ts';
import { type ClipTowerConfig, type GraphWeights, TowerParts } from './clip-tower.ts';

/** `hiddenSize` is the paper's V. */
export interface ClipVisionConfig extends ClipTowerConfig {
  /** Side of the picture in pixels. */
  readonly imageSize: number;
  readonly patchSize: number;
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
  const { hiddenSize, imageSize, patchSize } = config;
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

  const x = parts.layers(parts.layerNorm(graph.op('Add', [embedded, positions]), 'pre_layrnorm'));
  const first = graph.op('Gather', [x, graph.ints([0], [])], { axis: 1 });
  graph.output(parts.layerNorm(first, 'post_layernorm'), 'pooled_output', 'float32', ['batch', hiddenSize]);
  return graph.build();
}
