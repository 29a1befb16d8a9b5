// Small dense float32 arithmetic in plain TypeScript: what is done outside ONNX sessions, above all the
// adapter's maps. Row-major throughout; functions are pure and the caller owns what they return.

/**
 * y = x · Wᵀ + b.
 *
 * @param x `[rows, inputs]`
 * @param weight `[outputs, inputs]`, PyTorch's layout of a Linear
 * @param bias `[outputs]` or null
 * @returns `[rows, outputs]`
 */
export function linear(x: Float32Array, weight: Float32Array, bias: Float32Array | null, rows: number): Float32Array {
  const inputs = rows === 0 ? 0 : x.length / rows;
  const outputs = inputs === 0 ? 0 : weight.length / inputs;
  const y = new Float32Array(rows * outputs);
  for (let r = 0; r < rows; r++) {
    for (let o = 0; o < outputs; o++) y[r * outputs + o] = dot(x, r * inputs, weight, o * inputs, inputs) + (bias?.[o] ?? 0);
  }
  return y;
}

/** Inner product of `length` entries; four partial sums keep the error and the loop short. */
export function dot(a: Float32Array, aStart: number, b: Float32Array, bStart: number, length: number): number {
  let s0 = 0;
  let s1 = 0;
  let s2 = 0;
  let s3 = 0;
  let i = 0;
  for (; i + 3 < length; i += 4) {
    s0 += a[aStart + i]! * b[bStart + i]!;
    s1 += a[aStart + i + 1]! * b[bStart + i + 1]!;
    s2 += a[aStart + i + 2]! * b[bStart + i + 2]!;
    s3 += a[aStart + i + 3]! * b[bStart + i + 3]!;
  }
  for (; i < length; i++) s0 += a[aStart + i]! * b[bStart + i]!;
  return s0 + s1 + s2 + s3;
}

/** A copy at unit length; a zero vector stays zero. */
export function l2Normalize(vector: Float32Array): Float32Array {
  const norm = Math.sqrt(dot(vector, 0, vector, 0, vector.length));
  return norm === 0 ? vector.slice() : vector.map((value) => value / norm);
}

/** Index of the largest entry; the first one on ties, as torch.argmax on CPU; −1 when empty. */
export function argmax(values: Float32Array): number {
  let best = -1;
  for (let i = 0; i < values.length; i++) if (best < 0 || values[i]! > values[best]!) best = i;
  return best;
}

/** Log of the softmax at one index, stable. */
export function logSoftmaxAt(logits: Float32Array, index: number): number {
  let top = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < logits.length; i++) if (logits[i]! > top) top = logits[i]!;
  let sum = 0;
  for (let i = 0; i < logits.length; i++) sum += Math.exp(logits[i]! - top);
  return logits[index]! - top - Math.log(sum);
}

/** Indices of the k largest entries, best first, ties by lower index. */
export function topK(values: Float32Array, k: number): number[] {
  const order = Array.from(values.keys()).sort((a, b) => values[b]! - values[a]! || a - b);
  return order.slice(0, k);
}
