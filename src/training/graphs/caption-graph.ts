// The captioning loss as one graph: pooled features through `visual_embeddings` into the prompt, the
// frozen language model, cross entropy on the labelled positions alone. Differentiated with respect to
// the map and the [RET] row, which here is only a column of every softmax.
import { differentiate, differentiateInSegments, type GraphSegment, type SegmentOptions } from '../../autodiff/index.ts';
import { addLanguageModel, type LanguageModelWeights } from '../../model/index.ts';
import { type Graph, GraphBuilder, type Value } from '../../onnx/graph/index.ts';

export interface CaptionGraphSizes {
  readonly visionHiddenSize: number;
  readonly visualTokens: number;
  /** Rows of the frozen head that count: those before [RET]. */
  readonly headRows: number;
  /** More frozen rows between the head's and [RET] (`<|image|>` where a checkpoint gives one). */
  readonly addedRows: number;
}

/**
 * Inputs: `text_embeds` `[B, S, embedSize]` (anything at visual positions), `position_ids` int64 `[B, S]`,
 * `mask` `[1, 1, S, S]`, `pooled` `[P, V]`, `visual_at` int64 `[P·k, 2]` (row, offset; picture by picture),
 * `label_at` int64 `[M, 2]` (the position that predicts), `labels` int64 `[M, 1]`, the parameters, and
 * `loss_weight` `[]`, which multiplies the gradients. Outputs: `loss_sum` `[]` over the M labels and, for
 * training, `gradient/<parameter>`. `unlikely`: the loss of a label is −log(1 − p) in place of −log p.
 */
export function captionGraph(weights: LanguageModelWeights, sizes: CaptionGraphSizes, training: boolean, unlikely = false): Graph {
  const { graph } = captionForward(weights, sizes, unlikely);
  return training ? differentiate(graph, learned) : graph;
}

/**
 * The training graph in pieces of so many layers, with the head and its loss as a piece of their own:
 * their logits are the largest values of all.
 */
export function captionSegments(weights: LanguageModelWeights, sizes: CaptionGraphSizes, layersPerSegment: number, unlikely = false): readonly GraphSegment[] {
  const { numLayers } = weights.config;
  const borders = Array.from({ length: Math.ceil(numLayers / layersPerSegment) }, (_, i) => Math.min((i + 1) * layersPerSegment, numLayers));
  const { graph, cuts } = captionForward(weights, sizes, unlikely, borders);
  return differentiateInSegments(graph, cuts, learned);
}

/** What a caption teaches. */
export const learned: SegmentOptions = { cotangents: { loss_sum: 'loss_weight' }, wrt: ['visual_embeddings.weight', 'visual_embeddings.bias', 'ret_embedding'] };

/** @param borders hidden states, by Hugging Face's index, whose edges are named in `cuts` */
function captionForward(weights: LanguageModelWeights, sizes: CaptionGraphSizes, unlikely: boolean, borders: readonly number[] = []): { readonly graph: Graph; readonly cuts: readonly string[] } {
  const { embedSize, hiddenSize } = weights.config;
  const graph = new GraphBuilder('captioning');
  const text = graph.input('text_embeds', 'float32', ['B', 'S', embedSize]);
  const positions = graph.input('position_ids', 'int64', ['B', 'S']);
  const mask = graph.input('mask', 'float32', [1, 1, 'S', 'S']);
  const pooled = graph.input('pooled', 'float32', ['P', sizes.visionHiddenSize]);
  const visualAt = graph.input('visual_at', 'int64', ['PK', 2]);
  const labelAt = graph.input('label_at', 'int64', ['M', 2]);
  const labels = graph.input('labels', 'int64', ['M', 1]);
  const map = graph.input('visual_embeddings.weight', 'float32', [sizes.visualTokens * embedSize, sizes.visionHiddenSize]);
  const bias = graph.input('visual_embeddings.bias', 'float32', [sizes.visualTokens * embedSize]);
  const ret = graph.input('ret_embedding', 'float32', [hiddenSize]);

  const mapped = graph.op('Add', [product(graph, pooled, map), bias]);
  // [P, k · embedSize] -> [P · k, embedSize]
  const visual = graph.op('Reshape', [mapped, graph.ints([-1, embedSize])]);
  const embeds = graph.op('ScatterND', [text, visualAt, visual], {}, { name: 'embeds' });
  const model = addLanguageModel(graph, weights, { embeds, positions, mask }, borders);
  const read = graph.op('GatherND', [model.final, labelAt]);
  const logits = headLogits(graph, read, model.head, sizes, weights.config.vocabSize, hiddenSize);
  const retLogit = product(graph, read, graph.op('Reshape', [ret, graph.ints([1, -1])]));
  const all = graph.op('Concat', [...logits, retLogit], { axis: -1 });
  const chosen = graph.op('GatherElements', [graph.op('LogSoftmax', [all], { axis: -1 }), labels], { axis: 1 });
  const scored = unlikely ? graph.op('Log', [graph.op('Add', [graph.op('Sub', [graph.scalar(1), graph.op('Exp', [chosen])]), graph.scalar(unlikelyFloor)])]) : chosen;
  graph.output(graph.op('Neg', [graph.op('ReduceSum', [scored], { keepdims: 0 })]), 'loss_sum', 'float32', []);
  return { graph: graph.build(), cuts: borders.map((layer) => model.hidden.get(layer)!.name) };
}

/** Keeps 1 − p away from 0 where p is 1. */
export const unlikelyFloor = 1e-6;

/** x · Wᵀ without a transposed copy of W. */
export function product(graph: GraphBuilder, x: Value, weight: Value): Value {
  return graph.op('FusedMatMul', [x, weight], { transB: 1 }, { domain: 'com.microsoft' });
}

/** Logits of all frozen rows before [RET], `[M, headRows]` and, where there are any, `[M, addedRows]`. */
export function headLogits(graph: GraphBuilder, read: Value, head: Value, sizes: Pick<CaptionGraphSizes, 'headRows' | 'addedRows'>, vocabSize: number, hiddenSize: number): Value[] {
  const whole = product(graph, read, head);
  // Tables are padded beyond the vocabulary now and then; the reference cuts such rows off.
  const used = sizes.headRows === vocabSize ? whole : graph.op('Slice', [whole, graph.ints([0]), graph.ints([sizes.headRows]), graph.ints([1])]);
  if (sizes.addedRows === 0) return [used];
  return [used, product(graph, read, graph.input('added_rows', 'float32', [sizes.addedRows, hiddenSize]))];
}
