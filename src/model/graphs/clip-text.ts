// CLIP's text tower as an ONNX graph: tokens with learned positions, the pre-norm transformer under a causal
// mask, the final norm, and the end token's state projected into the space that texts and pictures share.
import { type Graph, GraphBuilder } from '../../onnx/graph/index.ts';
import { type ClipTowerConfig, type GraphWeights, TowerParts } from './clip-tower.ts';

export interface ClipTextConfig extends ClipTowerConfig {
  readonly vocabSize: number;
  /** Tokens that fit, begin and end among them: 77 in the published models. */
  readonly positions: number;
  /** Width of the shared space. */
  readonly projectionSize: number;
}

/** Weights of the text tower, and the projection that lies outside of it. */
export interface ClipTextWeights {
  readonly tower: GraphWeights;
  readonly projection: GraphWeights;
}

/**
 * Builds `input_ids [batch, S]`, `causal_mask [S, S]` (additive), `end [batch, 1]` (the place whose state stands for
 * the text) -> `text_embeds [batch, projectionSize]`, not normalised. What stands behind `end` changes nothing.
 * Source of names and order: Hugging Face's `CLIPTextModelWithProjection`.
 */
export function clipTextGraph(config: ClipTextConfig, { tower, projection }: ClipTextWeights): Graph {
  const { hiddenSize, vocabSize, positions, projectionSize } = config;
  const graph = new GraphBuilder('clip-text');
  const parts = new TowerParts(graph, tower, config);
  const ids = graph.input('input_ids', 'int64', ['batch', 'S']);
  const mask = graph.input('causal_mask', 'float32', ['S', 'S']);
  const end = graph.input('end', 'int64', ['batch', 1]);

  const tokens = graph.op('Gather', [parts.weight('embeddings.token_embedding.weight', [vocabSize, hiddenSize]), ids], { axis: 0 });
  const table = parts.weight('embeddings.position_embedding.weight', [positions, hiddenSize]);
  const length = graph.op('Shape', [ids], { start: 1, end: 2 });
  const places = graph.op('Slice', [table, graph.ints([0]), length, graph.ints([0])]);
  const x = parts.layers(graph.op('Add', [tokens, places]), mask);
  const last = graph.op('GatherND', [parts.layerNorm(x, 'final_layer_norm'), end], { batch_dims: 1 });
  const shared = new TowerParts(graph, projection, config).weight('text_projection.weight', [projectionSize, hiddenSize]);
  graph.output(graph.op('FusedMatMul', [last, shared], { transB: 1 }, { domain: 'com.microsoft', name: 'text_projection' }), 'text_embeds', 'float32', ['batch', projectionSize]);
  return graph.build();
}
