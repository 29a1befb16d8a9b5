// Each rule against central differences, on shapes that broadcast and on shapes known only at run time.
import { describe, expect, test } from '@jest/globals';
import { differentiableOperators } from '../../src/autodiff/index.ts';
import type { GraphBuilder, Value } from '../../src/onnx/graph/index.ts';
import { checkGradients, type Variable } from './finite-differences.ts';

type Values = Readonly<Record<string, Value>>;

interface Case {
  readonly op: string;
  readonly name: string;
  readonly variables: Readonly<Record<string, Variable>>;
  readonly build: (graph: GraphBuilder, values: Values) => Value;
}

const fused = { domain: 'com.microsoft' };
const positive: readonly [number, number] = [0.5, 2];

function binary(op: string, a: Variable, b: Variable, name: string): Case {
  return { op, name, variables: { a, b }, build: (g, v) => g.op(op, [v['a']!, v['b']!]) };
}

function unary(op: string, range: readonly [number, number] = [-1.5, 1.5], attributes = {}, domain = ''): Case {
  return { op: domain === '' ? op : `${domain}.${op}`, name: JSON.stringify(attributes), variables: { x: { dims: [2, 3], range } }, build: (g, v) => g.op(op, [v['x']!], attributes, { domain }) };
}

/** The operator between two others, so that gradients arrive and leave in a general form. */
function layout(op: string, name: string, dims: readonly number[], build: (graph: GraphBuilder, x: Value) => Value, open?: readonly (string | number)[]): Case {
  return { op, name, variables: { x: { dims, ...(open ? { open } : {}) } }, build: (g, v) => g.op('Tanh', [build(g, g.op('Mul', [v['x']!, v['x']!]))]) };
}

const away = (values: readonly number[]) => ({ dims: [values.length], data: values });

