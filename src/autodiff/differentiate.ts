// Reverse-mode differentiation, source to source: from a graph to one graph that also puts out the
// gradients asked for. Nothing is differentiated that no wanted value feeds.
import { FromageError } from '../errors.ts';
import { type Graph, GraphBuilder, type GraphNode, type Value } from '../onnx/graph/index.ts';
import { Adjoint, type DimensionSources, type Rule, type ShapeTensors } from './adjoint.ts';
import { ruleOf, stops } from './rules/index.ts';
import { inferFacts } from './shapes.ts';

export interface DifferentiateOptions {
  /** A scalar output (or value) whose gradient is taken. */
  readonly of?: string;
  /**
   * More outputs, of any shape, with the gradient that arrives there from outside: the name of a graph
   * input that is added. What it adds up to is `∂(of + Σ ⟨cotangent, output⟩)`.
   */
  readonly cotangents?: Readonly<Record<string, string>>;
  /** Graph inputs, initializers or inner values that gradients are wanted of. */
  readonly wrt: readonly string[];
  /** Names the added outputs; `gradient/<value>` by default. */
  readonly nameOf?: (value: string) => string;
}

/**
 * @returns a graph with the outputs of the given one and a float32 output for each wanted gradient, in
 *   the shape of its value (zeros where nothing depends on it)
 * @throws FromageError `AUTODIFF_OPERATOR` when a gradient must pass an operator without a rule,
 *   `AUTODIFF_UNSUPPORTED` for an attribute or shape that a rule does not cover, `AUTODIFF_VALUE` when
 *   a named value is not in the graph
 */
export function differentiate(forward: Graph, options: DifferentiateOptions): Graph {
  const graph = withStatistics(forward);
  const facts = inferFacts(graph);
  const builder = GraphBuilder.extending(graph);
  const known = new Set([...graph.inputs.map((port) => port.name), ...graph.initializers.keys(), ...graph.nodes.flatMap((node) => node.outputs)]);
  const cotangents = Object.entries(options.cotangents ?? {});
  for (const name of [...options.wrt, ...(options.of === undefined ? [] : [options.of]), ...cotangents.map(([value]) => value)]) {
    if (!known.has(name)) throw new FromageError({ code: 'AUTODIFF_VALUE', what: `graph ${graph.name} has no value called ${name}` });
  }

  const active = activeValues(graph.nodes, options.wrt);
  const arrived = new Map<string, Value[]>();
  const add = (name: string, value: Value) => arrived.set(name, [...(arrived.get(name) ?? []), value]);
  if (options.of !== undefined) add(options.of, builder.scalar(1));
  for (const [value, input] of cotangents) {
    add(value, builder.input(input, 'float32', facts.shapes.get(value) ?? graph.outputs.find((port) => port.name === value)?.shape ?? []));
  }
  const total = (name: string): Value | null => {
    const parts = arrived.get(name);
    if (!parts || parts.length === 0) return null;
    const sum = parts.length === 1 ? parts[0]! : builder.op(parts.length === 2 ? 'Add' : 'Sum', parts);
    arrived.set(name, [sum]);
    return sum;
  };

  const sources = dimensionSources(graph);
  const shapeTensors: ShapeTensors = new Map();
  for (let i = graph.nodes.length - 1; i >= 0; i--) {
    const node = graph.nodes[i]!;
    if (!node.outputs.some((output) => active.has(output) && arrived.has(output))) continue;
    const rule = ruleOf(node);
    if (!rule) throw unknownOperator(node);
    const gradients = node.outputs.map((output) => (output === '' ? null : total(output)));
    const wanted = node.inputs.map((input, index) => active.has(input) && flowsThrough(rule, index));
    const adjoint = new Adjoint({ node, graph: builder, facts, sources, shapeTensors, gradients, wanted });
    rule.backward(adjoint).forEach((gradient, index) => {
      if (gradient && wanted[index]) add(node.inputs[index]!, gradient);
    });
  }

  for (const name of options.wrt) {
    const gradient = total(name) ?? builder.op('ConstantOfShape', [builder.op('Shape', [{ name }])]);
    const shape = facts.shapes.get(name) ?? [];
    // Through an Identity of its own: two wanted values may share one gradient edge.
    builder.output(gradient, options.nameOf?.(name) ?? `gradient/${name}`, 'float32', shape);
  }
  return prune(builder.build());
}

/** The graph without nodes and initializers that no output needs. */
export function prune(graph: Graph): Graph {
  const needed = new Set(graph.outputs.map((port) => port.name));
  const kept: GraphNode[] = [];
  for (let i = graph.nodes.length - 1; i >= 0; i--) {
    const node = graph.nodes[i]!;
    if (!node.outputs.some((output) => needed.has(output))) continue;
    kept.push(node);
    for (const input of node.inputs) needed.add(input);
  }
  const initializers = new Map([...graph.initializers].filter(([name]) => needed.has(name)));
  return { ...graph, nodes: kept.reverse(), initializers };
}

/** Values that depend on a wanted one by a differentiable path. */
function activeValues(nodes: readonly GraphNode[], wrt: readonly string[]): ReadonlySet<string> {
  const active = new Set(wrt);
  for (const node of nodes) {
    if (stops(node)) continue;
    const rule = ruleOf(node);
    if (!node.inputs.some((input, i) => active.has(input) && (!rule || flowsThrough(rule, i)))) continue;
    for (const output of node.outputs) if (output !== '') active.add(output);
  }
  return active;
}

function flowsThrough(rule: Rule, index: number): boolean {
  return rule.through?.includes(index) ?? true;
}

/** Normalisations put out their statistics too, so that the backward pass need not compute them again. */
function withStatistics(graph: Graph): Graph {
  const nodes = graph.nodes.map((node) => {
    const wanted = node.op === 'LayerNormalization' ? 3 : node.op === 'SimplifiedLayerNormalization' ? 2 : 0;
    if (node.outputs.length >= wanted) return node;
    const added = Array.from({ length: wanted - node.outputs.length }, (_, i) => `${node.outputs[0]}/statistic${node.outputs.length + i}`);
    return { ...node, outputs: [...node.outputs, ...added] };
  });
  return { ...graph, nodes };
}

function dimensionSources(graph: Graph): DimensionSources {
  const sources = new Map<string, { input: string; axis: number }>();
  for (const port of graph.inputs) {
    port.shape.forEach((dim, axis) => {
      if (typeof dim === 'string' && !sources.has(dim)) sources.set(dim, { input: port.name, axis });
    });
  }
  return sources;
}

function unknownOperator(node: GraphNode): FromageError {
  return new FromageError({
    code: 'AUTODIFF_OPERATOR',
    what: `node ${node.name} uses ${node.domain === '' ? '' : `${node.domain}.`}${node.op}, which has no rule of differentiation`,
    todo: 'build the training form of the graph from primitive operators, or add a rule in src/autodiff/rules',
  });
}
