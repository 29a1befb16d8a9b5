// One copy of float32 weights for several sessions: read once, and fed to each run where they lie. A
// session that maps a weight file has pages of its own for it, so that three sessions over one model are
// three times its size in resident memory (EXPERIMENTS.md).
import { closeSync, openSync, readSync } from 'node:fs';
import { FromageError } from '../../errors.ts';
import { bytesOf, type ExternalTensor, type Graph, toModelBytes } from '../graph/index.ts';
import { float32, type OnnxSession, openSession, type RunTensor, type SessionOptions } from './session.ts';

export class SharedWeights {
  readonly #tensors = new Map<string, RunTensor>();

  /**
   * Opens a graph as `openSession` does; its external float32 tensors become inputs that every run is
   * given, so nothing may be precomputed from them. Other external tensors stay in their files.
   *
   * @throws FromageError `ONNX_LOAD`, also when a weight file cannot be read
   */
  async open(graph: Graph, options: SessionOptions): Promise<OnnxSession> {
    const fed: Record<string, RunTensor> = {};
    const initializers = new Map(graph.initializers);
    const inputs = [...graph.inputs];
    for (const [name, tensor] of graph.initializers) {
      if (tensor.kind !== 'external' || tensor.type !== 'float32') continue;
      initializers.delete(name);
      inputs.push({ name, type: tensor.type, shape: tensor.dims });
      fed[name] = this.#read(tensor);
    }
    const session = await openSession(toModelBytes({ ...graph, inputs, initializers }), options);
    return {
      inputNames: session.inputNames.filter((name) => !(name in fed)),
      outputNames: session.outputNames,
      run: (feeds, wanted) => session.run({ ...fed, ...feeds }, wanted),
      close: () => session.close(),
    };
  }

  #read(tensor: ExternalTensor): RunTensor {
    const key = `${tensor.file}\n${tensor.offset}\n${tensor.byteLength}`;
    const known = this.#tensors.get(key) ?? float32(readFloats(tensor), tensor.dims);
    this.#tensors.set(key, known);
    return { ...known, dims: tensor.dims };
  }
}

function readFloats({ file, offset, byteLength }: ExternalTensor): Float32Array {
  const values = new Float32Array(byteLength / 4);
  const bytes = bytesOf(values);
  let descriptor: number | null = null;
  try {
    descriptor = openSync(file, 'r');
    for (let done = 0; done < byteLength; ) {
      const count = readSync(descriptor, bytes, done, Math.min(byteLength - done, 2 ** 30), offset + done);
      if (count === 0) throw new Error('the file is too short');
      done += count;
    }
    return values;
  } catch (cause) {
    throw new FromageError({ code: 'ONNX_LOAD', what: `the weights in ${file} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`, cause });
  } finally {
    if (descriptor !== null) closeSync(descriptor);
  }
}
