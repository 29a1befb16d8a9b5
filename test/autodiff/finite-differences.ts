// Compares the gradients of a small graph with central differences. The loss is a fixed random weighting
// of the output, summed in double precision; the four-point stencil keeps truncation below rounding.
import { differentiate } from '../../src/autodiff/index.ts';
import { GraphBuilder, toModelBytes, type Value } from '../../src/onnx/graph/index.ts';
import { float32, openSession, type OnnxSession } from '../../src/onnx/run/index.ts';

export interface Variable {
  readonly dims: readonly number[];
  /** Names for dimensions that the graph shall not know. */
  readonly open?: readonly (string | number)[];
  readonly data?: readonly number[];
  /** Values stay in this range; [−1.5, 1.5] by default. */
  readonly range?: readonly [number, number];
}

export interface Check {
  /** Largest difference, relative to the largest gradient entry (at least 0.1). */
  readonly error: number;
  readonly gradients: Readonly<Record<string, Float32Array>>;
}

export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

export async function checkGradients(
  variables: Readonly<Record<string, Variable>>,
  build: (graph: GraphBuilder, values: Readonly<Record<string, Value>>) => Value,
  options: { readonly seed?: number; readonly step?: number; readonly threads?: number } = {},
): Promise<Check> {
  const next = random(options.seed ?? 1);
  const point: Record<string, Float32Array> = {};
  for (const [name, variable] of Object.entries(variables)) {
    const [low, high] = variable.range ?? [-1.5, 1.5];
    const size = variable.dims.reduce((product, dim) => product * dim, 1);
    point[name] = Float32Array.from({ length: size }, (_, i) => variable.data?.[i] ?? low + (high - low) * next());
  }
  const graph = new GraphBuilder('check');
  const values: Record<string, Value> = {};
  for (const [name, variable] of Object.entries(variables)) values[name] = graph.input(name, 'float32', variable.open ?? variable.dims);
  graph.output(graph.op('Reshape', [build(graph, values), graph.ints([-1])]), 'y', 'float32', ['size']);
  const both = differentiate(graph.build(), { cotangents: { y: 'weights' }, wrt: Object.keys(variables) });
  const forward = await openSession(toModelBytes(graph.build()), { threads: options.threads ?? 1 });
  const backward = await openSession(toModelBytes(both), { threads: options.threads ?? 1 });
  const feeds = (at: Readonly<Record<string, Float32Array>>) => Object.fromEntries(Object.entries(at).map(([name, data]) => [name, float32(data, variables[name]!.dims)]));
  const size = ((await forward.run(feeds(point)))['y']!.data as Float32Array).length;
  const weights = Float32Array.from({ length: size }, () => next() * 2 - 1);
  const found = await backward.run({ ...feeds(point), weights: float32(weights, [size]) });
  const loss = (at: Readonly<Record<string, Float32Array>>) => weightedSum(forward, feeds(at), weights);

  const gradients: Record<string, Float32Array> = {};
  let error = 0;
  for (const name of Object.keys(variables)) {
    const gradient = found[`gradient/${name}`]!.data as Float32Array;
    gradients[name] = gradient;
    const scale = Math.max(0.1, ...gradient.map(Math.abs));
    for (let i = 0; i < gradient.length; i++) {
      const numeric = await stencil(loss, point, name, i, options.step ?? 0.02);
      error = Math.max(error, Math.abs(numeric - gradient[i]!) / scale);
    }
  }
  await forward.close();
  await backward.close();
  return { error, gradients };
}

async function weightedSum(session: OnnxSession, feeds: Parameters<OnnxSession['run']>[0], weights: Float32Array): Promise<number> {
  const y = (await session.run(feeds))['y']!.data as Float32Array;
  let sum = 0;
  for (let i = 0; i < y.length; i++) sum += y[i]! * weights[i]!;
  return sum;
}

async function stencil(loss: (at: Record<string, Float32Array>) => Promise<number>, point: Record<string, Float32Array>, name: string, i: number, step: number): Promise<number> {
  const centre = point[name]![i]!;
  const at = async (offset: number) => {
    const moved = point[name]!.slice();
    moved[i] = centre + offset;
    return { loss: await loss({ ...point, [name]: moved }), offset: moved[i]! - centre };
  };
  const [near, nearBack, far, farBack] = [await at(step), await at(-step), await at(2 * step), await at(-2 * step)];
  const one = (near.loss - nearBack.loss) / (near.offset - nearBack.offset);
  const two = (far.loss - farBack.loss) / (far.offset - farBack.offset);
  return (4 * one - two) / 3;
}
