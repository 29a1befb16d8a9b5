// Whole graphs of a language model from its architecture's one description: the one that runs (cache in,
// new columns out) and the one that is trained through (whole sequences, no cache).
import { FromageError } from '../../errors.ts';
import { type Graph, GraphBuilder, type Value } from '../../onnx/graph/index.ts';
import type { ModelConfig } from '../language-model-config.ts';
import type { LanguageModelWeights } from '../language-model-weights.ts';
import type { WeightsLayout } from '../weights-layout.ts';
import type { DecoderInputs, DecoderOutputs } from './architecture.ts';
import { type Attend, cachedAttention, wholeAttention } from './attention.ts';
import { fusedOps } from './fused-ops.ts';
import { llama } from './llama.ts';
import { matrixParts, type Ops } from './ops.ts';
import { opt } from './opt.ts';
import { primitiveOps } from './primitive-ops.ts';

/** Which tensors of a checkpoint the graph of `config` uses. */
export function weightsLayout(config: ModelConfig, has: (tensor: string) => boolean): WeightsLayout {
  return config.family === 'opt' ? opt.layout(config, has) : llama.layout(config, has);
}

/** The output with the new columns, under its edge's own name: renaming it would cost a copy. */
export const presentOutput = 'present:0';

/**
 * The graph that runs. Inputs: `inputs_embeds` `[B, S, embedSize]`, `pos` int64 `[B, S]`, `mask`
 * `[B, 1, G·S, T + S]` or `[B, 1, 1, T + S]`, `split_sizes` int64 `[2]` = T, S, `sel` int64 `[M, 2]`
 * (row, offset), `past_k.i`, `past_v.i`. Outputs: `logits` `[M, vocabSize]`, `hidden.i` `[M, width]` for
 * each wanted index, `hidden` `[M, hiddenSize]` after the final norm, and the new columns `present`
 * `[B, 2 · layers · kvHeads, S, headDim]`: keys of all layers, then values, in one output because each one
 * that crosses to JavaScript costs an allocation.
 *
 * @param hiddenLayers indices as `hiddenIndex` returns them, the last one left out
 */
export function buildInferenceGraph(weights: LanguageModelWeights, hiddenLayers: readonly number[], accuracyLevel: number): Graph {
  const { config } = weights;
  const graph = new GraphBuilder(`${config.family}-${weights.scheme}`);
  const inputs = { embeds: graph.input('inputs_embeds', 'float32', ['B', 'S', config.embedSize]), positions: graph.input('pos', 'int64', ['B', 'S']) };
  const mask = graph.input('mask', 'float32', ['B', 1, 'Q', 'TS']);
  const splitSizes = graph.input('split_sizes', 'int64', [2]);
  const select = graph.input('sel', 'int64', ['M', 2]);
  const present: { k: Value; v: Value }[] = [];
  const ops = fusedOps(graph, { accuracyLevel });
  const { hidden, final } = describe(ops, weights, inputs, cachedAttention(graph, config, mask, splitSizes, present));
  const selected = (value: Value): Value => graph.op('GatherND', [value, select]);
  const last = selected(final);
  graph.output(ops.linear(last, { name: 'head', weight: weights.matrix('head') }), 'logits', 'float32', ['M', config.vocabSize]);
  graph.output(last, 'hidden', 'float32', ['M', config.hiddenSize]);
  for (const index of hiddenLayers) graph.output(selected(hidden[index]!), `hidden.${index}`, 'float32', ['M', innerSize(config)]);
  const columns = graph.op('Concat', [...present.map(({ k }) => k), ...present.map(({ v }) => v)], { axis: 1 }, { name: 'present' });
  graph.output(columns, columns.name, 'float32', ['B', 2 * config.numLayers * config.numKvHeads, 'S', config.headDim]);
  return graph.build();
}

export interface TrainingInputs {
  /** `[B, S, embedSize]`: token rows and visual prefixes, without positions. */
  readonly embeds: Value;
  /** int64 `[B, S]`. */
  readonly positions: Value;
  /** Additive `[B, 1, S, S]`: 0 where a query (row) may look at a key (column), −1e30 elsewhere. */
  readonly mask: Value;
}

export interface TrainingOutputs {
  /** By the indices asked for, each `[B, S, width]`. */
  readonly hidden: ReadonlyMap<number, Value>;
  /** What the head reads: `[B, S, hiddenSize]`. */
  readonly final: Value;
  /** The frozen head's matrix `[vocabSize, hiddenSize]`: logits = FusedMatMul(x, head, transB = 1). */
  readonly head: Value;
}

/**
 * Adds the language model to a graph under construction, in differentiable operators only: the trainer
 * puts its maps before and its losses after it. The weights must be of the scheme `fp32`.
 *
 * @param hiddenLayers Hugging Face's indices, negative ones from the end
 * @throws FromageError `MODEL_TRAINING_WEIGHTS`, `MODEL_HIDDEN_LAYER`
 */
export function addLanguageModel(graph: GraphBuilder, weights: LanguageModelWeights, inputs: TrainingInputs, hiddenLayers: readonly number[] = []): TrainingOutputs {
  const { config } = weights;
  const outputs = describe(primitiveOps(graph), weights, inputs, wholeAttention(graph, config, inputs.mask));
  return frozenOutputs(graph, weights, outputs, hiddenLayers);
}

