// Weights of a vision encoder on their way from a file into a graph: found whatever prefix the
// checkpoint puts before their names, checked against the shape that is expected, and named by a hash.
import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { FromageError } from '../errors.ts';
import type { DType, TensorLocation, WeightStore } from '../formats/types.ts';
import type { ElementType, GraphBuilder, Value } from '../onnx/graph/index.ts';
import type { PicturePreset } from '../vision/index.ts';
import type { ClipTextConfig } from './graphs/clip-text.ts';
import type { GraphWeights } from './graphs/clip-tower.ts';
import type { FloatWeights } from './graphs/efficientnet-lite.ts';

/** Types that the graph reads where they lie. */
const storedTypes: Partial<Record<DType, ElementType>> = { F32: 'float32', F16: 'float16', BF16: 'bfloat16' };

/** Encoders up to this size are hashed whole. */
const wholeHashBytes = 200_000_000;
const sampleBytes = 4096;

/** One encoder's tensors inside a store that may hold more (CLIP's text tower, a classifier). */
export class VisionWeights implements FloatWeights, GraphWeights {
  readonly #store: WeightStore;
  readonly #prefix: string;
  readonly #used = new Map<string, TensorLocation>();

  constructor(store: WeightStore, prefix: string) {
    this.#store = store;
    this.#prefix = prefix;
  }

  read(name: string, shape: readonly number[]): Float32Array {
    this.#locate(name, shape);
    return this.#store.readFloat32(this.#prefix + name);
  }

  place(graph: GraphBuilder, name: string, shape: readonly number[]): { readonly value: Value; readonly type: ElementType } {
    const location = this.#locate(name, shape);
    const type = storedTypes[location.dtype];
    if (type !== undefined && location.strides === undefined) {
      const { file, offset, byteLength } = location;
      return { value: graph.external(name, { type, dims: shape, file, offset, byteLength }), type };
    }
    return { value: graph.floats(name, shape, this.#store.readFloat32(this.#prefix + name)), type: 'float32' };
  }

  /**
   * SHA-256 in hexadecimal over the facts and the tensors used so far: names without prefix, types,
   * shapes, and their bytes when all together are at most 200 MB; of larger encoders the first, middle
   * and last 4 KiB of every tensor. The kind of file, its place and tensors that are not used do not count.
   */
  hash(facts: PicturePreset | ClipTextConfig): string {
    const hash = createHash('sha256').update(JSON.stringify(canonical(facts)));
    const used = [...this.#used].sort(([a], [b]) => (a < b ? -1 : 1));
    const whole = used.reduce((sum, [, location]) => sum + location.byteLength, 0) <= wholeHashBytes;
    for (const [name, location] of used) {
      hash.update(`\n${name} ${location.dtype} [${location.shape.join(',')}]\n`);
      for (const bytes of whole || location.strides ? [this.#store.readBytes(location.name)] : samplesOf(location)) hash.update(bytes);
    }
    return hash.digest('hex');
  }

  #locate(name: string, shape: readonly number[]): TensorLocation {
    const location = this.#store.locate(this.#prefix + name);
    if (location.shape.length !== shape.length || shape.some((extent, axis) => extent !== location.shape[axis])) {
      throw new FromageError({
        code: 'MODEL_VISION_SHAPE',
        what: `${location.name} is [${location.shape.join(', ')}], expected [${shape.join(', ')}]`,
        why: 'the weights do not belong to this configuration of the vision encoder',
        todo: 'keep config.json and the weights of one encoder together',
      });
    }
    this.#used.set(name, location);
    return location;
  }
}

/**
 * What stands before the names of the encoder's tensors: nothing, `vision_model.` or more.
 *
 * @param tail a tensor that every encoder of the family has
 * @returns null when no tensor ends so
 */
export function findPrefix(store: WeightStore, tail: string): string | null {
  const matches = [...store.tensors.keys()].filter((name) => name === tail || name.endsWith(`.${tail}`));
  const shortest = matches.sort((a, b) => a.length - b.length)[0];
  return shortest === undefined ? null : shortest.slice(0, shortest.length - tail.length);
}

function samplesOf({ file, offset, byteLength }: TensorLocation): Uint8Array[] {
  const length = Math.min(sampleBytes, byteLength);
  const starts = byteLength <= 3 * sampleBytes ? [0] : [0, Math.floor((byteLength - length) / 2), byteLength - length];
  const descriptor = openSync(file, 'r');
  try {
    return starts.map((start) => {
      const bytes = new Uint8Array(starts.length === 1 ? byteLength : length);
      readSync(descriptor, bytes, 0, bytes.length, offset + start);
      return bytes;
    });
  } finally {
    closeSync(descriptor);
  }
}

/** Keys in a fixed order, so that equal presets give equal text. */
function canonical(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(canonical);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, inner]) => [key, canonical(inner)]));
}
