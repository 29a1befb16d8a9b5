// What a rule of differentiation works with: one node of the forward graph, the gradients that reached
// its outputs, and a builder for the nodes that carry them on to its inputs.
import type { AttributeValue, Dimension, GraphBuilder, GraphNode, Value } from '../onnx/graph/index.ts';
import { FromageError } from '../errors.ts';
import { productOf, termsOf } from './dimensions.ts';
import { type GraphFacts, floatAttribute, intAttribute, intsAttribute, type Shape } from './shapes.ts';

/** Gradients of a node's inputs, in their order; null where none is wanted or none exists. */
export type InputGradients = readonly (Value | null)[];

/** How one operator hands gradients back. */
export interface Rule {
  /** Inputs that gradients can flow to; all when absent. */
  readonly through?: readonly number[];
  readonly backward: (adjoint: Adjoint) => InputGradients;
}

/** Where a named dimension can be read at run time: an axis of a graph input. */
export type DimensionSources = ReadonlyMap<string, { readonly input: string; readonly axis: number }>;

/** Shapes that were already built as tensors: by their dimensions, or by the value they were read from. */
export type ShapeTensors = Map<string, Value>;

export interface AdjointParts {
  readonly node: GraphNode;
  readonly graph: GraphBuilder;
  readonly facts: GraphFacts;
  readonly sources: DimensionSources;
  readonly shapeTensors: ShapeTensors;
  readonly gradients: readonly (Value | null)[];
  readonly wanted: readonly boolean[];
}

export class Adjoint {
  readonly node: GraphNode;
  readonly graph: GraphBuilder;
  readonly #parts: AdjointParts;

  constructor(parts: AdjointParts) {
    this.node = parts.node;
    this.graph = parts.graph;
    this.#parts = parts;
  }

  input(index: number): Value {
    return { name: this.node.inputs[index] ?? '' };
  }

  output(index = 0): Value {
    return { name: this.node.outputs[index] ?? '' };
  }

  has(index: number): boolean {
    return (this.node.inputs[index] ?? '') !== '';
  }

  /** The gradient of output 0; rules are called only when some output has one. */
  get gradient(): Value {
    const gradient = this.#parts.gradients[0];
    if (!gradient) throw this.unsupported('only an output beside the first is differentiated');
    return gradient;
  }

  /** The gradient of any output, null where nothing depends on it. */
  gradientOf(index: number): Value | null {
    return this.#parts.gradients[index] ?? null;
  }

  wants(index: number): boolean {
    return this.#parts.wanted[index] ?? false;
  }

  /** `make` for wanted inputs, null for the others. */
  each(...makers: readonly ((() => Value) | null)[]): InputGradients {
    return makers.map((make, i) => (make && this.wants(i) ? make() : null));
  }

  shape(index: number): Shape | undefined {
    return this.#parts.facts.shapes.get(this.node.inputs[index] ?? '');
  }

  outputShape(index = 0): Shape | undefined {
    return this.#parts.facts.shapes.get(this.node.outputs[index] ?? '');
  }

  rank(index: number): number {
    const shape = this.shape(index);
    if (!shape) throw this.unsupported(`the rank of input ${index} does not follow from the graph`);
    return shape.length;
  }

  type(index: number): string | undefined {
    return this.#parts.facts.types.get(this.node.inputs[index] ?? '');
  }

  constant(index: number): readonly number[] | undefined {
    return this.#parts.facts.constants.get(this.node.inputs[index] ?? '');
  }

  int(name: string, fallback: number): number {
    return intAttribute(this.node, name, fallback);
  }

  float(name: string, fallback: number): number {
    return floatAttribute(this.node, name, fallback);
  }

  ints(name: string): readonly number[] | undefined {
    return intsAttribute(this.node, name);
  }

  op(op: string, inputs: readonly (Value | null)[], attributes: Readonly<Record<string, AttributeValue>> = {}): Value {
    return this.graph.op(op, inputs, attributes);
  }

  /** `alpha · A' · B'` with either factor transposed in its last two axes. */
  matMul(a: Value, b: Value, options: { readonly transA?: boolean; readonly transB?: boolean; readonly alpha?: number } = {}): Value {
    const attributes = { transA: options.transA ? 1 : 0, transB: options.transB ? 1 : 0, alpha: { float: options.alpha ?? 1 } };
    return this.graph.op('FusedMatMul', [a, b], attributes, { domain: 'com.microsoft' });
  }

  mul(a: Value, b: Value | number): Value {
    return this.op('Mul', [a, typeof b === 'number' ? this.graph.scalar(b) : b]);
  }

  sum(value: Value, axes: readonly number[], keepDims: boolean): Value {
    return this.op('ReduceSum', [value, this.graph.ints(axes)], { keepdims: keepDims ? 1 : 0 });
  }

  mean(value: Value, axes: readonly number[]): Value {
    return this.op('ReduceMean', [value, this.graph.ints(axes)], { keepdims: 1 });
  }