function frozenOutputs(graph: GraphBuilder, weights: LanguageModelWeights, outputs: DecoderOutputs, hiddenLayers: readonly number[]): TrainingOutputs {
  const { config } = weights;
  const head = weights.matrix('head');
  if (head.kind !== 'float32' || head.parts.length !== 1) throw new FromageError({ code: 'MODEL_TRAINING_WEIGHTS', what: 'the head is quantised', todo: 'open the weights with the scheme fp32' });
  const hidden = new Map(hiddenLayers.map((layer) => [layer, outputs.hidden[hiddenIndex(config, layer)] ?? outputs.final]));
  return { hidden, final: outputs.final, head: matrixParts(graph, 'head', head)[0]! };
}

export interface CachedInputs {
  /** `[B, S, embedSize]`: the new positions. */
  readonly embeds: Value;
  /** int64 `[B, S]`. */
  readonly positions: Value;
  /** Additive `[B, 1, G·S, T + S]` or broadcast to it, G = heads per key/value head. */
  readonly mask: Value;
  /** int64 `[2]`: T and S. */
  readonly splitSizes: Value;
}

export interface CachedOutputs extends TrainingOutputs {
  /** Names of the graph's outputs with the new columns, layer by layer. */
  readonly present: readonly { readonly k: string; readonly v: string }[];
}

/**
 * Adds the language model over a past of keys and values: inputs `past_k.i`, `past_v.i`
 * `[B, kvHeads, T, headDim]` and outputs with the new columns are added too. The lowering `primitive` is
 * differentiable, `fused` quicker. The weights must be of the scheme `fp32`.
 *
 * @throws FromageError `MODEL_TRAINING_WEIGHTS`, `MODEL_HIDDEN_LAYER`
 */
export function addCachedLanguageModel(graph: GraphBuilder, weights: LanguageModelWeights, inputs: CachedInputs, hiddenLayers: readonly number[], lowering: 'primitive' | 'fused'): CachedOutputs {
  const { config } = weights;
  const present: { k: Value; v: Value }[] = [];
  const ops = lowering === 'primitive' ? primitiveOps(graph) : fusedOps(graph, { accuracyLevel: 1 });
  const outputs = describe(ops, weights, inputs, cachedAttention(graph, config, inputs.mask, inputs.splitSizes, present));
  // Under their own names: an output of another name would cost a copy of it.
  for (const { k, v } of present) for (const value of [k, v]) graph.output(value, value.name, 'float32', ['B', config.numKvHeads, 'S', config.headDim]);
  return { ...frozenOutputs(graph, weights, outputs, hiddenLayers), present: present.map(({ k, v }) => ({ k: k.name, v: v.name })) };
}

/**
 * The language model alone as a training graph: inputs `inputs_embeds`, `position_ids`, `mask`, outputs
 * `final_hidden` and `hidden.<index as asked for>`.
 */
export function buildLanguageModelTrainingGraph(weights: LanguageModelWeights, options: { readonly hiddenLayers?: readonly number[] } = {}): TrainingOutputs & { readonly graph: Graph } {
  const { config } = weights;
  const graph = new GraphBuilder(`${config.family}-training`);
  const outputs = addLanguageModel(
    graph,
    weights,
    {
      embeds: graph.input('inputs_embeds', 'float32', ['B', 'S', config.embedSize]),
      positions: graph.input('position_ids', 'int64', ['B', 'S']),
      mask: graph.input('mask', 'float32', ['B', 1, 'S', 'S']),
    },
    options.hiddenLayers,
  );
  graph.output(outputs.final, 'final_hidden', 'float32', ['B', 'S', config.hiddenSize]);
  for (const [layer, value] of outputs.hidden) graph.output(value, `hidden.${layer}`, 'float32', ['B', 'S', hiddenWidth(config, layer)]);
  return { ...outputs, graph: graph.build() };
}

/**
 * A layer of `text_emb_layers` as an index into Hugging Face's `hidden_states`: 0 = embeddings with
 * positions, i = after layer i, numLayers = after the final norm; negative ones count from the end.
 *
 * @throws FromageError `MODEL_HIDDEN_LAYER` when there is no such layer
 */
export function hiddenIndex(config: ModelConfig, layer: number): number {
  const index = layer < 0 ? config.numLayers + 1 + layer : layer;
  if (!Number.isInteger(index) || index < 0 || index > config.numLayers) {
    throw new FromageError({ code: 'MODEL_HIDDEN_LAYER', what: `hidden layer ${layer} was asked of a model with ${config.numLayers} layers`, todo: `choose one from ${-config.numLayers - 1} to ${config.numLayers}` });
  }
  return index;
}

/** Width of a hidden state: inside the layers of OPT it may differ from hiddenSize. */
export function hiddenWidth(config: ModelConfig, layer: number): number {
  return hiddenIndex(config, layer) === config.numLayers ? config.hiddenSize : innerSize(config);
}

function innerSize(config: ModelConfig): number {
  return config.family === 'opt' ? config.innerSize : config.hiddenSize;
}

function describe(ops: Ops, weights: LanguageModelWeights, inputs: DecoderInputs, attend: Attend): DecoderOutputs {
  const { config } = weights;
  return config.family === 'opt' ? opt.describe(ops, config, weights, inputs, attend) : llama.describe(ops, config, weights, inputs, attend);
}
