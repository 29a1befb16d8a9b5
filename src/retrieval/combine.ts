// Asking with more than one vector: a picture and words together, and a term to stay away from.
import { FromageError } from '../errors.ts';
import { l2Normalize } from '../tensor/index.ts';

/** The direction between unit vectors of one width: text and picture asked for together weigh the same. */
export function averageVectors(vectors: readonly Float32Array[]): Float32Array {
  const [first] = vectors;
  if (!first) throw new FromageError({ code: 'RETRIEVAL_VECTOR', what: 'there is no vector to ask with', todo: 'give a text, a picture, or both' });
  const sum = new Float32Array(first.length);
  for (const vector of vectors) addScaled(sum, vector, 1 / vectors.length);
  return l2Normalize(sum);
}

/**
 * Away from a term: 3 · wanted − 2 · avoided, as unit vectors. With one vector that is what
 * clip-retrieval's users found to work for words that should not be shown; several terms share the two parts.
 */
export function avoidVector(wanted: Float32Array, avoided: readonly Float32Array[]): Float32Array {
  if (avoided.length === 0) return l2Normalize(wanted);
  const sum = l2Normalize(wanted).map((value) => 3 * value);
  for (const vector of avoided) addScaled(sum, l2Normalize(vector), -2 / avoided.length);
  return l2Normalize(sum);
}

function addScaled(sum: Float32Array, vector: Float32Array, scale: number): void {
  if (vector.length !== sum.length) throw new FromageError({ code: 'RETRIEVAL_VECTOR', what: `vectors of ${sum.length} and ${vector.length} entries cannot be combined`, todo: 'take vectors of one adapter' });
  for (let i = 0; i < sum.length; i++) sum[i]! += scale * vector[i]!;
}
