// Sums of gradients over micro-batches.

/** Adds `values` to the entry `name`; the first ones are taken over, not copied. */
export function addInto(gradients: Map<string, Float32Array>, name: string, values: Float32Array): void {
  const sum = gradients.get(name);
  if (!sum) gradients.set(name, values);
  else for (let i = 0; i < sum.length; i++) sum[i] = sum[i]! + values[i]!;
}
