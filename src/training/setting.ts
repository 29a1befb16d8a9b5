// Everything frozen that a run stands on: language model, features of all pictures, examples without the
// unreadable ones, held-out pairs, and the form of its prompts.
import { existsSync } from 'node:fs';
import { basename } from 'node:path';
import { adapterSizes, checkAdapter, findFrozenSources, findPreset, foldNormalization, hiddenWidth, type LanguageModelWeights, loadVisionEncoder, openLanguageModelWeights, openTokenizerOf, readAdapterFolder } from '../model/index.ts';
import { FromageError } from '../errors.ts';
import { withFromageTokens } from '../tokenizer/index.ts';
import type { TrainConfig } from './config.ts';
import { ContrastiveLoss } from './contrastive.ts';
import { type ExampleSource, type PairExample, pictureKey, type PictureName, picturesOf, readSource, shownIn, type TrainingExample } from './examples.ts';
import { createFeatureScale, type FeatureScale, foldScaleInto } from './feature-scale.ts';
import { FrozenModel } from './frozen-model.ts';
import { meanRowNorm } from './frozen-rows.ts';
import { initialParameters, type Parameters, parametersOf } from './parameters.ts';
import { type PooledFeatures, preparePooled } from './pooled-features.ts';
import { createPromptForm, type PromptForm } from './prompt-form.ts';
import { createRandom } from './random.ts';
import type { ValidationSet } from './validation.ts';
import { warmStartVisualTokens } from './warm-start.ts';

export interface Setting {
  readonly config: TrainConfig;
  readonly weights: LanguageModelWeights;
  readonly model: FrozenModel;
  readonly contrastive: ContrastiveLoss;
  readonly sources: readonly ExampleSource[];
  readonly validation: ValidationSet;
  readonly form: PromptForm;
  /** Scaled where features are normalised. */
  features(picture: PictureName): Float32Array;
  readonly scale: FeatureScale | null;
  /** Visual tokens, layers and [RET] id of the adapter in the making. */
  readonly facts: { readonly visualTokens: number; readonly textLayers: readonly number[]; readonly retTokenId: number };
  /** What the adapter's card says of the frozen models. */
  readonly frozen: { readonly languageModel: { readonly id: string }; readonly visionEncoder: { readonly id: string; readonly hash: string }; readonly parent: string | null };
  readonly retNorm: number;
  /** What the adapter's card will say. */
  readonly retOdds: number;
  /** Where the parameters start; `warm` as far as the configuration asks for it. */
  initial(warm: boolean): Parameters;
  readonly unreadablePictures: readonly string[];
  readonly skippedRows: number;
  close(): Promise<void>;
}

