// The second part of a run: the retrieval maps and the logit scale alone. With the [RET] row at rest the
// hidden states at [RET] are fixed, so they are computed once and InfoNCE can have very large batches.
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { openSafetensors, writeSafetensors } from '../formats/index.ts';
import { hiddenWidth } from '../model/index.ts';
import { bytesOf } from '../onnx/graph/index.ts';
import { adamWStep, type AdamWState, clipGradients } from './adamw.ts';
import type { RetrievalMapsConfig } from './config.ts';
import type { ContrastiveResult } from './contrastive.ts';
import { pictureKey, type PairExample, type PictureName, shownIn } from './examples.ts';
import { createFeatureScale, type FeatureScale } from './feature-scale.ts';
import { followUps } from './follow-ups.ts';
import { type Parameters, parameterOf } from './parameters.ts';
import { createRandom, type Random } from './random.ts';
import { learningRate } from './schedule.ts';
import type { Setting } from './setting.ts';

/** Texts with their hidden states at [RET]. */
export interface RetStates {
  readonly pairs: readonly PairExample[];
  /** Weight of each pair's source, shared among its texts. */
  readonly sourceOf: readonly number[];
  /** By layer `[pairs, width]`, at mean 0 and variance 1 as `scales` brings them there. */
  readonly hidden: ReadonlyMap<number, Float32Array>;
  readonly scales: ReadonlyMap<number, FeatureScale>;
}

