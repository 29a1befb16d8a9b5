// What the transformation of a whole graph promises: nothing superfluous, typed refusals, repeatable
// sums, and the right gradient of a small transformer.
import { describe, expect, test } from '@jest/globals';
import { differentiate } from '../../src/autodiff/index.ts';
import { GraphBuilder, toModelBytes, type Value } from '../../src/onnx/graph/index.ts';
import { float32, openSession } from '../../src/onnx/run/index.ts';
import { checkGradients, random } from './finite-differences.ts';

test('nothing is differentiated where no wanted value is upstream', () => {
  const graph = new GraphBuilder('two-layers');
  const x = graph.input('x', 'float32', [2, 3]);
  const w = graph.floats('w', [3, 3], new Float32Array(9));
  const frozen = graph.op('Tanh', [graph.op('MatMul', [x, w])], {}, { name: 'frozen' });
  const v = graph.floats('v', [3, 3], new Float32Array(9));
  graph.output(graph.op('ReduceSum', [graph.op('MatMul', [frozen, v])], { keepdims: 0 }), 'loss', 'float32', []);
  const forward = graph.build();
  const added = differentiate(forward, { of: 'loss', wrt: ['v'] }).nodes.slice(forward.nodes.length);
  expect(added.some((node) => node.op === 'Tanh' || node.inputs.includes('w'))).toBe(false);
  expect(added.filter((node) => node.op === 'FusedMatMul')).toHaveLength(1);
});

test('a wanted value without influence has the gradient zero', async () => {
  const graph = new GraphBuilder('idle');
  const x = graph.input('x', 'float32', ['n']);
  graph.input('idle', 'float32', ['m', 2]);
  graph.output(graph.op('ReduceSum', [graph.op('Mul', [x, x])], { keepdims: 0 }), 'loss', 'float32', []);
  const session = await openSession(toModelBytes(differentiate(graph.build(), { of: 'loss', wrt: ['x', 'idle'] })), { threads: 1 });
  const found = await session.run({ x: float32(Float32Array.of(1, -2), [2]), idle: float32(new Float32Array(6), [3, 2]) });
  expect(Array.from(found['gradient/x']!.data as Float32Array)).toEqual([2, -4]);
  expect(found['gradient/idle']!.dims).toEqual([3, 2]);
  expect(Array.from(found['gradient/idle']!.data as Float32Array)).toEqual([0, 0, 0, 0, 0, 0]);
  await session.close();
});

test('the same value may be wanted inside the graph, as an initializer and as an input', async () => {
  const graph = new GraphBuilder('inner');
  const x = graph.input('x', 'float32', [2]);
  const inner = graph.op('Mul', [x, graph.floats('w', [2], Float32Array.of(3, 5))], {}, { name: 'inner' });
  graph.output(graph.op('ReduceSum', [graph.op('Mul', [inner, inner])], { keepdims: 0 }), 'loss', 'float32', []);
  const both = differentiate(graph.build(), { of: 'loss', wrt: ['x', 'w', inner.name], nameOf: (value) => `d ${value}` });
  const session = await openSession(toModelBytes(both), { threads: 1 });
  const found = await session.run({ x: float32(Float32Array.of(1, 2), [2]) });
  expect(Array.from(found[`d ${inner.name}`]!.data as Float32Array)).toEqual([6, 20]);
  expect(Array.from(found['d x']!.data as Float32Array)).toEqual([18, 100]);
  expect(Array.from(found['d w']!.data as Float32Array)).toEqual([6, 40]);
  await session.close();
});

describe('refusals name the node', () => {
  function through(op: string, attributes = {}): GraphBuilder {
    const graph = new GraphBuilder('refused');
    graph.output(graph.op(op, [graph.input('x', 'float32', [2, 2])], attributes, { name: 'layers/7/odd' }), 'y', 'float32', [2, 2]);
    return graph;
  }

  test('an operator without a rule', () => {
    expect(() => differentiate(through('Hardmax').build(), { cotangents: { y: 'g' }, wrt: ['x'] })).toThrow(expect.objectContaining({ code: 'AUTODIFF_OPERATOR', what: expect.stringContaining('layers/7/odd') }));
  });

  test('an operator without a rule does no harm where no gradient passes', () => {
    expect(() => differentiate(through('Hardmax').build(), { cotangents: { y: 'g' }, wrt: [] })).not.toThrow();
  });

  test('a value that is not there', () => {
    expect(() => differentiate(through('Tanh').build(), { of: 'loss', wrt: ['x'] })).toThrow(expect.objectContaining({ code: 'AUTODIFF_VALUE' }));
  });

  test('attributes outside the rule', () => {
    const graph = new GraphBuilder('batched');
    const x = graph.input('x', 'float32', [2, 3, 2]);
    graph.output(graph.op('GatherND', [x, graph.ints([0, 1], [2, 1])], { batch_dims: 1 }), 'y', 'float32', [2, 2]);
    expect(() => differentiate(graph.build(), { cotangents: { y: 'g' }, wrt: ['x'] })).toThrow(expect.objectContaining({ code: 'AUTODIFF_UNSUPPORTED' }));
  });
});

