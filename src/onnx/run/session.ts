// The single gate to ONNX Runtime: opens a model from bytes and runs it. `run` of the Node binding
// works on the calling thread, so whoever must stay quick calls it in a process of its own.
import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import { FromageError } from '../../errors.ts';

/** Element types that cross the border to ONNX Runtime, with their arrays. */
export interface RunArrays {
  float32: Float32Array;
  float16: Uint16Array;
  int64: BigInt64Array;
  int32: Int32Array;
  uint8: Uint8Array;
  int8: Int8Array;
  bool: Uint8Array;
}

export type RunTensor<T extends keyof RunArrays = keyof RunArrays> = {
  [K in T]: { readonly type: K; readonly dims: readonly number[]; readonly data: RunArrays[K] };
}[T];

export type Device = 'cpu' | 'webgpu' | 'cuda';

export interface SessionOptions {
  readonly device?: Device;
  /** Threads inside one operator; the machine's cores by default. */
  readonly threads?: number;
  /** Off: matrices are used where they lie in the mapped file (training, large fp32 models). Default on. */
  readonly prepack?: boolean;
  readonly memoryPattern?: boolean;
  /** Off: memory of a run goes back to the system when it ends, instead of staying at its peak. Default on. */
  readonly arena?: boolean;
  /** More of ONNX Runtime's own options. */
  readonly extra?: Readonly<Record<string, string>>;
}

/** An open model. Dispose it once no run is under way. */
export interface OnnxSession {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  /**
   * Runs the whole graph, whatever is wanted of it; only wanted outputs are handed out.
   *
   * @throws FromageError `ONNX_RUN` with the runtime's reason
   */
  run(feeds: Readonly<Record<string, RunTensor>>, wanted?: readonly string[]): Promise<Readonly<Record<string, RunTensor>>>;
  close(): Promise<void>;
}

export function float32(data: Float32Array, dims: readonly number[]): RunTensor<'float32'> {
  return { type: 'float32', dims, data };
}

export function int64(values: readonly number[] | BigInt64Array, dims: readonly number[] = [values.length]): RunTensor<'int64'> {
  return { type: 'int64', dims, data: values instanceof BigInt64Array ? values : BigInt64Array.from(values, BigInt) };
}

/**
 * Opens a model held in memory; its external tensors are found by absolute path.
 *
 * @throws FromageError `ONNX_LOAD` when the runtime refuses it
 */
export async function openSession(model: Uint8Array, options: SessionOptions = {}): Promise<OnnxSession> {
  const device = options.device ?? 'cpu';
  const extra: Record<string, string> = {
    // Spinning threads take the cores from the rest of the machine and collapse beside other jobs (EXPERIMENTS.md).
    'session.intra_op.allow_spinning': '0',
    'session.model_external_initializers_file_folder_path': '/',
    ...(options.prepack === false ? { 'session.disable_prepacking': '1' } : {}),
    ...options.extra,
  };
  const session = await InferenceSession.create(model, {
    executionProviders: device === 'cpu' ? ['cpu'] : [device, 'cpu'],
    graphOptimizationLevel: 'all',
    logSeverityLevel: 3,
    enableMemPattern: options.memoryPattern ?? true,
    enableCpuMemArena: options.arena ?? true,
    ...(options.threads === undefined ? {} : { intraOpNumThreads: options.threads }),
    extra: nested(extra),
  }).catch((cause: unknown) => {
    throw new FromageError({ code: 'ONNX_LOAD', what: `ONNX Runtime could not open the model: ${reason(cause)}`, todo: 'run "fromage doctor" to see what this machine supports', cause });
  });
  return wrap(session);
}

function wrap(session: InferenceSession): OnnxSession {
  return {
    inputNames: session.inputNames,
    outputNames: session.outputNames,
    async run(feeds, wanted) {
      const ortFeeds: Record<string, OrtTensor> = {};
      for (const [name, tensor] of Object.entries(feeds)) ortFeeds[name] = new OrtTensor(tensor.type, tensor.data as never, tensor.dims);
      try {
        const outputs = wanted ? await session.run(ortFeeds, wanted as string[]) : await session.run(ortFeeds);
        const result: Record<string, RunTensor> = {};
        for (const [name, tensor] of Object.entries(outputs)) result[name] = { type: tensor.type, dims: tensor.dims, data: tensor.data } as RunTensor;
        return result;
      } catch (cause) {
        throw new FromageError({ code: 'ONNX_RUN', what: `ONNX Runtime failed while running: ${reason(cause)}`, cause });
      }
    },
    close: () => session.release(),
  };
}

/** `extra` wants nested objects where a key has dots: 'a.b' becomes { a: { b } }. */
function nested(flat: Readonly<Record<string, string>>): Record<string, unknown> {
  const root: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(flat)) {
    const path = key.split('.');
    let node = root;
    for (const part of path.slice(0, -1)) node = (node[part] ??= {}) as Record<string, unknown>;
    node[path.at(-1)!] = value;
  }
  return root;
}

function reason(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
