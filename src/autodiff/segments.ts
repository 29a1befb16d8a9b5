// Reverse mode in pieces, for activation recomputation: a graph is cut at named values, and only these are
// kept between the way forward and the way back, on which each piece is computed again.
import { FromageError } from '../errors.ts';
import type { Graph, GraphPort } from '../onnx/graph/index.ts';
import { differentiate, type DifferentiateOptions, prune } from './differentiate.ts';
import { inferFacts } from './shapes.ts';

export interface GraphSegment {
  /** The value that the piece hands to the next one; null for the last, which has the graph's own outputs. */
  readonly cut: string | null;
  /** From the graph's inputs and earlier cuts to `cut`, or to the outputs. */
  readonly forward: Graph;
  /**
   * Outputs `gradient/<value>` for each wanted input and each earlier cut that the piece reads. More
   * inputs: `cotangent/<cut>`, in the last piece those of `cotangents`. The last piece has the graph's
   * outputs too, so that its `forward` need not be run.
   */
  readonly backward: Graph;
}

export type SegmentOptions = Pick<DifferentiateOptions, 'wrt'> & Required<Pick<DifferentiateOptions, 'cotangents'>>;

/**
 * @param cuts values of the graph in the order of its nodes; best those that all later nodes depend on alone
 * @throws FromageError as `differentiate` does, `AUTODIFF_VALUE` also for a cut whose shape is not known
 */
export function differentiateInSegments(graph: Graph, cuts: readonly string[], { wrt, cotangents }: SegmentOptions): readonly GraphSegment[] {
  const { shapes } = inferFacts(graph);
  const ports = cuts.map((name): GraphPort => {
    const shape = shapes.get(name);
    if (!shape) throw new FromageError({ code: 'AUTODIFF_VALUE', what: `graph ${graph.name} has no value called ${name} of a known shape` });
    return { name, type: 'float32', shape };
  });
  return [...ports, null].map((port, i): GraphSegment => {
    const earlier = ports.slice(0, i);
    const forward = between(graph, earlier, port ? [port] : graph.outputs);
    const wanted = forward.inputs.map(({ name }) => name).filter((name) => wrt.includes(name) || earlier.some((cut) => cut.name === name));
    const both = differentiate(forward, { wrt: wanted, cotangents: port ? { [port.name]: `cotangent/${port.name}` } : cotangents });
    const backward = port ? prune({ ...both, outputs: both.outputs.filter(({ name }) => name !== port.name) }) : both;
    return { cut: port?.name ?? null, forward, backward };
  });
}

/** What leads from the sources (and the graph's inputs) to the targets. */
function between(graph: Graph, sources: readonly GraphPort[], targets: readonly GraphPort[]): Graph {
  const given = new Set(sources.map(({ name }) => name));
  const nodes = graph.nodes.filter((node) => !node.outputs.some((output) => given.has(output)));
  const part = prune({ ...graph, nodes, outputs: targets });
  const read = new Set(part.nodes.flatMap((node) => node.inputs));
  return { ...part, inputs: [...graph.inputs, ...sources].filter(({ name }) => read.has(name)) };
}