const cases: readonly Case[] = [
  binary('MatMul', { dims: [2, 3] }, { dims: [3, 4] }, 'matrices'),
  binary('MatMul', { dims: [2, 2, 3], open: ['batch', 'rows', 3] }, { dims: [3, 4] }, 'a batch times one matrix'),
  binary('MatMul', { dims: [2, 3] }, { dims: [2, 3, 2] }, 'one matrix times a batch'),
  binary('MatMul', { dims: [1, 2, 2, 3] }, { dims: [2, 1, 3, 2] }, 'batches that broadcast both ways'),
  binary('MatMul', { dims: [1, 2, 3], open: ['p', 2, 3] }, { dims: [2, 3, 2], open: ['q', 3, 2] }, 'batches of unknown extent'),
  ...[0, 1].flatMap((transA) =>
    [0, 1].flatMap((transB) => [
      {
        op: 'com.microsoft.FusedMatMul', name: `transA ${transA} transB ${transB}`,
        variables: { a: { dims: transA ? [2, 3, 2] : [2, 2, 3] }, b: { dims: transB ? [2, 4, 3] : [2, 3, 4] } },
        build: (g: GraphBuilder, v: Values) => g.op('FusedMatMul', [v['a']!, v['b']!], { transA, transB, alpha: { float: 0.7 } }, fused),
      },
      {
        op: 'com.microsoft.FusedMatMul', name: `one right factor, transA ${transA} transB ${transB}`,
        variables: { a: { dims: transA ? [2, 3, 2] : [2, 2, 3], open: ['b', transA ? 3 : 'r', transA ? 'r' : 3] }, b: { dims: transB ? [4, 3] : [3, 4] } },
        build: (g: GraphBuilder, v: Values) => g.op('FusedMatMul', [v['a']!, v['b']!], { transA, transB, alpha: { float: 0.7 } }, fused),
      },
      {
        op: 'Gemm', name: `transA ${transA} transB ${transB}`,
        variables: { a: { dims: transA ? [3, 2] : [2, 3] }, b: { dims: transB ? [4, 3] : [3, 4] }, c: { dims: [4] } },
        build: (g: GraphBuilder, v: Values) => g.op('Gemm', [v['a']!, v['b']!, v['c']!], { transA, transB, alpha: { float: 0.7 }, beta: { float: 1.3 } }),
      },
    ]),
  ),
  ...['Add', 'Sub', 'Mul', 'Div'].flatMap((op) => [
    binary(op, { dims: [2, 3] }, { dims: [2, 3], range: positive }, 'equal shapes'),
    binary(op, { dims: [2, 3] }, { dims: [3], range: positive }, 'a row for all'),
    binary(op, { dims: [3, 1] }, { dims: [2, 1, 4], range: positive }, 'stretched both ways'),
    binary(op, { dims: [1, 3], open: ['p', 3] }, { dims: [2, 3], open: ['q', 3], range: positive }, 'unknown extents, left stretched'),
    binary(op, { dims: [2, 3], open: ['n', 3] }, { dims: [2, 3], open: ['n', 3], range: positive }, 'one unknown extent'),
  ]),
  binary('Pow', { dims: [2, 3], range: positive }, { dims: [3] }, 'both vary'),
  { op: 'Pow', name: 'a square', variables: { x: { dims: [4] } }, build: (g, v) => g.op('Pow', [v['x']!, g.scalar(2)]) },
  { op: 'Sum', name: 'of three', variables: { a: { dims: [2, 3] }, b: { dims: [3] }, c: { dims: [2, 1] } }, build: (g, v) => g.op('Sum', [v['a']!, v['b']!, v['c']!]) },
  { op: 'Where', name: 'broadcast', variables: { a: { dims: [2, 3] }, b: { dims: [] } }, build: (g, v) => g.op('Where', [g.op('Less', [v['a']!, g.scalar(5)]), g.op('Where', [g.op('Equal', [g.scalar(1), g.scalar(2)]), v['b']!, v['a']!]), v['b']!]) },
  unary('Identity'), unary('Neg'), unary('Exp'), unary('Log', positive), unary('Sqrt', positive), unary('Reciprocal', positive), unary('Sin'), unary('Cos'), unary('Abs', positive),
  { op: 'Relu', name: 'away from zero', variables: { x: away([-1, -0.3, 0.4, 1.2]) }, build: (g, v) => g.op('Relu', [v['x']!]) },
  unary('Sigmoid'), unary('Tanh'), unary('Softplus'), unary('Erf'), unary('Gelu'), unary('Gelu', [-1.5, 1.5], { approximate: 'tanh' }), unary('Gelu', [-1.5, 1.5], {}, 'com.microsoft'),
  unary('QuickGelu', [-1.5, 1.5], { alpha: { float: 1 } }, 'com.microsoft'), unary('QuickGelu', [-1.5, 1.5], {}, 'com.microsoft'),
  unary('Softmax', [-1.5, 1.5], { axis: -1 }), unary('Softmax', [-1.5, 1.5], { axis: 0 }), unary('LogSoftmax', [-1.5, 1.5], { axis: -1 }), unary('LogSoftmax', [-1.5, 1.5], { axis: 0 }),
  { op: 'LayerNormalization', name: 'with bias', variables: { x: { dims: [2, 2, 5] }, s: { dims: [5] }, b: { dims: [5] } }, build: (g, v) => g.op('LayerNormalization', [v['x']!, v['s']!, v['b']!], { axis: -1, epsilon: { float: 1e-5 } }) },
  { op: 'SimplifiedLayerNormalization', name: 'last axis', variables: { x: { dims: [2, 2, 5] }, s: { dims: [5] } }, build: (g, v) => g.op('SimplifiedLayerNormalization', [v['x']!, v['s']!], { axis: -1, epsilon: { float: 1e-5 }, stash_type: 1 }) },
  ...['ReduceSum', 'ReduceMean'].flatMap((op) => [
    layout(op, 'one axis, dropped', [2, 3, 2], (g, x) => g.op(op, [x, g.ints([1])], { keepdims: 0 })),
    layout(op, 'one axis, kept, of unknown extent', [2, 3, 2], (g, x) => g.op(op, [x, g.ints([-2])], { keepdims: 1 }), [2, 'n', 2]),
    layout(op, 'two axes, of unknown extent', [2, 3, 2], (g, x) => g.op(op, [x, g.ints([0, -1])], { keepdims: 0 }), ['m', 3, 'n']),
    layout(op, 'everything', [2, 3], (g, x) => g.op(op, [x], { keepdims: 0 }), ['m', 3]),
  ]),
  layout('Reshape', 'with an open dimension', [2, 6], (g, x) => g.op('Reshape', [x, g.ints([0, -1, 2])]), ['n', 6]),
  layout('Reshape', 'two unknown extents', [2, 3, 4], (g, x) => g.op('Reshape', [x, g.ints([0, 0, 2, 2])]), ['b', 's', 4]),
  layout('Squeeze', 'axis 1', [2, 1, 3], (g, x) => g.op('Squeeze', [x, g.ints([1])])),
  layout('Unsqueeze', 'axis -1', [2, 3], (g, x) => g.op('Unsqueeze', [x, g.ints([-1])])),
  layout('Flatten', 'axis 1', [2, 2, 3], (g, x) => g.op('Flatten', [x], { axis: 1 })),
  layout('Expand', 'to a batch', [2, 1], (g, x) => g.op('Expand', [x, g.ints([3, 2, 4])])),
  layout('Transpose', 'perm', [2, 3, 4], (g, x) => g.op('Transpose', [x], { perm: [1, 2, 0] })),
  layout('Transpose', 'reversed', [2, 3], (g, x) => g.op('Transpose', [x])),
  layout('Split', 'one of three parts unused', [2, 6], (g, x) => { const [a, , c] = g.ops('Split', [x, g.ints([1, 2, 3])], { axis: 1 }, { outputs: 3 }); return g.op('Mul', [a!, c!]); }),
  layout('Concat', 'known sizes', [2, 3], (g, x) => g.op('Concat', [x, g.op('Neg', [x])], { axis: -1 })),
  layout('Concat', 'unknown sizes', [2, 3], (g, x) => g.op('Concat', [x, g.op('Exp', [x])], { axis: 0 }), ['n', 3]),
  layout('Slice', 'a block', [4, 5], (g, x) => g.op('Slice', [x, g.ints([1, -3]), g.ints([3, 100]), g.ints([0, 1])])),
  layout('Slice', 'from the end of an unknown extent', [4, 5], (g, x) => g.op('Slice', [x, g.ints([-2]), g.ints([-1]), g.ints([0])]), ['n', 5]),
  layout('Slice', 'every second', [3, 5], (g, x) => g.op('Slice', [x, g.ints([0]), g.ints([5]), g.ints([1]), g.ints([2])])),
  layout('Slice', 'backwards', [3, 5], (g, x) => g.op('Slice', [x, g.ints([4]), g.ints([-100]), g.ints([-1]), g.ints([-2])])),
  layout('Gather', 'rows, some twice', [4, 2], (g, x) => g.op('Gather', [x, g.ints([0, 2, 2, -1])])),
  layout('Gather', 'columns by a matrix', [2, 4, 2], (g, x) => g.op('Gather', [x, g.ints([0, 2, 2, 1], [2, 2])], { axis: 1 }), ['n', 4, 2]),
  layout('Gather', 'one by a scalar', [3, 2, 2], (g, x) => g.op('Gather', [x, g.ints([-1], [])], { axis: 0 })),
  layout('GatherND', 'positions', [2, 3, 2], (g, x) => g.op('GatherND', [x, g.ints([0, 1, 1, 2, 0, 1], [3, 2])])),
  layout('GatherND', 'whole rows, one twice, counted from the end, of a batch of unknown extent', [2, 3, 2], (g, x) => g.op('GatherND', [x, g.ints([0, 1, -1, -1, 0, 1], [3, 2])]), ['b', 's', 2]),
  layout('GatherElements', 'one of each row, some twice', [3, 4], (g, x) => g.op('GatherElements', [x, g.ints([0, 0, 3, 1, 2, 2], [3, 2])], { axis: 1 })),
  { op: 'ScatterND', name: 'rows put into a batch', variables: { x: { dims: [2, 3, 2], open: ['b', 's', 2] }, rows: { dims: [2, 2] } }, build: (g, v) => g.op('ScatterND', [g.op('Tanh', [v['x']!]), g.ints([0, 1, 1, 2], [2, 2]), g.op('Tanh', [v['rows']!])]) },
  { op: 'com.microsoft.RotaryEmbedding', name: 'two heads', variables: { x: { dims: [2, 3, 8] } }, build: (g, v) => {
    const angles = Array.from({ length: 10 }, (_, i) => 0.3 * i);
    const table = (f: (x: number) => number, name: string) => g.floats(name, [5, 2], Float32Array.from(angles, f));
    return g.op('RotaryEmbedding', [v['x']!, g.ints([0, 1, 2, 2, 3, 4], [2, 3]), table(Math.cos, 'cos'), table(Math.sin, 'sin')], { num_heads: 2, rotary_embedding_dim: 4 }, fused);
  } },
  { op: 'Cast', name: 'through double precision', variables: { x: { dims: [3] } }, build: (g, v) => g.op('Cast', [g.op('Cast', [v['x']!], { to: 11 })], { to: 1 }) },
];

describe('gradients equal central differences', () => {
  for (const each of cases) {
    test(`${each.op}: ${each.name}`, async () => {
      const { error } = await checkGradients(each.variables, each.build);
      expect(error).toBeLessThan(1e-3);
    });
  }

  test('every operator with a rule stands in the list above', () => {
    expect([...new Set(cases.map((each) => each.op))].sort()).toEqual([...differentiableOperators].sort());
  });
});
