// The way of the gradient from the hidden states at [RET] back to its row: one position over a past of
// frozen keys and values.
import { differentiate } from '../../autodiff/index.ts';
import { addCachedLanguageModel, hiddenWidth, type LanguageModelWeights } from '../../model/index.ts';
import { type Graph, GraphBuilder } from '../../onnx/graph/index.ts';

/**
 * Inputs: `ret_embedding` `[embedSize]`, `position_ids` int64 `[B, 1]`, `mask` `[B, 1, 1, T + 1]`,
 * `split_sizes` int64 `[2]` = T, 1, `past_k.i`, `past_v.i` `[B, kvHeads, T, headDim]`, and the gradients
 * `hidden_gradient.<layer>` `[B, 1, width]` that arrive at each layer. Output: `gradient/ret_embedding`.
 */
export function retGraph(weights: LanguageModelWeights, textLayers: readonly number[]): Graph {
  const { embedSize } = weights.config;
  const graph = new GraphBuilder('ret');
  const row = graph.input('ret_embedding', 'float32', [embedSize]);
  const positions = graph.input('position_ids', 'int64', ['B', 1]);
  const mask = graph.input('mask', 'float32', ['B', 1, 1, '(1+T)']);
  const splitSizes = graph.input('split_sizes', 'int64', [2]);
  const shape = graph.op('Concat', [graph.op('Shape', [positions]), graph.ints([embedSize])], { axis: 0 });
  const embeds = graph.op('Expand', [row, shape], {}, { name: 'embeds' });
  const model = addCachedLanguageModel(graph, weights, { embeds, positions, mask, splitSizes }, textLayers, 'primitive');
  const cotangents: Record<string, string> = {};
  for (const layer of textLayers) {
    graph.output(model.hidden.get(layer)!, `hidden.${layer}`, 'float32', ['B', 1, hiddenWidth(weights.config, layer)]);
    cotangents[`hidden.${layer}`] = `hidden_gradient.${layer}`;
  }
  const forward = graph.build();
  // Only the hidden states count as outputs of the forward part, and of the whole only the gradient.
  const both = differentiate({ ...forward, outputs: forward.outputs.filter((port) => port.name in cotangents) }, { cotangents, wrt: ['ret_embedding'] });
  return { ...both, outputs: both.outputs.filter((port) => port.name.startsWith('gradient/')) };
}
