// Shapes and element types of a graph's values, as far as they follow from its ports, initializers and
// operators. A dimension that only run time knows stays a name; two equal names are the same number.
import { add, divide, multiply } from './dimensions.ts';
import type { Dimension, ElementType, Graph, GraphNode, Initializer } from '../onnx/graph/index.ts';

export type Shape = readonly Dimension[];

/** What is known of each value; a missing entry means that nothing is. */
export interface GraphFacts {
  readonly shapes: ReadonlyMap<string, Shape>;
  readonly types: ReadonlyMap<string, ElementType>;
  /** Contents of small integer initializers: axes, shapes, indices. */
  readonly constants: ReadonlyMap<string, readonly number[]>;
  /** Contents of int64 vectors that are put together from shapes. */
  readonly vectors: ReadonlyMap<string, readonly Dimension[]>;
}

const dataTypes: Readonly<Record<number, ElementType>> = { 1: 'float32', 2: 'uint8', 3: 'int8', 6: 'int32', 7: 'int64', 9: 'bool', 10: 'float16', 11: 'float64', 16: 'bfloat16' };
const comparisons = new Set(['Equal', 'Less', 'LessOrEqual', 'Greater', 'GreaterOrEqual', 'Not', 'And', 'Or', 'Xor', 'IsNaN', 'IsInf']);
const integers = new Set(['Shape', 'Size', 'NonZero', 'ArgMax', 'ArgMin']);

/** Walks the nodes once, in their order. */
export function inferFacts(graph: Graph): GraphFacts {
  const shapes = new Map<string, Shape>();
  const types = new Map<string, ElementType>();
  const constants = new Map<string, readonly number[]>();
  const vectors = new Map<string, readonly Dimension[]>();
  for (const port of graph.inputs) {
    shapes.set(port.name, port.shape);
    types.set(port.name, port.type);
  }
  for (const [name, tensor] of graph.initializers) {
    shapes.set(name, tensor.dims);
    types.set(name, tensor.type);
    const values = integerValues(tensor);
    if (values) constants.set(name, values);
    if (values && tensor.dims.length === 1) vectors.set(name, values);
  }
  const facts: GraphFacts = { shapes, types, constants, vectors };
  for (const node of graph.nodes) {
    const vector = vectorOf(node, facts);
    if (vector) vectors.set(node.outputs[0]!, vector);
    const found = outputShapes(node, facts);
    node.outputs.forEach((output, i) => {
      const shape = found[i];
      if (output !== '' && shape) shapes.set(output, shape);
      const type = outputType(node, types);
      if (output !== '' && type) types.set(output, type);
    });
  }
  return facts;
}

export function intAttribute(node: GraphNode, name: string, fallback: number): number {
  const value = node.attributes[name];
  return typeof value === 'number' ? value : fallback;
}

export function floatAttribute(node: GraphNode, name: string, fallback: number): number {
  const value = node.attributes[name];
  return typeof value === 'object' && 'float' in value ? value.float : fallback;
}

export function intsAttribute(node: GraphNode, name: string): readonly number[] | undefined {
  const value = node.attributes[name];
  return Array.isArray(value) ? value.map(Number) : undefined;
}

/** Result of numpy's broadcasting; a dimension that cannot be decided gets a name of its own. */
export function broadcastShapes(a: Shape, b: Shape, stem: string): Shape {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => {
    const x = a[i - (rank - a.length)] ?? 1;
    const y = b[i - (rank - b.length)] ?? 1;
    if (x === y || y === 1) return x;
    if (x === 1) return y;
    if (typeof x === 'number') return x;
    return typeof y === 'number' ? y : `${stem}#${i}`;
  });
}

export function normalizeAxis(axis: number, rank: number): number {
  return axis < 0 ? axis + rank : axis;
}

function integerValues(tensor: Initializer): readonly number[] | null {
  if (tensor.kind !== 'inline' || tensor.type !== 'int64' || tensor.data.byteLength > 4096) return null;
  const view = new DataView(tensor.data.buffer, tensor.data.byteOffset, tensor.data.byteLength);
  return Array.from({ length: tensor.data.byteLength / 8 }, (_, i) => Number(view.getBigInt64(i * 8, true)));
}

function outputType(node: GraphNode, types: ReadonlyMap<string, ElementType>): ElementType | undefined {
  if (node.op === 'Cast') return dataTypes[intAttribute(node, 'to', 0)];
  if (comparisons.has(node.op)) return 'bool';
  if (integers.has(node.op)) return 'int64';
  if (node.op === 'Where') return types.get(node.inputs[1] ?? '');
  if (node.op === 'ConstantOfShape') {
    const value = node.attributes['value'];
    return typeof value === 'object' && 'tensor' in value ? value.tensor.type : 'float32';
  }
  return types.get(node.inputs[0] ?? '');
}

