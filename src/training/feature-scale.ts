// Pooled features at mean 0 and variance 1 train more evenly; the maps that come out are folded back to
// features as the encoder gives them.
import type { Parameters } from './parameters.ts';
import { parameterOf } from './parameters.ts';

export interface FeatureScale {
  /** `[V]` */
  readonly mean: Float32Array;
  readonly std: Float32Array;
  apply(features: Float32Array): Float32Array;
}

/** Dimensions that hardly vary are not blown up. */
const smallestStd = 1e-3;

export function createFeatureScale(features: Iterable<Float32Array>, width: number): FeatureScale {
  const sum = new Float64Array(width);
  const squares = new Float64Array(width);
  let count = 0;
  for (const row of features) {
    count++;
    for (let i = 0; i < width; i++) {
      sum[i] = sum[i]! + row[i]!;
      squares[i] = squares[i]! + row[i]! ** 2;
    }
  }
  const mean = Float32Array.from(sum, (total) => (count === 0 ? 0 : total / count));
  const std = Float32Array.from(squares, (total, i) => (count === 0 ? 1 : Math.max(smallestStd, Math.sqrt(Math.max(0, total / count - mean[i]! ** 2)))));
  return featureScale(mean, std);
}

export function featureScale(mean: Float32Array, std: Float32Array): FeatureScale {
  return { mean, std, apply: (features) => features.map((value, i) => (value - mean[i]!) / std[i]!) };
}

/** Maps for raw features as maps for scaled ones: W' = W · std, b' = b + W · mean. Changes the parameters in place. */
export function foldScaleInto(parameters: Parameters, { mean, std }: FeatureScale): Parameters {
  for (const name of ['visual_embeddings', 'visual_fc']) {
    const { data: weight, shape } = parameterOf(parameters, `${name}.weight`);
    const { data: bias } = parameterOf(parameters, `${name}.bias`);
    const width = shape[1] ?? 0;
    for (let row = 0; row < bias.length; row++) {
      let shift = 0;
      for (let i = 0; i < width; i++) {
        shift += weight[row * width + i]! * mean[i]!;
        weight[row * width + i] = weight[row * width + i]! * std[i]!;
      }
      bias[row] = bias[row]! + shift;
    }
  }
  return parameters;
}
