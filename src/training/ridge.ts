// Ridge regression in closed form, in float64: (XᵀX + λI) W = XᵀY over centred rows, by Cholesky.

export interface RidgeFit {
  /** `[outputs, inputs]`, row-major. */
  readonly weight: Float64Array;
  /** `[outputs]`; W · x + b meets the mean target at the mean input. */
  readonly bias: Float64Array;
  /** Mean L2 norm of W · (x − mean) over the rows. */
  readonly meanLength: number;
}

/**
 * @param inputs rows `[inputs]`
 * @param targets as many rows `[outputs]`
 * @param lambda added to the diagonal of XᵀX; above 0
 */
export function ridgeRegression(inputs: readonly Float32Array[], targets: readonly Float64Array[], lambda: number): RidgeFit {
  const x = centred(inputs);
  const y = centred(targets);
  const n = x.mean.length;
  const outputs = y.mean.length;
  const gram = products(x.rows, x.rows, n, n);
  for (let i = 0; i < n; i++) gram[i * n + i] = gram[i * n + i]! + lambda;
  factorise(gram, n);
  const right = products(y.rows, x.rows, outputs, n);
  for (let row = 0; row < outputs; row++) solve(gram, n, right.subarray(row * n, (row + 1) * n));
  const bias = y.mean.map((value, row) => value - dot(right, row * n, x.mean, 0, n));
  let length = 0;
  for (const input of x.rows) {
    let square = 0;
    for (let row = 0; row < outputs; row++) square += dot(right, row * n, input, 0, n) ** 2;
    length += Math.sqrt(square) / x.rows.length;
  }
  return { weight: right, bias, meanLength: length };
}

function centred(rows: readonly (Float32Array | Float64Array)[]): { readonly rows: readonly Float64Array[]; readonly mean: Float64Array } {
  const mean = new Float64Array(rows[0]?.length ?? 0);
  for (const row of rows) for (let i = 0; i < mean.length; i++) mean[i] = mean[i]! + row[i]! / rows.length;
  return { rows: rows.map((row) => Float64Array.from(row, (value, i) => value - mean[i]!)), mean };
}

/** AᵀB `[a, b]` of rows of A and B. */
function products(left: readonly Float64Array[], right: readonly Float64Array[], a: number, b: number): Float64Array {
  const out = new Float64Array(a * b);
  left.forEach((l, row) => {
    const r = right[row]!;
    for (let i = 0; i < a; i++) {
      const factor = l[i]!;
      const at = i * b;
      for (let j = 0; j < b; j++) out[at + j] = out[at + j]! + factor * r[j]!;
    }
  });
  return out;
}

/** A = LLᵀ; L replaces the lower half of A. */
function factorise(a: Float64Array, n: number): void {
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      const value = a[i * n + j]! - dot(a, i * n, a, j * n, j);
      a[i * n + j] = i === j ? Math.sqrt(value) : value / a[j * n + j]!;
    }
  }
}

/** LLᵀ z = b; z replaces b. */
function solve(l: Float64Array, n: number, b: Float64Array): void {
  for (let i = 0; i < n; i++) b[i] = (b[i]! - dot(l, i * n, b, 0, i)) / l[i * n + i]!;
  for (let i = n - 1; i >= 0; i--) {
    b[i] = b[i]! / l[i * n + i]!;
    // Row by row: columns of L are far apart in memory.
    for (let j = 0; j < i; j++) b[j] = b[j]! - l[i * n + j]! * b[i]!;
  }
}

function dot(a: Float64Array, aAt: number, b: Float64Array, bAt: number, length: number): number {
  let sum = 0;
  for (let i = 0; i < length; i++) sum += a[aAt + i]! * b[bAt + i]!;
  return sum;
}
