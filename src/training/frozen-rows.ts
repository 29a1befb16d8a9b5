// The norm that the [RET] row is held to.
import type { LanguageModelWeights } from '../model/index.ts';

/**
 * Mean L2 norm of the frozen rows of the input embedding table before [RET].
 *
 * @param rows how many rows of the table count
 * @param added more frozen rows, `[count, embedSize]`
 */
export function meanRowNorm(weights: LanguageModelWeights, rows: number, added: Float32Array = new Float32Array(0)): number {
  const width = weights.config.embedSize;
  const chunk = 1024;
  let sum = 0;
  const addNorms = (values: Float32Array): void => {
    for (let row = 0; row < values.length; row += width) {
      let square = 0;
      for (let i = row; i < row + width; i++) square += values[i]! * values[i]!;
      sum += Math.sqrt(square);
    }
  };
  for (let first = 0; first < rows; first += chunk) addNorms(weights.embed(Array.from({ length: Math.min(chunk, rows - first) }, (_, i) => first + i)));
  addNorms(added);
  return sum / (rows + added.length / width);
}
