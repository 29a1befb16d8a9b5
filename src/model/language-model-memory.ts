// What a language model takes, from its configuration alone: how many weights it has, which form of them
// suits its size, and how much memory its process will hold. Announced before anything is downloaded or
// loaded; EXPERIMENTS.md has the measurements behind the factors.
import type { DType } from '../formats/types.ts';
import { hiddenWidth, weightsLayout } from './graphs/language-model.ts';
import { capacityBucket } from './kv-cache.ts';
import type { ModelConfig } from './language-model-config.ts';
import { bitsFor, type WeightScheme } from './language-model-weights.ts';
import { blockSize, headBlockSize, quantizedRowBytes } from './quantize.ts';

/** Below this many weights a model is kept in float32: quantising would save nothing worth having. */
const tinyModel = 20e6;
/** Beyond this many weights 4 bits are needed to fit ordinary machines. */
const largeModel = 2e9;

/** Node and ONNX Runtime before any model is loaded. */
const runtimeBytes = 150e6;
/** Resident bytes per weight as ONNX Runtime packs it: blocks of 32 with scale and sum beside the levels. */
const residentBytes = { 4: 0.88, 8: 1.42, 32: 4 } as const;
/** The arena keeps several generations of intermediate results. */
const arenaFactor = 3;

export interface MemoryEstimate {
  /** Matrices as the session holds them. */
  readonly weightBytes: number;
  /** Keys and values of all slots. */
  readonly cacheBytes: number;
  /** Intermediate results of the largest step. */
  readonly workBytes: number;
  /** The whole process, Node and ONNX Runtime included. */
  readonly totalBytes: number;
  /** On disk, in the cache folder: converted weights, where the checkpoint's own cannot be used as they are. */
  readonly convertedBytes: number;
}

export interface MemoryQuestion {
  readonly weights: WeightScheme;
  /** Sequences at once. */
  readonly slots: number;
  /** Positions that the longest of them will reach. */
  readonly context: number;
  /** New positions in the largest step (rows times the longest row); 128 by default. */
  readonly stepPositions?: number;
}

/** Memory and disk that a model will take. */
export function estimateMemory(config: ModelConfig, question: MemoryQuestion): MemoryEstimate {
  const positions = question.stepPositions ?? 128;
  let weightBytes = 0;
  let convertedBytes = 0;
  let widths = 0;
  for (const [name, spec] of weightsLayout(config, anyTensor).matrices) {
    const rows = rowsOf(spec);
    const bits = bitsFor(spec, question.weights);
    weightBytes += rows * spec.columns * residentBytes[bits];
    const perRow = bits === 32 ? null : quantizedRowBytes(spec.columns, bits, spec.precision === 'head' && bits === 8 ? headBlockSize : blockSize);
    convertedBytes += rows * (perRow === null ? 4 * spec.columns : perRow.data + perRow.scales + perRow.zeroPoints);
    if (name.startsWith('layers.0.')) widths += 3 * rows;
  }
  const context = Math.min(question.context, config.contextWindow);
  const cacheBytes = 2 * 4 * config.numLayers * question.slots * config.numKvHeads * config.headDim * capacityBucket(context, config.contextWindow);
  const perPosition = 4 * widths + 12 * config.numHeads * (context + positions / question.slots) + 4 * hiddenWidth(config, 0);
  const workBytes = arenaFactor * positions * perPosition;
  return { weightBytes, cacheBytes, workBytes, convertedBytes, totalBytes: runtimeBytes + weightBytes + cacheBytes + workBytes };
}

/** Weights in the matrices of a model; an input table that is tied to the head counts once. */
export function countWeights(config: ModelConfig): number {
  return [...weightsLayout(config, anyTensor).matrices.values()].reduce((sum, spec) => sum + rowsOf(spec) * spec.columns, 0);
}

/**
 * What `auto` means: float32 for tiny models, 4 bits for those stored so (their levels are kept) and for very
 * large ones, else 8 bits.
 */
export function chooseScheme(config: ModelConfig, dtypes: readonly DType[]): WeightScheme {
  if (dtypes.includes('Q4_1')) return 'q4';
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