test('gathering the same rows again and again adds up the same way every time, with several threads', async () => {
  const graph = new GraphBuilder('duplicates');
  const x = graph.input('x', 'float32', [5, 64]);
  const indices = Array.from({ length: 4000 }, (_, i) => (i * 7) % 5);
  graph.output(graph.op('Gather', [x, graph.ints(indices)]), 'y', 'float32', [4000, 64]);
  const session = await openSession(toModelBytes(differentiate(graph.build(), { cotangents: { y: 'g' }, wrt: ['x'] })), { threads: 2 });
  const next = random(5);
  const g = Float32Array.from({ length: 4000 * 64 }, () => next() - 0.5);
  const run = async () => (await session.run({ x: float32(new Float32Array(320), [5, 64]), g: float32(g, [4000, 64]) }))['gradient/x']!.data as Float32Array;
  const first = await run();
  for (let column = 0; column < 64; column++) {
    const sum = indices.reduce((total, row, i) => (row === 3 ? total + g[i * 64 + column]! : total), 0);
    expect(Math.abs(first[3 * 64 + column]! - sum)).toBeLessThan(1e-3);
  }
  for (let i = 0; i < 20; i++) expect(await run()).toEqual(first);
  await session.close();
});

/** Two pre-norm layers with two heads, GELU, a causal mask and the cross entropy of all positions. */
function transformer(graph: GraphBuilder, v: Readonly<Record<string, Value>>): Value {
  const next = random(9);
  const floats = (name: string, dims: readonly number[]) => graph.floats(name, dims, Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, () => (next() - 0.5) * 0.8));
  const heads = (value: Value) => graph.op('Transpose', [graph.op('Reshape', [value, graph.ints([0, 0, 2, 3])])], { perm: [0, 2, 1, 3] });
  const product = (x: Value, w: Value) => graph.op('FusedMatMul', [x, w], { transB: 1 }, { domain: 'com.microsoft' });
  const mask = graph.floats('mask', [1, 1, 4, 4], Float32Array.from({ length: 16 }, (_, i) => (i % 4 > Math.floor(i / 4) ? -1e30 : 0)));
  let x = graph.op('Add', [v['x']!, v['bias']!]);
  for (const layer of ['a', 'b']) {
    const norm = (value: Value, name: string) => graph.op('LayerNormalization', [value, floats(`${layer}/${name}/scale`, [6]), floats(`${layer}/${name}/bias`, [6])], { axis: -1, epsilon: { float: 1e-5 } });
    const qkv = product(norm(x, 'n1'), floats(`${layer}/qkv`, [18, 6]));
    const [q, k, value] = graph.ops('Split', [qkv, graph.ints([6, 6, 6])], { axis: -1 }, { outputs: 3 }).map(heads);
    const scores = graph.op('Add', [graph.op('FusedMatMul', [q!, k!], { transB: 1, alpha: { float: 0.6 } }, { domain: 'com.microsoft' }), mask]);
    const mixed = graph.op('MatMul', [graph.op('Softmax', [scores], { axis: -1 }), value!]);
    x = graph.op('Add', [x, product(graph.op('Reshape', [graph.op('Transpose', [mixed], { perm: [0, 2, 1, 3] }), graph.ints([0, 0, 6])]), floats(`${layer}/o`, [6, 6]))]);
    x = graph.op('Add', [x, product(graph.op('Gelu', [product(norm(x, 'n2'), floats(`${layer}/up`, [9, 6]))]), floats(`${layer}/down`, [6, 9]))]);
  }
  const logits = product(graph.op('GatherND', [x, graph.ints([0, 1, 0, 3, 1, 2], [3, 2])]), floats('head', [7, 6]));
  const logProbabilities = graph.op('LogSoftmax', [logits], { axis: -1 });
  return graph.op('Neg', [graph.op('ReduceMean', [graph.op('GatherElements', [logProbabilities, graph.ints([4, 0, 6], [3, 1])], { axis: 1 })], { keepdims: 0 })]);
}

test.each([1, 2, 3])('the gradient of a small transformer equals central differences (seed %i)', async (seed) => {
  const { error, gradients } = await checkGradients({ x: { dims: [2, 4, 6], open: ['b', 's', 6] }, bias: { dims: [6] } }, transformer, { seed, step: 0.03 });
  expect(error).toBeLessThan(1e-3);
  expect(Math.max(...gradients['x']!.map(Math.abs))).toBeGreaterThan(0.01);
});

test('shapes that pass through grouped heads stay known: nothing is compared at run time', async () => {
  const grouped = (graph: GraphBuilder, v: Readonly<Record<string, Value>>): Value => {
    // [b, 4, s, 3] -> [b, 2, 2·s, 3] and back, with a mask laid under itself and a residual sum.
    const queries = graph.op('Reshape', [v['x']!, graph.ints([0, 2, -1, 3])]);
    const masked = graph.op('Add', [queries, graph.op('Concat', [v['mask']!, v['mask']!], { axis: 2 })]);
    return graph.op('Mul', [graph.op('Reshape', [graph.op('Tanh', [masked]), graph.ints([0, 4, -1, 3])]), v['x']!]);
  };
  const variables = { x: { dims: [2, 4, 5, 3], open: ['b', 4, 's', 3] }, mask: { dims: [1, 1, 5, 3], open: [1, 1, 's', 3] } };
  expect((await checkGradients(variables, grouped)).error).toBeLessThan(1e-3);
  const graph = new GraphBuilder('grouped');
  graph.output(grouped(graph, { x: graph.input('x', 'float32', variables.x.open), mask: graph.input('mask', 'float32', variables.mask.open) }), 'y', 'float32', variables.x.open);
  expect(differentiate(graph.build(), { cotangents: { y: 'g' }, wrt: ['x', 'mask'] }).nodes.filter(({ op }) => op === 'NonZero')).toEqual([]);
});
