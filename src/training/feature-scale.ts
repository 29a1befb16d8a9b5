// Inputs of the maps at mean 0 and variance 1 train more evenly: pooled features, hidden states at [RET].
// The maps that come out are folded back to inputs as the frozen models give them.
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

/** Maps of pooled features. */
export const pictureMaps: readonly string[] = ['visual_embeddings', 'visual_fc'];

/** Maps for raw inputs as maps for scaled ones: W' = W · std, b' = b + W · mean. Changes the parameters in place. */
export function foldScaleInto(parameters: Parameters, { mean, std }: FeatureScale, maps = pictureMaps): Parameters {
  return changeMaps(parameters, maps, (weight, i) => ({ weight: weight * std[i]!, shift: weight * mean[i]! }));
}

/** The other way: W = W' / std, b = b' - W · mean. Changes the parameters in place. */
export function foldScaleOutOf(parameters: Parameters, { mean, std }: FeatureScale, maps = pictureMaps): Parameters {
  return changeMaps(parameters, maps, (weight, i) => ({ weight: weight / std[i]!, shift: -(weight / std[i]!) * mean[i]! }));
}

function changeMaps(parameters: Parameters, maps: readonly string[], change: (weight: number, input: number) => { readonly weight: number; readonly shift: number }): Parameters {
  for (const name of maps) {
    const { data: weights, shape } = parameterOf(parameters, `${name}.weight`);
    const { data: bias } = parameterOf(parameters, `${name}.bias`);
    const width = shape[1] ?? 0;
    for (let row = 0; row < bias.length; row++) {
      let total = 0;
      for (let i = 0; i < width; i++) {
        const { weight, shift } = change(weights[row * width + i]!, i);
        weights[row * width + i] = weight;
        total += shift;
      }
      bias[row] = bias[row]! + total;
    }
  }
  return parameters;
}
