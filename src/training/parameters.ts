// What training changes: named float32 tensors, made from an adapter or at random, and turned into an
// adapter again. Names are those of our adapter files.
import type { AdapterTensors, LinearMap } from '../model/index.ts';
import { FromageError } from '../errors.ts';
import { createRandom } from './random.ts';

export interface Parameter {
  readonly shape: readonly number[];
  /** Changed in place by the optimiser. */
  readonly data: Float32Array;
}

/** In a fixed order: sums over all parameters are taken in it. */
export type Parameters = ReadonlyMap<string, Parameter>;

export type Gradients = ReadonlyMap<string, Float32Array>;

export interface ParameterSizes {
  readonly visualTokens: number;
  readonly retrievalDim: number;
  readonly visionHiddenSize: number;
  readonly embedSize: number;
  /** Width of each of the hidden layers that text is read from. */
  readonly textWidths: readonly number[];
}

/** The paper's start of logit_scale: a temperature of 0.07. */
export const initialLogitScale = Math.log(1 / 0.07);

/** Uniform in ±1/√inputs, as PyTorch starts a Linear; the [RET] row normal with the given norm. */
export function initialParameters(sizes: ParameterSizes, seed: number, retNorm: number): Parameters {
  const random = createRandom(seed, 'parameters');
  const parameters = new Map<string, Parameter>();
  const linear = (name: string, outputs: number, inputs: number): void => {
    const bound = 1 / Math.sqrt(inputs);
    const uniform = (length: number) => Float32Array.from({ length }, () => (random.uniform() * 2 - 1) * bound);
    parameters.set(`${name}.weight`, { shape: [outputs, inputs], data: uniform(outputs * inputs) });
    parameters.set(`${name}.bias`, { shape: [outputs], data: uniform(outputs) });
  };
  linear('visual_embeddings', sizes.visualTokens * sizes.embedSize, sizes.visionHiddenSize);
  linear('visual_fc', sizes.retrievalDim, sizes.visionHiddenSize);
  sizes.textWidths.forEach((width, i) => linear(`text_hidden_fcs.${i}`, sizes.retrievalDim, width));
  const row = Float32Array.from({ length: sizes.embedSize }, () => random.normal());
  const scale = retNorm / Math.hypot(...row);
  parameters.set('ret_embedding', { shape: [sizes.embedSize], data: row.map((value) => value * scale) });
  parameters.set('logit_scale', { shape: [], data: Float32Array.of(initialLogitScale) });
  return parameters;
}

/** Copies of an adapter's tensors. A normalisation of features must have been folded in before. */
export function parametersOf(tensors: AdapterTensors): Parameters {
  const parameters = new Map<string, Parameter>();
  const linear = (name: string, map: LinearMap): void => {
    parameters.set(`${name}.weight`, { shape: [map.outputs, map.inputs], data: map.weight.slice() });
    parameters.set(`${name}.bias`, { shape: [map.outputs], data: map.bias.slice() });
  };
  linear('visual_embeddings', tensors.visualEmbeddings);
  linear('visual_fc', tensors.visualFc);
  tensors.textFcs.forEach((map, i) => linear(`text_hidden_fcs.${i}`, map));
  parameters.set('ret_embedding', { shape: [tensors.retEmbedding.length], data: tensors.retEmbedding.slice() });
  parameters.set('logit_scale', { shape: [], data: Float32Array.of(tensors.logitScale) });
  return parameters;
}

/** Copies of the parameters as an adapter's tensors. */
export function adapterTensors(parameters: Parameters, facts: Pick<AdapterTensors, 'visualTokens' | 'textLayers' | 'retTokenId'>): AdapterTensors {
  const linear = (name: string): LinearMap => {
    const weight = parameterOf(parameters, `${name}.weight`);
    return { weight: weight.data.slice(), bias: parameterOf(parameters, `${name}.bias`).data.slice(), outputs: weight.shape[0] ?? 0, inputs: weight.shape[1] ?? 0 };
  };
  return {
    visualTokens: facts.visualTokens,
    textLayers: facts.textLayers,
    retTokenId: facts.retTokenId,
    visualEmbeddings: linear('visual_embeddings'),
    visualFc: linear('visual_fc'),
    textFcs: facts.textLayers.map((_, i) => linear(`text_hidden_fcs.${i}`)),
    retEmbedding: parameterOf(parameters, 'ret_embedding').data.slice(),
    logitScale: parameterOf(parameters, 'logit_scale').data[0] ?? Number.NaN,
  };
}

/** @throws FromageError `TRAINING_PARAMETER` */
export function parameterOf(parameters: Parameters, name: string): Parameter {
  const parameter = parameters.get(name);
  if (!parameter) throw new FromageError({ code: 'TRAINING_PARAMETER', what: `there is no trained tensor ${name}`, why: `there are ${[...parameters.keys()].join(', ')}` });
  return parameter;
}