  /**
   * The shape of an input as an int64 tensor. Built from constants and the graph's inputs where that is
   * possible, so that it does not keep the value itself alive until the backward pass.
   */
  shapeTensor(index: number): Value {
    const shape = this.shape(index);
    if (!shape || shape.some((dim) => !this.#hasSource(dim))) return this.#shapeOf(this.input(index));
    return this.#shared(`dims ${shape.join(' ')}`, () => {
      const parts = shape.map((dim) => this.#dimension(dim));
      return parts.length === 0 ? this.graph.ints([]) : this.op('Concat', parts, { axis: 0 });
    });
  }

  /** `value` in the shape of an input. */
  reshapeLike(value: Value, index: number): Value {
    const shape = this.shape(index);
    const open = shape?.filter((dim) => typeof dim === 'string').length ?? 2;
    if (shape && open <= 1 && !shape.includes(0)) return this.reshape(value, shape.map((dim) => (typeof dim === 'string' ? -1 : dim)));
    return this.op('Reshape', [value, this.shapeTensor(index)], { allowzero: 1 });
  }

  reshape(value: Value, dims: readonly number[]): Value {
    return this.op('Reshape', [value, this.graph.ints(dims)]);
  }

  /** Zeros in the shape of an input. */
  zerosLike(index: number): Value {
    return this.op('ConstantOfShape', [this.shapeTensor(index)]);
  }

  /** A matrix of the same columns with all leading axes in one. */
  flatten(value: Value, columns: Dimension | undefined): Value {
    if (typeof columns === 'number') return this.reshape(value, [-1, columns]);
    const last = this.op('Slice', [this.op('Shape', [value]), this.graph.ints([-1]), this.graph.ints([2 ** 31 - 1])]);
    return this.op('Reshape', [value, this.op('Concat', [this.graph.ints([-1]), last], { axis: 0 })]);
  }

  /** Sums a gradient in the output's shape over the axes along which an input was broadcast. */
  reduceTo(gradient: Value, index: number): Value {
    return this.#reduce(gradient, this.outputShape(), index);
  }

  /** The same for a factor of a batched product: its last two axes are its own, only the batch was broadcast. */
  reduceBatch(gradient: Value, index: number): Value {
    const target = this.shape(index);
    const batch = this.outputShape()?.slice(0, -2);
    return this.#reduce(gradient, target && batch ? [...batch, ...target.slice(-2)] : undefined, index);
  }

  unsupported(why: string): FromageError {
    return new FromageError({
      code: 'AUTODIFF_UNSUPPORTED',
      what: `node ${this.node.name} (${this.node.op}) cannot be differentiated`,
      why,
      todo: 'build the graph from the operators and attributes that src/autodiff lists',
    });
  }

  #reduce(gradient: Value, source: Shape | undefined, index: number): Value {
    const target = this.shape(index);
    if (!target || !source) return this.#reduceAtRunTime(gradient, index);
    const missing = source.length - target.length;
    // A name in the target that is not the same name in the source may turn out to be 1.
    if (target.some((dim, i) => typeof dim === 'string' && dim !== source[i + missing])) return this.#reduceAtRunTime(gradient, index);
    const leading = Array.from({ length: missing }, (_, i) => i);
    const stretched = target.flatMap((dim, i) => (dim === 1 && source[i + missing] !== 1 ? [i + missing] : []));
    if (missing + stretched.length === 0) return gradient;
    if (stretched.length === 0) return this.sum(gradient, leading, false);
    const reduced = this.sum(gradient, [...leading, ...stretched], missing === 0);
    return missing === 0 ? reduced : this.reshapeLike(reduced, index);
  }

  /** Undecided dimensions: compares the two shapes when the graph runs. */
  #reduceAtRunTime(gradient: Value, index: number): Value {
    const from = this.op('Shape', [gradient]);
    const to = this.#shapeOf(this.input(index));
    const missing = this.op('Sub', [this.op('Shape', [from]), this.op('Shape', [to])]);
    const ones = this.graph.op('ConstantOfShape', [missing], { value: { tensor: { type: 'int64', dims: [1], data: new Uint8Array(BigInt64Array.of(1n).buffer) } } });
    const padded = this.op('Concat', [ones, to], { axis: 0 });
    const differs = this.op('NonZero', [this.op('Not', [this.op('Equal', [padded, from])])]);
    const axes = this.op('Reshape', [differs, this.graph.ints([-1])]);
    const reduced = this.op('ReduceSum', [gradient, axes], { keepdims: 1, noop_with_empty_axes: 1 });
    return this.op('Reshape', [reduced, to], { allowzero: 1 });
  }

  /** A dimension as an int64 tensor of one entry. */
  #dimension(dim: Dimension): Value {
    if (typeof dim === 'number') return this.graph.ints([dim]);
    return this.#shared(`dim ${dim}`, () => {
      const { coefficient, names } = productOf(dim);
      const factors = names.map((name) => {
        const terms = termsOf(name);
        if (terms) return terms.map((term) => this.#dimension(term)).reduce((sum, term) => this.op('Add', [sum, term]));
        const { input, axis } = this.#parts.sources.get(name)!;
        return this.#shared(`axis ${axis} of ${input}`, () => this.op('Slice', [this.#shapeOf({ name: input }), this.graph.ints([axis]), this.graph.ints([axis + 1])]));
      });
      return factors.reduce((product, factor) => this.op('Mul', [product, factor]), this.graph.ints([coefficient]));
    });
  }

  #hasSource(dim: Dimension): boolean {
    return productOf(dim).names.every((name) => termsOf(name)?.every((term) => this.#hasSource(term)) ?? this.#parts.sources.has(name));
  }

  #shapeOf(value: Value): Value {
    return this.#shared(`shape ${value.name}`, () => this.op('Shape', [value]));
  }

  #shared(key: string, make: () => Value): Value {
    const known = this.#parts.shapeTensors.get(key) ?? make();
    this.#parts.shapeTensors.set(key, known);
    return known;
  }
}