export interface SettingOptions {
  /** More examples than the configuration names. */
  readonly sources?: readonly ExampleSource[];
  /** Encoder outputs `[V]` of pictures whose `images` is empty, by name. */
  readonly features?: ReadonlyMap<string, Float32Array>;
  readonly onPictures?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

/** Opens everything; on failure nothing stays open. */
export async function openSetting(config: TrainConfig, options: SettingOptions = {}): Promise<Setting> {
  const found = await findFrozenSources({ model: config.model, cacheDir: config.cacheDir, ...(config.lm === undefined ? {} : { lm: config.lm }), ...(config.vision === undefined ? {} : { vision: config.vision }) });
  const start = config.from === undefined ? null : readAdapterFolder(config.from);
  const plainTokenizer = openTokenizerOf(found.languageModel);
  const run = config.threads === undefined ? {} : { threads: config.threads };
  const closers: (() => void | Promise<void>)[] = [];
  const close = async (): Promise<void> => {
    for (const closer of closers.reverse().splice(0)) await closer();
  };
  try {
    const weights = await openLanguageModelWeights({ source: found.languageModel, weights: 'fp32', cacheDir: config.cacheDir });
    closers.push(() => weights.close());
    // As the authors do it with OPT: <|image|> first. Their adapters and ours then go with one tokenizer.
    const retTokenId = start?.tensors.retTokenId ?? plainTokenizer.vocabSize + (weights.config.family === 'opt' ? 1 : 0);
    const tokenizer = withFromageTokens(plainTokenizer, retTokenId);
    const facts = { visualTokens: start?.tensors.visualTokens ?? config.visualTokens, textLayers: start?.tensors.textLayers ?? config.textLayers, retTokenId };
    const encoder = await loadVisionEncoder({ source: found.visionEncoder, ...run });
    const visionHiddenSize = encoder.visionHiddenSize;
    const { hash: visionHash } = encoder;
    if (start) checkAdapter(start.tensors, adapterSizes({ config: weights.config }, encoder), config.from ?? '');
    let pooled: PooledFeatures;
    let all: ExampleSource[];
    let heldOut: PairExample[];
    try {
      all = [...(await Promise.all(config.data.map(readSource))), ...(options.sources ?? [])];
      heldOut = await readValidation(config);
      const pictures = [...all.flatMap(({ examples }) => examples), ...heldOut].flatMap(picturesOf);
      pooled = await preparePooled(pictures, { brought: options.features ?? new Map(), encoder, cacheDir: config.cacheDir, ...(options.onPictures ? { onProgress: options.onPictures } : {}), ...(options.signal ? { signal: options.signal } : {}) });
    } finally {
      await encoder.close();
    }
    closers.push(() => pooled.close());
    const readable = withoutUnreadable(all, heldOut, pooled);
    const split = config.validation.tsv === undefined ? holdOut(readable.sources, config) : { sources: readable.sources, heldOut: readable.heldOut };
    if (all.length === 0) throw new FromageError({ code: 'TRAINING_DATA', what: 'no data is named', todo: 'give --data captions.tsv --images photos.tar, or name them in --config' });
    if (split.sources.every(({ examples }) => examples.length === 0)) throw new FromageError({ code: 'TRAINING_DATA', what: 'there are no examples to train on', why: `${readable.skipped} rows name pictures that cannot be read, or have an empty caption`, todo: 'check the folder or archive of the pictures' });
    const scale = config.normalizeFeatures ? createFeatureScale(trainPictures(split.sources, pooled), visionHiddenSize) : null;
    const features = (picture: PictureName): Float32Array => {
      const raw = pooled.get(picture);
      if (!raw) throw new FromageError({ code: 'TRAINING_DATA', what: `the picture ${picture.name} has no features` });
      return scale ? scale.apply(raw) : raw;
    };
    const model = new FrozenModel({ weights, visionHiddenSize, recomputeLayers: config.recomputeLayers, ...facts, ...run });
    closers.push(() => model.close());
    const textWidths = facts.textLayers.map((layer) => hiddenWidth(weights.config, layer));
    const retrievalDim = start?.tensors.visualFc.outputs ?? config.retrievalDim;
    const contrastive = new ContrastiveLoss({ visionHiddenSize, retrievalDim, textLayers: facts.textLayers, textWidths }, config.threads);
    closers.push(() => contrastive.close());
    const retNorm = meanRowNorm(weights, Math.min(weights.config.vocabSize, retTokenId));
    const endTokenId = weights.config.eosTokenIds[0] ?? tokenizer.eosTokenId ?? 0;
    const setting: Setting = {
      config,
      weights,
      model,
      contrastive,
      sources: split.sources,
      validation: { pairs: split.heldOut.slice(0, config.validation.count), captions: config.validation.captions },
      features,
      form: createPromptForm({ ...config, visualTokens: facts.visualTokens }, { tokenizer, chatTemplate: found.chatTemplate ?? tokenizer.chatTemplate, endTokenId, features }),
      scale,
      facts,
      frozen: {
        languageModel: { id: publicName(config.lm, findPreset(config.model)?.languageModel, found.languageModel) },
        visionEncoder: { id: publicName(config.vision, findPreset(config.model)?.visionEncoder, found.visionEncoder), hash: visionHash },
        parent: start ? String(start.card['hash'] ?? '') || null : null,
      },
      retNorm,
      retOdds: config.retOdds ?? start?.card.retOdds ?? 1,
      initial(warm) {
        if (start) {
          const parameters = parametersOf(foldNormalization(start.tensors));
          return scale ? foldScaleInto(parameters, scale) : parameters;
        }
        const parameters = initialParameters({ visualTokens: facts.visualTokens, retrievalDim, visionHiddenSize, embedSize: weights.config.embedSize, textWidths }, config.seed, retNorm);
        if (warm && config.warmStart) warmStartVisualTokens(setting, parameters);
        return parameters;
      },
      unreadablePictures: pooled.unreadable,
      skippedRows: readable.skipped,
      close,
    };
    return setting;
  } catch (error) {
    await close();
    throw error;
  }
}

/** A model's name without the folders of this machine; hub ids stay whole. */
function publicName(asked: string | undefined, preset: string | undefined, found: string): string {
  if (asked !== undefined && !existsSync(asked)) return asked;
  return asked === undefined && preset !== undefined ? preset : basename(found);
}

/** The first caption of each picture of a held-out file. */
async function readValidation({ validation }: TrainConfig): Promise<PairExample[]> {
  if (validation.tsv === undefined) return [];
  if (validation.images === undefined) throw new FromageError({ code: 'TRAINING_CONFIG', what: `validation.tsv is ${validation.tsv} and validation.images is missing`, todo: 'name the folder or archive of its pictures' });
  const source = await readSource({ kind: 'captions', tsv: validation.tsv, images: validation.images, weight: 1, captioning: true, retrieval: true });
  return firstOfEachPicture(source.examples.flatMap((example) => (example.kind === 'pair' && hasWords(example) ? [example] : []))).slice(0, Math.max(validation.count, validation.captions));
}

function firstOfEachPicture(pairs: readonly PairExample[]): PairExample[] {
  const seen = new Set<string>();
  return pairs.filter(({ picture }) => {
    const key = pictureKey(picture);
    return seen.has(key) ? false : seen.add(key);
  });
}

function withoutUnreadable(sources: readonly ExampleSource[], heldOut: readonly PairExample[], pooled: PooledFeatures) {
  let skipped = 0;
  const readable = sources.map((source) => {
    const examples = source.examples.flatMap((example): TrainingExample[] => {
      if (!shownIn(example.before).every((picture) => pooled.has(picture))) return [];
      if (example.kind === 'talk') return [example];
      return hasWords(example) && pooled.has(example.picture) ? [withoutUnknown(example, pooled)] : [];
    });
    skipped += source.examples.length - examples.length;
    return { ...source, examples };
  });
  return { sources: readable.filter(({ examples }) => examples.length > 0), heldOut: heldOut.filter(({ picture }) => pooled.has(picture)), skipped };
}

/** A caption of nothing but white space teaches nothing of its picture. */
function hasWords({ caption, request }: PairExample): boolean {
  return caption.trim() !== '' || request !== undefined;
}

function withoutUnknown(example: PairExample, pooled: PooledFeatures): PairExample {
  return example.rejected ? { ...example, rejected: example.rejected.filter((picture) => pooled.has(picture)) } : example;
}

/** Takes pictures out of the captions at random, with all their rows; at most a tenth of them. */
function holdOut(sources: readonly ExampleSource[], { validation, seed }: TrainConfig): { readonly sources: readonly ExampleSource[]; readonly heldOut: readonly PairExample[] } {
  const captions = sources.flatMap(({ examples }) => examples.flatMap((example) => (example.kind === 'pair' && !example.isName ? [example] : [])));
  const pictures = firstOfEachPicture(captions);
  const count = Math.min(validation.count, Math.floor(pictures.length / 10));
  const heldOut = createRandom(seed, 'held-out').shuffled(pictures).slice(0, count);
  const keys = new Set(heldOut.map(({ picture }) => pictureKey(picture)));
  const rest = sources.map((source) => ({ ...source, examples: source.examples.filter((example) => example.kind === 'talk' || !keys.has(pictureKey(example.picture))) }));
  return { sources: rest, heldOut };
}

function* trainPictures(sources: readonly ExampleSource[], pooled: PooledFeatures): Generator<Float32Array, void, undefined> {
  const seen = new Set<string>();
  for (const { examples } of sources) {
    for (const example of examples) {
      if (example.kind !== 'pair' || seen.has(pictureKey(example.picture))) continue;
      seen.add(pictureKey(example.picture));
      const features = pooled.get(example.picture);
      if (features) yield features;
    }
  }
}
