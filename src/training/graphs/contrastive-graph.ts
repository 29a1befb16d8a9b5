// InfoNCE in both directions over a whole batch: hidden states at [RET] and pooled features through their
// maps, at unit length, scaled by exp(logit_scale). Small, so that the batch may be as large as one likes.
import { differentiate } from '../../autodiff/index.ts';
import { type Graph, GraphBuilder, type Value } from '../../onnx/graph/index.ts';
import { product, unlikelyFloor } from './caption-graph.ts';

export interface ContrastiveSizes {
  readonly visionHiddenSize: number;
  readonly retrievalDim: number;
  readonly textLayers: readonly number[];
  readonly textWidths: readonly number[];
}

/**
 * Inputs: `hidden.<layer>` `[N, width]`, `pooled` `[N, V]`, `mask` `[N, N]` (0, or −1e30 where picture and
 * text must not count as a negative pair), `diagonal` int64 `[N, 1]` = 0 … N − 1, the parameters, and
 * `loss_weight` `[]`. Outputs: `logits_per_image` `[N, N]`, `text_to_image` and `image_to_text` `[]`, `loss`
 * (their mean) and, for training, gradients of parameters and hidden states.
 */
export function contrastiveGraph(sizes: ContrastiveSizes, training: boolean): Graph {
  const { graph, perImage, diagonal } = similarities(sizes, 'N');
  const entropy = (logits: Value): Value => graph.op('Neg', [graph.op('ReduceMean', [chosenIn(graph, logits, diagonal)], { keepdims: 0 })]);
  const imageToText = entropy(perImage);
  const textToImage = entropy(graph.op('Transpose', [perImage], { perm: [1, 0] }));
  graph.output(perImage, 'logits_per_image', 'float32', ['N', 'N']);
  return finish(graph, sizes, imageToText, textToImage, training);
}

/**
 * The same with rejected pictures: `pooled` has P ≥ N rows, those after the first N are hard negatives,
 * which enter the softmaxes of texts over pictures alone; `mask` is `[P, N]` and may hold logarithms of
 * weights (weighted InfoNCE). More inputs: `likely` `[N, 1]`, 0 for texts whose own picture is wrong: they
 * learn −log(1 − p) of it; `likely_share` `[]`, 1 / the number of the others; `rows` int64 `[1]` = N.
 */
export function judgedContrastiveGraph(sizes: ContrastiveSizes): Graph {
  const { graph, perImage, diagonal } = similarities(sizes, 'P');
  const likely = graph.input('likely', 'float32', ['N', 1]);
  const share = graph.input('likely_share', 'float32', []);
  const rows = graph.input('rows', 'int64', [1]);
  const own = graph.op('Slice', [perImage, graph.ints([0]), rows, graph.ints([0])]);
  const fromImage = graph.op('Mul', [graph.op('Neg', [chosenIn(graph, own, diagonal)]), likely]);
  const imageToText = graph.op('Mul', [graph.op('ReduceSum', [fromImage], { keepdims: 0 }), share]);
  const found = chosenIn(graph, graph.op('Transpose', [perImage], { perm: [1, 0] }), diagonal);
  const one = graph.scalar(1);
  const missed = graph.op('Log', [graph.op('Add', [graph.op('Sub', [one, graph.op('Exp', [found])]), graph.scalar(unlikelyFloor)])]);
  const wrong = graph.op('Sub', [one, likely]);
  const fromText = graph.op('Add', [graph.op('Mul', [found, likely]), graph.op('Mul', [missed, wrong])]);
  const textToImage = graph.op('Neg', [graph.op('ReduceMean', [fromText], { keepdims: 0 })]);
  graph.output(perImage, 'logits_per_image', 'float32', ['P', 'N']);
  return finish(graph, sizes, imageToText, textToImage, true);
}

function chosenIn(graph: GraphBuilder, logits: Value, columns: Value): Value {
  return graph.op('GatherElements', [graph.op('LogSoftmax', [logits], { axis: -1 }), columns], { axis: 1 });
}

/** Scaled cosines of every picture with every text, `[pictures, N]`. */
function similarities(sizes: ContrastiveSizes, pictures: 'N' | 'P'): { readonly graph: GraphBuilder; readonly perImage: Value; readonly diagonal: Value } {
  const { retrievalDim, visionHiddenSize } = sizes;
  const graph = new GraphBuilder('contrastive');
  const linear = (x: Value, name: string, inputs: number): Value => {
    const weight = graph.input(`${name}.weight`, 'float32', [retrievalDim, inputs]);
    return graph.op('Add', [product(graph, x, weight), graph.input(`${name}.bias`, 'float32', [retrievalDim])]);
  };
  const hidden = sizes.textLayers.map((layer, i) => graph.input(`hidden.${layer}`, 'float32', ['N', sizes.textWidths[i]!]));
  const pooled = graph.input('pooled', 'float32', [pictures, visionHiddenSize]);
  const mask = graph.input('mask', 'float32', [pictures, 'N']);
  const diagonal = graph.input('diagonal', 'int64', ['N', 1]);
  const logitScale = graph.input('logit_scale', 'float32', []);

  const mapped = hidden.map((state, i) => linear(state, `text_hidden_fcs.${i}`, sizes.textWidths[i]!));
  const text = unitRows(graph, mapped.reduce((sum, part) => graph.op('Add', [sum, part])));
  const visual = unitRows(graph, linear(pooled, 'visual_fc', visionHiddenSize));
  const scaled = graph.op('Mul', [visual, graph.op('Exp', [logitScale])]);
  return { graph, perImage: graph.op('Add', [product(graph, scaled, text), mask]), diagonal };
}

function finish(graph: GraphBuilder, sizes: ContrastiveSizes, imageToText: Value, textToImage: Value, training: boolean): Graph {
  graph.output(textToImage, 'text_to_image', 'float32', []);
  graph.output(imageToText, 'image_to_text', 'float32', []);
  graph.output(graph.op('Mul', [graph.op('Add', [textToImage, imageToText]), graph.scalar(0.5)]), 'loss', 'float32', []);
  const forward = graph.build();
  if (!training) return forward;
  const parameters = ['visual_fc', ...sizes.textLayers.map((_, i) => `text_hidden_fcs.${i}`)].flatMap((name) => [`${name}.weight`, `${name}.bias`]);
  return differentiate(forward, { cotangents: { loss: 'loss_weight' }, wrt: [...parameters, 'logit_scale', ...sizes.textLayers.map((layer) => `hidden.${layer}`)] });
}

function unitRows(graph: GraphBuilder, x: Value): Value {
  const square = graph.op('ReduceSum', [graph.op('Mul', [x, x]), graph.ints([-1])], { keepdims: 1 });
  return graph.op('Div', [x, graph.op('Sqrt', [square])]);
}