/** The vector that a node makes of shapes and other vectors; undefined where it is not one. */
function vectorOf(node: GraphNode, { shapes, constants, vectors }: GraphFacts): readonly Dimension[] | undefined {
  const input = (i: number) => vectors.get(node.inputs[i] ?? '');
  switch (node.op) {
    case 'Shape': {
      const end = node.attributes['end'];
      return shapes.get(node.inputs[0]!)?.slice(intAttribute(node, 'start', 0), typeof end === 'number' ? end : undefined);
    }
    case 'Concat': {
      const parts = node.inputs.map((_, i) => input(i));
      return parts.every((part) => part !== undefined) ? parts.flat() : undefined;
    }
    case 'Slice': {
      const [start, end] = [constants.get(node.inputs[1] ?? '')?.[0], constants.get(node.inputs[2] ?? '')?.[0]];
      return start === undefined || end === undefined || node.inputs[4] ? undefined : input(0)?.slice(start, end);
    }
    case 'Gather': {
      const indices = constants.get(node.inputs[1] ?? '');
      const data = input(0);
      return indices && data && shapes.get(node.inputs[1]!)?.length === 1 ? indices.map((index) => data.at(index)!) : undefined;
    }
    default:
      return undefined;
  }
}

function outputShapes(node: GraphNode, facts: GraphFacts): readonly (Shape | undefined)[] {
  const inputs = node.inputs.map((name) => facts.shapes.get(name));
  const constant = (i: number) => facts.constants.get(node.inputs[i] ?? '');
  const stem = node.outputs[0] ?? node.name;
  const x = inputs[0];
  switch (node.op) {
    case 'MatMul':
    case 'FusedMatMul':
      return [matMulShape(node, inputs, stem)];
    case 'Gemm': {
      const b = inputs[1];
      if (!x || !b) return [];
      return [[x[intAttribute(node, 'transA', 0) ? 1 : 0]!, b[intAttribute(node, 'transB', 0) ? 0 : 1]!]];
    }
    case 'LayerNormalization':
    case 'SimplifiedLayerNormalization': {
      if (!x) return [];
      const axis = normalizeAxis(intAttribute(node, 'axis', -1), x.length);
      const statistics = x.map((dim, i) => (i < axis ? dim : 1));
      return [x, statistics, statistics];
    }
    case 'ReduceSum':
    case 'ReduceMean':
    case 'ReduceMax':
      return [reducedShape(node, x, node.inputs[1] ? constant(1) : [], node.inputs[1] !== undefined && node.inputs[1] !== '')];
    case 'Reshape':
      return [reshapedShape(x, facts.vectors.get(node.inputs[1] ?? ''), inputs[1], intAttribute(node, 'allowzero', 0) === 1, stem)];
    case 'Expand':
    case 'ConstantOfShape': {
      const target = facts.vectors.get(node.inputs[node.op === 'Expand' ? 1 : 0] ?? '');
      if (node.op === 'ConstantOfShape') return [target];
      if (x && target) return [broadcastShapes(x, target, stem)];
      const length = inputs[1]?.[0];
      return [typeof length === 'number' ? named(Math.max(length, x?.length ?? 0), stem) : undefined];
    }
    case 'Transpose': {
      if (!x) return [];
      const perm = intsAttribute(node, 'perm') ?? x.map((_, i) => x.length - 1 - i);
      return [perm.map((axis) => x[axis]!)];
    }
    case 'Split':
      return splitShapes(node, x, constant(1), stem);
    case 'Concat':
      return [concatShape(node, inputs, stem)];
    case 'Slice':
      return [slicedShape(x, [1, 2, 3, 4].map((i) => (node.inputs[i] ? constant(i) : undefined)), stem)];
    case 'Gather': {
      const indices = inputs[1];
      if (!x || !indices) return [];
      const axis = normalizeAxis(intAttribute(node, 'axis', 0), x.length);
      return [[...x.slice(0, axis), ...indices, ...x.slice(axis + 1)]];
    }
    case 'GatherND': {
      const indices = inputs[1];
      const depth = indices?.at(-1);
      if (!x || !indices || typeof depth !== 'number') return [];
      return [[...indices.slice(0, -1), ...x.slice(depth + intAttribute(node, 'batch_dims', 0))]];
    }
    case 'GatherElements':
      return [inputs[1]];
    case 'Unsqueeze': {
      const axes = constant(1);
      if (!x || !axes) return [];
      const rank = x.length + axes.length;
      const added = new Set(axes.map((axis) => normalizeAxis(axis, rank)));
      const rest = [...x];
      return [Array.from({ length: rank }, (_, i) => (added.has(i) ? 1 : rest.shift()!))];
    }
    case 'Squeeze': {
      const axes = constant(1);
      if (!x || !axes) return [];
      const gone = new Set(axes.map((axis) => normalizeAxis(axis, x.length)));
      return [x.filter((_, i) => !gone.has(i))];
    }
    case 'Where':
      return inputs[0] && inputs[1] && inputs[2] ? [broadcastShapes(broadcastShapes(inputs[0], inputs[1], `${stem}/c`), inputs[2], stem)] : [];
    case 'Shape': {
      const vector = facts.vectors.get(node.outputs[0] ?? '');
      return [vector ? [vector.length] : undefined];
    }
    case 'Size':
      return [[]];
    case 'Add': case 'Sub': case 'Mul': case 'Div': case 'Pow':
    case 'Equal': case 'Less': case 'LessOrEqual': case 'Greater': case 'GreaterOrEqual': case 'And': case 'Or':
      return inputs[0] && inputs[1] ? [broadcastShapes(inputs[0], inputs[1], stem)] : [];
    case 'Neg': case 'Exp': case 'Log': case 'Sqrt': case 'Relu': case 'Sigmoid': case 'Tanh': case 'Erf': case 'Gelu': case 'QuickGelu':
    case 'Reciprocal': case 'Sin': case 'Cos': case 'Abs': case 'Sign': case 'Softplus': case 'Softmax': case 'LogSoftmax': case 'Cast':
    case 'Identity': case 'Not': case 'RotaryEmbedding': case 'ScatterND': case 'ScatterElements': case 'Trilu': case 'Clip':
      return [x];
    default:
      return [];
  }
}