export interface RetStatesOptions {
  readonly file: string;
  readonly maps: RetrievalMapsConfig;
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

/** Computes the states, or goes on with the file that belongs to these parameters and these texts. */
export async function prepareRetStates(setting: Setting, parameters: Parameters, { file, maps, onProgress, signal }: RetStatesOptions): Promise<RetStates> {
  const { config, model, form, facts, weights } = setting;
  const texts = chooseTexts(setting, maps);
  const sequences = texts.pairs.map((pair, i) => form.text(pair, createRandom(config.seed, `ret-state/${i}`)));
  const shown = texts.pairs.flatMap(({ before }) => shownIn(before));
  const trained = ['ret_embedding', ...(shown.length > 0 ? ['visual_embeddings.weight', 'visual_embeddings.bias'] : [])];
  const hash = trained.reduce((hash, name) => hash.update(bytesOf(parameterOf(parameters, name).data)), createHash('sha256'));
  const key = hash.update(JSON.stringify([facts.textLayers, sequences.map(({ tokenIds }) => tokenIds), shown.map(pictureKey)])).digest('hex');
  const widths = facts.textLayers.map((layer) => hiddenWidth(weights.config, layer));
  const known = readStates(file, key, facts.textLayers);
  const hidden = known?.hidden ?? new Map<number, Float32Array>(facts.textLayers.map((layer, i) => [layer, new Float32Array(texts.pairs.length * widths[i]!)]));
  const save = (done: number) => writeSafetensors(file, new Map([...hidden].map(([layer, data], l) => [`hidden.${layer}`, { shape: [texts.pairs.length, widths[l]!], data }])), { key, done: String(done) });
  // Texts of similar length together, so that little is padded.
  const order = [...sequences.keys()].sort((a, b) => sequences[a]!.tokenIds.length - sequences[b]!.tokenIds.length || a - b);
  let saved = known?.done ?? 0;
  for (let i = saved; i < order.length; i += config.microBatch) {
    if (signal?.aborted) save(i);
    signal?.throwIfAborted();
    const rows = order.slice(i, i + config.microBatch);
    const states = await model.hiddenAtRet(await model.texts(rows.map((row) => sequences[row]!), parameters), parameters);
    facts.textLayers.forEach((layer, l) => rows.forEach((row, j) => hidden.get(layer)!.set(states.get(layer)!.subarray(j * widths[l]!, (j + 1) * widths[l]!), row * widths[l]!)));
    const done = Math.min(i + config.microBatch, order.length);
    if (done === order.length || done - saved >= textsPerSave) save((saved = done));
    onProgress?.(done, order.length);
  }
  return { ...texts, ...scaled(hidden, widths) };
}

/** After a kill at most this many texts are computed again. */
const textsPerSave = 4096;

function readStates(file: string, key: string, layers: readonly number[]): { readonly hidden: Map<number, Float32Array>; readonly done: number } | null {
  if (!existsSync(file)) return null;
  const store = openSafetensors(file);
  try {
    const metadata = store.metadata as Readonly<Record<string, string | undefined>>;
    if (metadata['key'] !== key) return null;
    return { hidden: new Map(layers.map((layer) => [layer, store.readFloat32(`hidden.${layer}`)])), done: Number(metadata['done']) };
  } finally {
    store.close();
  }
}

function scaled(hidden: ReadonlyMap<number, Float32Array>, widths: readonly number[]): Pick<RetStates, 'hidden' | 'scales'> {
  const layers = [...hidden].map(([layer, data], l) => {
    const width = widths[l]!;
    const rows = Array.from({ length: data.length / width }, (_, row) => data.subarray(row * width, (row + 1) * width));
    const scale = createFeatureScale(rows, width);
    for (const row of rows) row.set(scale.apply(row));
    return { layer, data, scale };
  });
  return { hidden: new Map(layers.map(({ layer, data }) => [layer, data])), scales: new Map(layers.map(({ layer, scale }) => [layer, scale])) };
}

/** Texts of every source, each with as many forms as were asked for, and those that follow earlier ones. */
function chooseTexts({ sources, config, form }: Setting, maps: RetrievalMapsConfig): Pick<RetStates, 'pairs' | 'sourceOf'> {
  const pairs: PairExample[] = [];
  const sourceOf: number[] = [];
  sources.forEach((source, s) => {
    if (!source.retrieval) return;
    const candidates = source.examples.flatMap((example) => (example.kind === 'pair' ? Array.from({ length: source.mapsForms ?? maps.formsPerExample }, () => example) : []));
    const single = createRandom(config.seed, `ret-texts/${s}`).shuffled(candidates).slice(0, maps.textsPerSource);
    const chosen = [...single, ...(config.form === 'chat' ? followUps(single, maps.followUpsPerSource, form, createRandom(config.seed, `follow-ups/${s}`)) : [])];
    pairs.push(...chosen);
    sourceOf.push(...chosen.map(() => s));
  });
  return { pairs, sourceOf };
}

/** One step; draws from the sources by their weights. */
export async function retrievalMapsStep(setting: Setting, states: RetStates, maps: RetrievalMapsConfig, parameters: Parameters, optimizer: AdamWState, step: number, pools: readonly { readonly weight: number; readonly rows: readonly number[] }[]): Promise<{ readonly result: ContrastiveResult; readonly norm: number; readonly lr: number }> {
  const random = createRandom(setting.config.seed, `maps/${step}`);
  const rows = drawRows(pools, maps.batchSize, random);
  const hidden = new Map([...states.hidden].map(([layer, data]) => {
    const width = data.length / states.pairs.length;
    const batch = new Float32Array(rows.length * width);
    rows.forEach((row, i) => batch.set(data.subarray(row * width, (row + 1) * width), i * width));
    return [layer, dropped(batch, maps.dropout, random)] as const;
  }));
  const pairs = rows.map((row) => states.pairs[row]!);
  const featuresOf = (picture: PictureName) => dropped(setting.features(picture).slice(), maps.pictureDropout ?? maps.dropout, random);
  const pictures = pairs.map(({ picture }) => featuresOf(picture));
  const rejected = pairs.map((pair) => (pair.rejected ?? []).map((picture) => ({ features: featuresOf(picture), key: pictureKey(picture) })));
  const gradients = new Map<string, Float32Array>();
  const result = await setting.contrastive.run({ hidden, pictures, pictureKeys: pairs.map(({ picture }) => pictureKey(picture)), rejected, unlikely: pairs.map(({ unlikely }) => unlikely ?? false) }, parameters, 1, gradients);
  const lr = learningRate({ kind: maps.schedule, lr: maps.lr, warmupSteps: maps.warmupSteps, stepSize: maps.scheduleStepSize, gamma: maps.scheduleGamma, floor: maps.scheduleFloor }, step, maps.steps);
  const norm = clipGradients(gradients, maps.clipNorm > 0 ? maps.clipNorm : Number.POSITIVE_INFINITY);
  adamWStep(parameters, gradients, optimizer, lr, { betas: maps.betas, eps: maps.eps, weightDecay: maps.weightDecay });
  return { result, norm, lr };
}

/** Rows of the states by source. */
export function poolsOf({ sources }: Setting, states: RetStates): { readonly weight: number; readonly rows: readonly number[] }[] {
  return sources.map(({ weight, mapsWeight }, s) => ({ weight: mapsWeight ?? weight, rows: states.sourceOf.flatMap((source, row) => (source === s ? [row] : [])) })).filter(({ rows }) => rows.length > 0);
}

function drawRows(pools: readonly { readonly weight: number; readonly rows: readonly number[] }[], count: number, random: Random): number[] {
  const weights = pools.reduce((sum, { weight }) => sum + weight, 0);
  return pools.flatMap(({ weight, rows }) => {
    const share = Math.min(rows.length, Math.max(1, Math.round((count * weight) / weights)));
    const taken = new Set<number>();
    while (taken.size < share) taken.add(rows[random.integer(rows.length)]!);
    return [...taken];
  });
}

/** Entries set to zero at random, the others enlarged to keep the mean. Changes the array. */
function dropped(values: Float32Array, probability: number, random: Random): Float32Array {
  if (probability === 0) return values;
  const keep = 1 / (1 - probability);
  for (let i = 0; i < values.length; i++) values[i] = random.uniform() < probability ? 0 : values[i]! * keep;
  return values;
}
