// A training graph in pieces behind the face of one session (activation recomputation): on the way
// forward only the values at the cuts are kept, on the way back each piece is computed again.
import type { GraphSegment } from '../autodiff/index.ts';
import type { OnnxSession, RunTensor, SessionOptions, SharedWeights } from '../onnx/run/index.ts';
import { addInto } from './accumulate.ts';

type Tensors = Readonly<Record<string, RunTensor>>;

interface OpenSegment {
  readonly cut: string | null;
  /** Null for the last piece, whose way back has the outputs too. */
  readonly forward: OnnxSession | null;
  readonly backward: OnnxSession;
}

/**
 * @returns a session whose runs give what the undivided graph's would; the cuts stay inside
 * @throws FromageError `ONNX_LOAD`; nothing stays open then
 */
export async function openRecomputed(weights: SharedWeights, segments: readonly GraphSegment[], options: SessionOptions): Promise<OnnxSession> {
  const opened: OnnxSession[] = [];
  const open = async (graph: GraphSegment['forward']): Promise<OnnxSession> => {
    const session = await weights.open(graph, options);
    opened.push(session);
    return session;
  };
  const close = async (): Promise<void> => {
    for (const session of opened.splice(0)) await session.close();
  };
  try {
    const parts: OpenSegment[] = [];
    for (const { cut, forward, backward } of segments) parts.push({ cut, forward: cut === null ? null : await open(forward), backward: await open(backward) });
    const inner = new Set(parts.flatMap(({ cut }) => (cut === null ? [] : [cut, `cotangent/${cut}`])));
    const inputNames = new Set(parts.flatMap(({ backward }) => backward.inputNames).filter((name) => !inner.has(name)));
    const outputNames = new Set(parts.flatMap(({ backward }) => backward.outputNames).filter((name) => !inner.has(name.replace(/^gradient\//, ''))));
    return { inputNames: [...inputNames], outputNames: [...outputNames], run: (feeds) => run(parts, feeds), close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function run(parts: readonly OpenSegment[], feeds: Tensors): Promise<Tensors> {
  const values: Record<string, RunTensor> = { ...feeds };
  for (const { cut, forward } of parts) if (cut !== null && forward) values[cut] = (await forward.run(picked(forward, values)))[cut]!;
  const outputs: Record<string, RunTensor> = {};
  const gradients = new Map<string, Float32Array>();
  const shapes = new Map<string, readonly number[]>();
  for (const { cut, backward } of [...parts].reverse()) {
    if (cut !== null) {
      values[`cotangent/${cut}`] = { type: 'float32', dims: values[cut]!.dims, data: gradients.get(cut)! };
      gradients.delete(cut);
    }
    for (const [name, tensor] of Object.entries(await backward.run(picked(backward, values)))) {
      const value = name.startsWith('gradient/') ? name.slice('gradient/'.length) : null;
      if (value === null) outputs[name] = tensor;
      else {
        addInto(gradients, value, tensor.data as Float32Array);
        shapes.set(value, tensor.dims);
      }
    }
    if (cut !== null) {
      delete values[cut];
      delete values[`cotangent/${cut}`];
    }
  }
  for (const [name, data] of gradients) outputs[`gradient/${name}`] = { type: 'float32', dims: shapes.get(name)!, data };
  return outputs;
}

/** The feeds that a session knows. */
function picked(session: OnnxSession, values: Tensors): Tensors {
  return Object.fromEntries(session.inputNames.map((name) => [name, values[name]!]));
}