function named(rank: number, stem: string): Shape {
  return Array.from({ length: rank }, (_, i) => `${stem}#${i}`);
}

function matMulShape(node: GraphNode, [a, b]: readonly (Shape | undefined)[], stem: string): Shape | undefined {
  if (!a || !b || a.length < 2 || b.length < 2) return undefined;
  const rows = intAttribute(node, 'transA', 0) ? a.at(-1)! : a.at(-2)!;
  const columns = intAttribute(node, 'transB', 0) ? b.at(-2)! : b.at(-1)!;
  return [...broadcastShapes(a.slice(0, -2), b.slice(0, -2), stem), rows, columns];
}

function reducedShape(node: GraphNode, x: Shape | undefined, axes: readonly number[] | undefined, given: boolean): Shape | undefined {
  const keep = intAttribute(node, 'keepdims', 1) === 1;
  if (given && axes === undefined) return keep && x ? named(x.length, node.outputs[0] ?? node.name) : undefined;
  if (!x) return given || keep ? undefined : [];
  const all = !axes || axes.length === 0;
  if (all && intAttribute(node, 'noop_with_empty_axes', 0) === 1) return x;
  const gone = new Set(all ? x.keys() : axes.map((axis) => normalizeAxis(axis, x.length)));
  return keep ? x.map((dim, i) => (gone.has(i) ? 1 : dim)) : x.filter((_, i) => !gone.has(i));
}

function reshapedShape(x: Shape | undefined, target: readonly Dimension[] | undefined, targetShape: Shape | undefined, zeroIsZero: boolean, stem: string): Shape | undefined {
  if (!target) {
    const rank = targetShape?.[0];
    return typeof rank === 'number' ? named(rank, stem) : undefined;
  }
  const dims: Dimension[] = target.map((dim, i) => (dim === 0 && !zeroIsZero ? (x?.[i] ?? `${stem}#${i}`) : dim));
  const free = dims.indexOf(-1);
  if (free < 0) return dims;
  const rest = dims.filter((_, i) => i !== free);
  dims[free] = (x && divide(multiply(x), multiply(rest))) ?? `${stem}#${free}`;
  return dims;
}

function splitShapes(node: GraphNode, x: Shape | undefined, sizes: readonly number[] | undefined, stem: string): readonly Shape[] {
  if (!x) return [];
  const axis = normalizeAxis(intAttribute(node, 'axis', 0), x.length);
  const whole = x[axis];
  const count = node.outputs.length;
  return node.outputs.map((_, i) => {
    const even = !node.inputs[1] && typeof whole === 'number' && whole % count === 0 ? whole / count : `${stem}#${i}`;
    return x.map((dim, d) => (d === axis ? (sizes?.[i] ?? even) : dim));
  });
}

function concatShape(node: GraphNode, inputs: readonly (Shape | undefined)[], stem: string): Shape | undefined {
  const known = inputs.find((shape) => shape !== undefined);
  if (!known) return undefined;
  const axis = normalizeAxis(intAttribute(node, 'axis', 0), known.length);
  const parts = inputs.map((shape) => shape?.[axis]);
  const sum = parts.every((dim) => dim !== undefined) ? add(parts) : `${stem}#${axis}`;
  return known.map((dim, i) => (i === axis ? sum : dim));
}

function slicedShape(x: Shape | undefined, [starts, ends, axes, steps]: readonly (readonly number[] | undefined)[], stem: string): Shape | undefined {
  if (!x) return undefined;
  const where = new Map((axes ?? starts?.map((_, i) => i) ?? x.map((_, i) => i)).map((axis, i) => [normalizeAxis(axis, x.length), i]));
  return x.map((dim, d) => {
    const i = where.get(d);
    if (i === undefined) return dim;
    const start = starts?.[i];
    const end = ends?.[i];
    const step = steps?.[i] ?? 1;
    if (start === undefined || end === undefined || typeof dim !== 'number' || step !== 1) return `${stem}#${d}`;
    const clamp = (value: number) => Math.min(Math.max(value < 0 ? value + dim : value, 0), dim);
    return Math.max(clamp(end) - clamp(start), 0);
  });
}
