// What a language model takes, from its configuration alone: how many weights it has, and which form of
// them suits its size.
import type { DType } from '../formats/types.ts';
import type { ModelConfig } from './language-model-config.ts';
import type { WeightScheme } from './language-model-weights.ts';
import { weightsLayout } from './graphs/language-model.ts';

/** Below this many weights a model is kept in float32: quantising would save nothing worth having. */
const tinyModel = 20e6;
/** Beyond this many weights 4 bits are needed to fit ordinary machines. */
const largeModel = 2e9;

/** Weights in the matrices of a model; an input table that is tied to the head counts once. */
export function countWeights(config: ModelConfig): number {
  return [...weightsLayout(config, anyTensor).matrices.values()].reduce((sum, spec) => sum + rowsOf(spec) * spec.columns, 0);
}

/**
 * What `auto` means: float32 for tiny models, 4 bits for those stored so (their levels are kept) and for very
 * large ones, else 8 bits.
 */
export function chooseScheme(config: ModelConfig, dtypes: readonly DType[]): WeightScheme {
  if (dtypes.some((dtype) => dtype === 'Q4_1')) return 'q4';
  const weights = countWeights(config);
  return weights < tinyModel ? 'fp32' : weights <= largeModel ? 'q8' : 'q4';
}

function rowsOf(spec: { readonly parts: readonly { readonly rows: number }[] }): number {
  return spec.parts.reduce((sum, part) => sum + part.rows, 0);
}

/** The prefix of tensor names does not matter for their sizes. */
function anyTensor(): boolean {
  return true;
}
