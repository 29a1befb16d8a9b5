// Builds an ONNX graph node by node. The graph stays a plain value (`Graph`), so that it can be
// transformed (src/autodiff) before `toModelBytes` writes it down. Knows no model and no FROMAGe.
import { FromageError } from '../../errors.ts';

/** ONNX element types by the names that this project uses. */
export type ElementType = 'float32' | 'float16' | 'bfloat16' | 'uint8' | 'int8' | 'int32' | 'int64' | 'bool' | 'float64';

/** A dimension is a number, or a name where the caller decides at run time. */
export type Dimension = number | string;

/** An edge of the graph. Only its name is ever written; type and shape are the builder's notes. */
export interface Value {
  readonly name: string;
}

export type AttributeValue = number | string | readonly number[] | readonly string[] | { readonly float: number } | { readonly floats: readonly number[] } | { readonly tensor: InlineTensor };

export interface InlineTensor {
  readonly type: ElementType;
  readonly dims: readonly number[];
  /** Little-endian, row-major. */
  readonly data: Uint8Array;
}

export interface ExternalTensor {
  readonly type: ElementType;
  readonly dims: readonly number[];
  /** Absolute path. */
  readonly file: string;
  readonly offset: number;
  readonly byteLength: number;
}

export interface GraphNode {
  readonly op: string;
  /** '' is ONNX itself, `com.microsoft` the contrib operators. */
  readonly domain: string;
  readonly name: string;
  /** '' stands for an optional input left out. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, AttributeValue>>;
}

export interface GraphPort {
  readonly name: string;
  readonly type: ElementType;
  readonly shape: readonly Dimension[];
}

export type Initializer = { readonly name: string } & (
  | ({ readonly kind: 'inline' } & InlineTensor)
  | ({ readonly kind: 'external' } & ExternalTensor)
);

/** A whole graph as a frozen value; nodes stand in topological order. */
export interface Graph {
  readonly name: string;
  readonly inputs: readonly GraphPort[];
  readonly outputs: readonly GraphPort[];
  readonly nodes: readonly GraphNode[];
  readonly initializers: ReadonlyMap<string, Initializer>;
}

export interface OpOptions {
  readonly domain?: string;
  /** How many outputs the node has; 1 by default. */
  readonly outputs?: number;
  /** A path-like name for the node; its outputs are named after it. */
  readonly name?: string;
}

/** Collects nodes; every method returns the new edge. */
export class GraphBuilder {
  readonly #name: string;
  readonly #inputs: GraphPort[] = [];
  readonly #outputs: GraphPort[] = [];
  readonly #nodes: GraphNode[] = [];
  readonly #initializers = new Map<string, Initializer>();
  readonly #names = new Set<string>();
  readonly #constants = new Map<string, Value>();

  constructor(name: string) {
    this.#name = name;
  }

  /** A builder that goes on from a finished graph, whose nodes, ports and names it takes over. */
  static extending(graph: Graph, name: string = graph.name): GraphBuilder {
    const builder = new GraphBuilder(name);
    for (const port of graph.inputs) builder.input(port.name, port.type, port.shape);
    for (const [key, tensor] of graph.initializers) {
      builder.#claim(key);
      builder.#initializers.set(key, tensor);
    }
    for (const node of graph.nodes) {
      builder.#nodes.push(node);
      for (const taken of [node.name, ...node.outputs]) if (taken !== '') builder.#names.add(taken);
    }
    for (const port of graph.outputs) builder.#outputs.push(port);
    return builder;
  }

  input(name: string, type: ElementType, shape: readonly Dimension[]): Value {
    this.#inputs.push({ name: this.#claim(name), type, shape });
    return { name };
  }

  /** Names an edge as a graph output (through an Identity where its name differs). */
  output(value: Value, name: string, type: ElementType, shape: readonly Dimension[]): void {
    if (value.name !== name) {
      this.#nodes.push({ op: 'Identity', domain: '', name: `${this.#claim(name)}/out`, inputs: [value.name], outputs: [name], attributes: {} });
    }
    this.#outputs.push({ name, type, shape });
  }

  /** A weight that stays in its file. */
  external(name: string, tensor: ExternalTensor): Value {
    this.#initializers.set(this.#claim(name), { kind: 'external', name, ...tensor });
    return { name };
  }

  /** A small tensor inside the model. */
  tensor(name: string, tensor: InlineTensor): Value {
    this.#initializers.set(this.#claim(name), { kind: 'inline', name, ...tensor });
    return { name };
  }

  floats(name: string, dims: readonly number[], data: Float32Array): Value {
    return this.tensor(name, { type: 'float32', dims, data: bytesOf(data) });
  }

  /** An int64 constant, shared by value. `dims` defaults to one axis; `[]` makes a scalar. */
  ints(values: readonly number[], dims: readonly number[] = [values.length]): Value {
    const key = `i64/${dims.join('x')}/${values.join(',')}`;
    return this.#shared(key, () => this.tensor(this.#fresh('const_i64'), { type: 'int64', dims, data: bytesOf(BigInt64Array.from(values, BigInt)) }));
  }

  /** A float32 scalar constant, shared by value. */
  scalar(value: number): Value {
    return this.#shared(`f32/${value}`, () => this.floats(this.#fresh('const_f32'), [], Float32Array.of(value)));
  }

  /** Adds a node with one output. `null` leaves an optional input out. */
  op(op: string, inputs: readonly (Value | null)[], attributes: Readonly<Record<string, AttributeValue>> = {}, options: OpOptions = {}): Value {
    return this.ops(op, inputs, attributes, options)[0]!;
  }

  /** Adds a node with several outputs. */
  ops(op: string, inputs: readonly (Value | null)[], attributes: Readonly<Record<string, AttributeValue>> = {}, options: OpOptions = {}): Value[] {
    const count = options.outputs ?? 1;
    const name = this.#claim(options.name ? this.#unique(options.name) : this.#fresh(op));
    const outputs = Array.from({ length: count }, (_, i) => this.#claim(count === 1 ? `${name}:0` : `${name}:${i}`));
    this.#nodes.push({ op, domain: options.domain ?? '', name, inputs: inputs.map((input) => input?.name ?? ''), outputs, attributes });
    return outputs.map((output) => ({ name: output }));
  }

  build(): Graph {
    return { name: this.#name, inputs: [...this.#inputs], outputs: [...this.#outputs], nodes: [...this.#nodes], initializers: new Map(this.#initializers) };
  }

  #shared(key: string, make: () => Value): Value {
    const known = this.#constants.get(key) ?? make();
    this.#constants.set(key, known);
    return known;
  }

  #fresh(stem: string): string {
    return this.#unique(`${stem}_${this.#nodes.length}`);
  }

  #unique(stem: string): string {
    let name = stem;
    for (let i = 1; this.#names.has(name); i++) name = `${stem}.${i}`;
    return name;
  }

  #claim(name: string): string {
    if (this.#names.has(name)) throw new FromageError({ code: 'ONNX_NAME_TAKEN', what: `two edges of graph ${this.#name} are called ${name}` });
    this.#names.add(name);
    return name;
  }
}

/** The bytes of a typed array without a copy. */
export function bytesOf(data: ArrayBufferView): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}
