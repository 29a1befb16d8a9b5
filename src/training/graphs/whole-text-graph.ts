// Retrieval as a framework would differentiate it: the whole text with [RET] as a token among the others in
// one graph, so that every layer of every position is passed backwards. Only benchmarks run it.
import { differentiate } from '../../autodiff/index.ts';
import { addLanguageModel, hiddenWidth, type LanguageModelWeights } from '../../model/index.ts';
import { type Graph, GraphBuilder } from '../../onnx/graph/index.ts';
import { product } from './caption-graph.ts';

/**
 * Inputs: `text_embeds` `[B, S, embedSize]` (anything at [RET]), `position_ids` int64 `[B, S]`, `mask`
 * `[1, 1, S, S]`, `ret_at` int64 `[B, 2]`, `label_at` int64 `[M, 2]`, `labels` int64 `[M, 1]`,
 * `ret_embedding`, and the gradients `hidden_gradient.<layer>` `[B, width]` that arrive from the maps.
 * Outputs: `loss` `[]`, `hidden.<layer>`, `gradient/ret_embedding`.
 */
export function wholeTextGraph(weights: LanguageModelWeights, textLayers: readonly number[]): Graph {
  const { embedSize } = weights.config;
  const graph = new GraphBuilder('whole-text');
  const text = graph.input('text_embeds', 'float32', ['B', 'S', embedSize]);
  const row = graph.input('ret_embedding', 'float32', [embedSize]);
  const retAt = graph.input('ret_at', 'int64', ['B', 2]);
  const rows = graph.op('Expand', [row, graph.op('Concat', [graph.op('Slice', [graph.op('Shape', [retAt]), graph.ints([0]), graph.ints([1])]), graph.ints([embedSize])], { axis: 0 })]);
  const embeds = graph.op('ScatterND', [text, retAt, rows], {}, { name: 'embeds' });
  const model = addLanguageModel(graph, weights, { embeds, positions: graph.input('position_ids', 'int64', ['B', 'S']), mask: graph.input('mask', 'float32', [1, 1, 'S', 'S']) }, textLayers);
  const read = graph.op('GatherND', [model.final, graph.input('label_at', 'int64', ['M', 2])]);
  const logits = graph.op('Concat', [product(graph, read, model.head), product(graph, read, graph.op('Reshape', [row, graph.ints([1, -1])]))], { axis: -1 });
  const chosen = graph.op('GatherElements', [graph.op('LogSoftmax', [logits], { axis: -1 }), graph.input('labels', 'int64', ['M', 1])], { axis: 1 });
  graph.output(graph.op('Neg', [graph.op('ReduceMean', [chosen], { keepdims: 0 })]), 'loss', 'float32', []);
  const cotangents: Record<string, string> = {};
  for (const layer of textLayers) {
    graph.output(graph.op('GatherND', [model.hidden.get(layer)!, retAt]), `hidden.${layer}`, 'float32', ['B', hiddenWidth(weights.config, layer)]);
    cotangents[`hidden.${layer}`] = `hidden_gradient.${layer}`;
  }
  return differentiate(graph.build(), { of: 'loss', cotangents, wrt: ['ret_embedding'] });
}
