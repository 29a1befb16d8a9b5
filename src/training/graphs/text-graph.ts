// The frozen part of a text without pictures, which no trained value reaches: its keys and values, and of
// each labelled position what the loss needs. Run once over the text and once more over the [RET] that
// follows, whose hidden states are read out.
import { addCachedLanguageModel, hiddenWidth, type LanguageModelWeights } from '../../model/index.ts';
import { type Graph, GraphBuilder } from '../../onnx/graph/index.ts';
import { type CaptionGraphSizes, headLogits } from './caption-graph.ts';

export interface TextGraph {
  readonly graph: Graph;
  /** Names of the outputs with the new keys and values, layer by layer, `[B, kvHeads, S, headDim]`. */
  readonly present: readonly { readonly k: string; readonly v: string }[];
}

/**
 * Inputs: `embeds` `[B, S, embedSize]`, `position_ids` int64 `[B, S]`, `mask` `[B, 1, G·S, T + S]`,
 * `split_sizes` int64 `[2]` = T, S, `past_k.i`, `past_v.i` `[B, kvHeads, T, headDim]`, `label_at` int64
 * `[M, 2]`, `labels` int64 `[M, 1]`, `feature_at` int64 `[F, 2]`. Outputs: the new keys and values,
 * `label_hidden` `[M, hiddenSize]`, `frozen_lse` `[M]` (log-sum-exp of the frozen logits), `label_logit`
 * `[M, 1]`, and `hidden.<layer>` `[F, width]`.
 */
export function textGraph(weights: LanguageModelWeights, sizes: Pick<CaptionGraphSizes, 'headRows' | 'addedRows'>, textLayers: readonly number[]): TextGraph {
  const { embedSize, hiddenSize, vocabSize } = weights.config;
  const graph = new GraphBuilder('text');
  const embeds = graph.input('embeds', 'float32', ['B', 'S', embedSize]);
  const positions = graph.input('position_ids', 'int64', ['B', 'S']);
  const mask = graph.input('mask', 'float32', ['B', 1, 'Q', 'TS']);
  const splitSizes = graph.input('split_sizes', 'int64', [2]);
  const labelAt = graph.input('label_at', 'int64', ['M', 2]);
  const labels = graph.input('labels', 'int64', ['M', 1]);
  const featureAt = graph.input('feature_at', 'int64', ['F', 2]);
  const model = addCachedLanguageModel(graph, weights, { embeds, positions, mask, splitSizes }, textLayers, 'fused');

  const read = graph.op('GatherND', [model.final, labelAt]);
  const parts = headLogits(graph, read, model.head, sizes, vocabSize, hiddenSize);
  const logits = parts.length === 1 ? parts[0]! : graph.op('Concat', parts, { axis: -1 });
  graph.output(read, 'label_hidden', 'float32', ['M', hiddenSize]);
  graph.output(graph.op('ReduceLogSumExp', [logits, graph.ints([-1])], { keepdims: 0 }), 'frozen_lse', 'float32', ['M']);
  graph.output(graph.op('GatherElements', [logits, labels], { axis: 1 }), 'label_logit', 'float32', ['M', 1]);
  for (const layer of textLayers) graph.output(graph.op('GatherND', [model.hidden.get(layer)!, featureAt]), `hidden.${layer}`, 'float32', ['F', hiddenWidth(weights.config, layer)]);
  return { graph: graph.build(), present: model.present };
}
