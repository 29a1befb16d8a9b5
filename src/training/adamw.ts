// AdamW and gradient clipping as PyTorch computes them, in float32 storage. Five million numbers a step:
// plain loops are quick enough.
import type { Gradients, Parameters } from './parameters.ts';

export interface AdamWOptions {
  readonly betas: readonly [number, number];
  readonly eps: number;
  /** Decoupled; matrices only (with the paper's 0 it makes no difference). */
  readonly weightDecay: number;
  /** Learning rate of single parameters, as a multiple of the step's. */
  readonly lrScales?: Readonly<Record<string, number>>;
}

/** First and second moments by parameter name. */
export interface AdamWState {
  /** Steps taken. */
  step: number;
  readonly first: Map<string, Float32Array>;
  readonly second: Map<string, Float32Array>;
}

export function createAdamW(parameters: Parameters): AdamWState {
  const zeros = () => new Map([...parameters].map(([name, { data }]) => [name, new Float32Array(data.length)]));
  return { step: 0, first: zeros(), second: zeros() };
}

/**
 * One step: changes the parameters that have a gradient, in place.
 *
 * Source: `torch.optim.AdamW`, single tensor form.
 */
export function adamWStep(parameters: Parameters, gradients: Gradients, state: AdamWState, lr: number, options: AdamWOptions): void {
  const [beta1, beta2] = options.betas;
  state.step++;
  const root2 = Math.sqrt(1 - beta2 ** state.step);
  for (const [name, { data, shape }] of parameters) {
    const gradient = gradients.get(name);
    const m = state.first.get(name);
    const v = state.second.get(name);
    if (!gradient || !m || !v) continue;
    const rate = lr * (options.lrScales?.[name] ?? 1);
    const stepSize = rate / (1 - beta1 ** state.step);
    const keep = shape.length === 2 ? 1 - rate * options.weightDecay : 1;
    for (let i = 0; i < data.length; i++) {
      const g = gradient[i]!;
      m[i] = m[i]! + (g - m[i]!) * (1 - beta1);
      v[i] = v[i]! * beta2 + g * g * (1 - beta2);
      data[i] = data[i]! * keep - (stepSize * m[i]!) / (Math.sqrt(v[i]!) / root2 + options.eps);
    }
  }
}

/** L2 norm over all gradients together. */
export function gradientNorm(gradients: Gradients): number {
  let sum = 0;
  for (const gradient of gradients.values()) for (let i = 0; i < gradient.length; i++) sum += gradient[i]! * gradient[i]!;
  return Math.sqrt(sum);
}

/**
 * Scales gradients in place so that their norm is at most `maxNorm`.
 *
 * @returns the norm before
 * Source: `torch.nn.utils.clip_grad_norm_`.
 */
export function clipGradients(gradients: Gradients, maxNorm: number): number {
  const norm = gradientNorm(gradients);
  const factor = maxNorm / (norm + 1e-6);
  if (factor < 1) for (const gradient of gradients.values()) for (let i = 0; i < gradient.length; i++) gradient[i] = gradient[i]! * factor;
  return norm;
}
