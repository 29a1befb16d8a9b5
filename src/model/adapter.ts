// The trained maps at work: pooled features to visual prefixes and into the retrieval space, hidden
// states into the same space, the logit of [RET]. Small matrices in plain arrays, outside any ONNX
// session, so that adapters are exchanged in microseconds.
import { createHash } from 'node:crypto';
import { FromageError } from '../errors.ts';
import { dot, linear } from '../tensor/index.ts';
import type { Adapter } from './types.ts';

/** A Linear in PyTorch's layout: weight `[outputs, inputs]`, bias `[outputs]`. */
export interface LinearMap {
  readonly weight: Float32Array;
  readonly bias: Float32Array;
  readonly inputs: number;
  readonly outputs: number;
}

/** Everything that training changes, as plain arrays. Whoever makes it owns it; an adapter copies nothing. */
export interface AdapterTensors {
  readonly visualTokens: number;
  readonly textLayers: readonly number[];
  readonly retTokenId: number;
  /** V -> k · embedSize. */
  readonly visualEmbeddings: LinearMap;
  /** V -> E. */
  readonly visualFc: LinearMap;
  /** One for each of `textLayers`: width of that layer -> E. */
  readonly textFcs: readonly LinearMap[];
  /** `[embedSize]` */
  readonly retEmbedding: Float32Array;
  readonly logitScale: number;
  /** `[V]` each: pooled features are normalised by them first. Both or neither. */
  readonly featureMean?: Float32Array;
  readonly featureStd?: Float32Array;
}

/** Widths of the frozen models that an adapter stands between. */
export interface AdapterSizes {
  readonly hiddenSize: number;
  readonly embedSize: number;
  readonly visionHiddenSize: number;
  /** Width inside the layers where it is another (OPT with `word_embed_proj_dim`). */
  readonly innerSize?: number;
  readonly numLayers?: number;
}

/** Names of the tensors, in files and in hashes. */
export function adapterEntries(tensors: AdapterTensors): ReadonlyMap<string, { readonly shape: readonly number[]; readonly data: Float32Array }> {
  const entries = new Map<string, { shape: readonly number[]; data: Float32Array }>();
  const map = (name: string, linearMap: LinearMap): void => {
    entries.set(`${name}.weight`, { shape: [linearMap.outputs, linearMap.inputs], data: linearMap.weight });
    entries.set(`${name}.bias`, { shape: [linearMap.outputs], data: linearMap.bias });
  };
  map('visual_embeddings', tensors.visualEmbeddings);
  map('visual_fc', tensors.visualFc);
  for (const [index, textFc] of tensors.textFcs.entries()) map(`text_hidden_fcs.${index}`, textFc);
  entries.set('ret_embedding', { shape: [tensors.retEmbedding.length], data: tensors.retEmbedding });
  entries.set('logit_scale', { shape: [], data: Float32Array.of(tensors.logitScale) });
  if (tensors.featureMean && tensors.featureStd) {
    entries.set('feature_mean', { shape: [tensors.featureMean.length], data: tensors.featureMean });
    entries.set('feature_std', { shape: [tensors.featureStd.length], data: tensors.featureStd });
  }
  return entries;
}

/**
 * Checks that an adapter fits the frozen models.
 *
 * @param origin named in the error
 * @throws FromageError `ADAPTER_SHAPE` with both numbers
 */
export function checkAdapter(tensors: AdapterTensors, sizes: AdapterSizes, origin: string): void {
  const V = sizes.visionHiddenSize;
  const k = tensors.visualTokens;
  const E = tensors.visualFc.outputs;
  expectShape(origin, 'visual_embeddings.weight', [tensors.visualEmbeddings.outputs, tensors.visualEmbeddings.inputs], [k * sizes.embedSize, V], `${k} visual tokens of width ${sizes.embedSize} from ${V} pooled features`);
  expectShape(origin, 'visual_fc.weight', [E, tensors.visualFc.inputs], [E, V], `${V} pooled features`);
  expectShape(origin, 'ret_embedding', [tensors.retEmbedding.length], [sizes.embedSize], `the language model's token embeddings have width ${sizes.embedSize}`);
  if (tensors.textFcs.length !== tensors.textLayers.length || tensors.textFcs.length === 0) {
    throw shapeError(origin, `there are ${tensors.textFcs.length} text_hidden_fcs for ${tensors.textLayers.length} text_emb_layers`, 'each layer has one map');
  }
  for (const [index, layer] of tensors.textLayers.entries()) {
    const textFc = tensors.textFcs[index];
    if (textFc === undefined) continue;
    const last = layer === -1 || layer === sizes.numLayers;
    const width = last ? sizes.hiddenSize : (sizes.innerSize ?? sizes.hiddenSize);
    expectShape(origin, `text_hidden_fcs.${index}.weight`, [textFc.outputs, textFc.inputs], [E, width], `hidden states of layer ${layer} have width ${width}`);
    if (sizes.numLayers !== undefined && (layer > sizes.numLayers || layer < -sizes.numLayers - 1)) throw shapeError(origin, `text_emb_layers names layer ${layer}`, `the language model has ${sizes.numLayers}`);
  }
  for (const [name, vector] of [['feature_mean', tensors.featureMean], ['feature_std', tensors.featureStd]] as const) {
    if (vector) expectShape(origin, name, [vector.length], [V], `${V} pooled features`);
  }
  for (const [name, { shape, data }] of adapterEntries(tensors)) {
    if (data.length !== shape.reduce((product, extent) => product * extent, 1)) throw shapeError(origin, `${name} has ${data.length} numbers for the shape [${shape.join(', ')}]`, 'its file is damaged');
    if (!data.every(Number.isFinite)) throw shapeError(origin, `${name} holds a number that is not finite`, 'its training diverged or its file is damaged');
  }
}

