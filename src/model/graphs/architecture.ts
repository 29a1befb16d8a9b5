// What an architecture file offers: its tensors and one description of its layers, for both lowerings.
import type { Value } from '../../onnx/graph/index.ts';
import type { LanguageModelWeights } from '../language-model-weights.ts';
import type { WeightsLayout } from '../weights-layout.ts';
import type { Attend } from './attention.ts';
import type { Linear, Ops } from './ops.ts';

export interface DecoderInputs {
  /** `[B, S, embedSize]`, without positions. */
  readonly embeds: Value;
  /** int64 `[B, S]`. */
  readonly positions: Value;
}

export interface DecoderOutputs {
  /** By Hugging Face's index, without the last one: 0 = embeddings with positions, i = after layer i. */
  readonly hidden: readonly Value[];
  /** After the final norm (and project_out): what the head reads, `[B, S, hiddenSize]`. */
  readonly final: Value;
}

export interface Architecture<Config> {
  /** @param has tells whether the checkpoint holds a tensor: repositories differ in prefixes */
  layout(config: Config, has: (tensor: string) => boolean): WeightsLayout;
  describe(ops: Ops, config: Config, weights: LanguageModelWeights, inputs: DecoderInputs, attend: Attend): DecoderOutputs;
}

/** A linear layer by the names of its matrix and, where it has one, its bias. */
export function linearOf(weights: LanguageModelWeights, name: string, bias: boolean): Linear {
  return { name, weight: weights.matrix(name), ...(bias ? { bias: weights.vector(`${name}.bias`) } : {}) };
}