/**
 * An adapter from its tensors; the normalisation of features, where there is one, is folded into the maps.
 *
 * @param id how requests name it
 */
export function createAdapter(id: string, tensors: AdapterTensors, metadata: Readonly<Record<string, unknown>> = {}): Adapter {
  const visualEmbeddings = foldFeatures(tensors.visualEmbeddings, tensors);
  const visualFc = foldFeatures(tensors.visualFc, tensors);
  const retrievalDim = visualFc.outputs;
  const entries = [...adapterEntries(tensors)];
  return {
    id,
    visualTokens: tensors.visualTokens,
    retrievalDim,
    textLayers: tensors.textLayers,
    ret: { id: tensors.retTokenId, row: tensors.retEmbedding },
    retOdds: typeof metadata['retOdds'] === 'number' ? metadata['retOdds'] : 1,
    logitScale: tensors.logitScale,
    hash: hashEntries(entries),
    visualHash: hashEntries(entries.filter(([name]) => name.startsWith('visual_fc.') || name.startsWith('feature_'))),
    metadata,
    visualPrefix: (pooled, n) => linear(checked(pooled, n, visualEmbeddings.inputs), visualEmbeddings.weight, visualEmbeddings.bias, n),
    projectImages: (pooled, n) => linear(checked(pooled, n, visualFc.inputs), visualFc.weight, visualFc.bias, n),
    projectText(hidden, n) {
      const sum = new Float32Array(n * retrievalDim);
      for (const [index, layer] of tensors.textLayers.entries()) {
        const states = hidden.get(layer);
        const textFc = tensors.textFcs[index];
        if (states === undefined || textFc === undefined) throw shapeError(id, `the hidden states of layer ${layer} were not given`, `the adapter reads layers ${tensors.textLayers.join(', ')}`);
        const part = linear(checked(states, n, textFc.inputs), textFc.weight, textFc.bias, n);
        for (let i = 0; i < sum.length; i++) sum[i]! += part[i]!;
      }
      return sum;
    },
    retLogits(hidden, n) {
      const row = tensors.retEmbedding;
      checked(hidden, n, row.length);
      return Float32Array.from({ length: n }, (_, i) => dot(hidden, i * row.length, row, 0, row.length));
    },
  };
}

/** The same maps for pooled features as they come: a normalisation, where there is one, becomes part of them. */
export function foldNormalization(tensors: AdapterTensors): AdapterTensors {
  const { featureMean: _mean, featureStd: _std, ...rest } = tensors;
  return { ...rest, visualEmbeddings: foldFeatures(tensors.visualEmbeddings, tensors), visualFc: foldFeatures(tensors.visualFc, tensors) };
}

/** W · (x − mean) / std + b as one map: W' = W / std, b' = b − W' · mean. */
function foldFeatures(map: LinearMap, { featureMean, featureStd }: AdapterTensors): LinearMap {
  if (!featureMean || !featureStd) return map;
  const weight = map.weight.map((value, i) => value / featureStd[i % map.inputs]!);
  const bias = map.bias.map((value, row) => value - dot(weight, row * map.inputs, featureMean, 0, map.inputs));
  return { ...map, weight, bias };
}

function hashEntries(entries: readonly (readonly [string, { readonly shape: readonly number[]; readonly data: Float32Array }])[]): string {
  const hash = createHash('sha256');
  for (const [name, { shape, data }] of entries) {
    hash.update(`${name} ${shape.join('x')}\n`);
    hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  return hash.digest('hex');
}

function checked(values: Float32Array, n: number, width: number): Float32Array {
  if (values.length !== n * width) throw shapeError('a call', `${values.length} numbers were given for ${n} rows of width ${width}`, 'the adapter belongs to other models');
  return values;
}

function expectShape(origin: string, name: string, actual: readonly number[], expected: readonly number[], why: string): void {
  if (actual.join() === expected.join()) return;
  throw shapeError(origin, `${name} is [${actual.join(', ')}], expected [${expected.join(', ')}]`, why);
}

function shapeError(origin: string, what: string, why: string): FromageError {
  return new FromageError({ code: 'ADAPTER_SHAPE', what: `${origin}: ${what}`, why, todo: 'use an adapter made for this language model and vision encoder' });
}
