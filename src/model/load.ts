// Opens a preset or a folder as a whole FROMAGe model: language model, vision encoder, tokenizer, adapter
// and the prompt form that goes with them, checked against one another.
import { existsSync, realpathSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { FromageError } from '../errors.ts';
import { openWeights } from '../formats/index.ts';
import type { Device } from '../onnx/run/index.ts';
import { openTokenizer, tokenizerFromGguf, withFromageTokens, type TextStream, type Tokenizer } from '../tokenizer/index.ts';
import { readAdapterFolder, type AdapterFolder } from './adapter-open.ts';
import { checkAdapter, createAdapter, type AdapterSizes } from './adapter.ts';
import { loadLanguageModel } from './language-model.ts';
import type { WeightScheme } from './language-model-weights.ts';
import { readManifest, verifyManifest } from './model-manifest.ts';
import { resolveNamed, resolveSource, singleGguf } from './model-sources.ts';
import { findPreset, type Preset } from './presets.ts';
import { embedTokens } from './prompt-encoder.ts';
import { layOutPrompt, type PromptLayout } from './prompt-layout.ts';
import type { Adapter, LanguageModel, Prompt, PromptStyle, VisionEncoder } from './types.ts';
import { loadVisionEncoder } from './vision-encoder.ts';

export interface LoadOptions {
  /** A preset's name, a folder with model.json, or a folder with an adapter. */
  readonly model: string;
  /** In place of the model's own: a folder. */
  readonly adapter?: string;
  /** In place of the model's own: a folder, a file or a hub id. */
  readonly lm?: string;
  readonly vision?: string;
  readonly weights: WeightScheme | 'auto';
  readonly device?: Device;
  readonly threads?: number;
  /** Everything that is written lies here and may be thrown away. */
  readonly cacheDir: string;
  /** Checksums of model.json: `once` (default) per file until it changes, `always`, or `never`. */
  readonly verify?: 'once' | 'always' | 'never';
  /** See `loadLanguageModel`; 1 is exact. */
  readonly accuracyLevel?: 1 | 4;
  /** Layers that adapters loaded later may read, besides those of the first. */
  readonly hiddenLayers?: readonly number[];
  readonly onProgress?: (done: number) => void;
}

/** An open model; it has all that an engine needs of one. */
export interface FromageModel {
  readonly name: string;
  readonly device: string;
  readonly promptStyle: PromptStyle;
  readonly languageModel: LanguageModel;
  readonly vision: VisionEncoder;
  /** Knows [RET]. */
  readonly tokenizer: Tokenizer;
  readonly adapter: Adapter;
  /** Of the prompt style `chat`; null when the model has none. */
  readonly chatTemplate: string | null;
  readonly contextWindow: number;
  /** Lays a prompt out so that it and `maxNewTokens` fit the context window. Errors as in `layOutPrompt`. */
  layOutPrompt(prompt: Prompt, request: { readonly visualTokens: number; readonly maxNewTokens: number }): PromptLayout;
  encodeContinuation(text: string): readonly number[];
  /** Input embeddings `[ids.length, embedSize]`; [RET] takes the adapter's row. */
  embedTokens(ids: readonly number[], adapter: Adapter): Float32Array;
  /** Text of an answer, [RET] left out. */
  createTextStream(): TextStream;
  /** Opens another adapter for these models. @throws FromageError `ADAPTER_…`, `TOKENIZER_RET_ID` */
  openAdapter(folder: string, id: string): Promise<Adapter>;
  /** Frees sessions and files; no step may be under way. */
  close(): Promise<void>;
}

/** Where the parts of a model lie. */
export interface ModelSources {
  readonly name: string;
  readonly languageModel: string;
  readonly visionEncoder: string;
  readonly adapter: string;
  readonly promptStyle?: PromptStyle;
  readonly chatTemplate?: string;
}

/**
 * Opens everything; on failure nothing stays open.
 *
 * @throws FromageError `MODEL_NOT_HERE`, `MODEL_MANIFEST`, `MODEL_CHECKSUM`, `ADAPTER_…`, `TOKENIZER_…`, and
 *   the readers' own
 */
export async function loadFromage(options: LoadOptions): Promise<FromageModel> {
  const sources = await findSources(options);
  const opened = readAdapterFolder(sources.adapter);
  const tokenizer = withFromageTokens(openTokenizerOf(sources.languageModel), opened.tensors.retTokenId);
  const run = { ...(options.device === undefined ? {} : { device: options.device }), ...(options.threads === undefined ? {} : { threads: options.threads }) };
  const vision = await loadVisionEncoder({ source: sources.visionEncoder, ...run });
  let languageModel: LanguageModel | undefined;
  try {
    languageModel = await loadLanguageModel({
      source: sources.languageModel,
      weights: options.weights,
      cacheDir: options.cacheDir,
      hiddenLayers: [...new Set([...opened.tensors.textLayers, ...(options.hiddenLayers ?? [])])],
      ...run,
      ...(options.accuracyLevel === undefined ? {} : { accuracyLevel: options.accuracyLevel }),
      ...(options.onProgress === undefined ? {} : { onProgress: options.onProgress }),
    });
    return assemble(sources, options, tokenizer, languageModel, vision, opened);
  } catch (error) {
    await languageModel?.close();
    await vision.close();
    throw error;
  }
}

/** Resolves names to places and verifies what a model.json lists. Errors as in `loadFromage`. */
export async function findSources(options: Pick<LoadOptions, 'model' | 'adapter' | 'lm' | 'vision' | 'cacheDir' | 'verify'>): Promise<ModelSources> {
  const own = await ownSources(options);
  return { ...frozenSources(own, options), adapter: options.adapter === undefined ? own.adapter() : resolveSource(options.adapter, 'adapter') };
}

/** The same without an adapter: what a new one is trained between. */
export async function findFrozenSources(options: Pick<LoadOptions, 'model' | 'lm' | 'vision' | 'cacheDir' | 'verify'>): Promise<Omit<ModelSources, 'adapter'>> {
  return frozenSources(await ownSources(options), options);
}

function frozenSources(own: OwnSources, { lm, vision }: Pick<LoadOptions, 'lm' | 'vision'>): Omit<ModelSources, 'adapter'> {
  return {
    name: own.name,
    ...(own.promptStyle === undefined ? {} : { promptStyle: own.promptStyle }),
    ...(own.chatTemplate === undefined ? {} : { chatTemplate: own.chatTemplate }),
    languageModel: singleGguf(lm === undefined ? own.languageModel() : resolveSource(lm, 'language model')),
    visionEncoder: vision === undefined ? own.visionEncoder() : resolveSource(vision, 'vision encoder'),
  };
}

/** Parts are looked for only where nothing else was asked for. */
interface OwnSources extends Pick<ModelSources, 'name' | 'promptStyle' | 'chatTemplate'> {
  languageModel(): string;
  visionEncoder(): string;
  adapter(): string;
}

async function ownSources({ model, cacheDir, verify = 'once' }: Pick<LoadOptions, 'model' | 'cacheDir' | 'verify'>): Promise<OwnSources> {
  const preset = findPreset(model);
  if (preset !== null && preset.folder === undefined) {
    return {
      name: preset.name,
      ...(preset.promptStyle ? { promptStyle: preset.promptStyle } : {}),
      languageModel: () => resolveSource(preset.languageModel ?? '', 'language model'),
      visionEncoder: () => resolveSource(preset.visionEncoder ?? '', 'vision encoder'),
      adapter: () => presetAdapter(preset),
    };
  }
  const folder = preset?.folder ?? resolveSource(model, 'model');
  if (existsSync(join(folder, 'model.json'))) {
    const manifest = readManifest(folder);
    if (verify !== 'never') await verifyManifest(folder, manifest, verify === 'always' ? null : cacheDir);
    return {
      name: manifest.name,
      promptStyle: manifest.promptStyle,
      ...(manifest.chatTemplate === undefined ? {} : { chatTemplate: manifest.chatTemplate }),
      languageModel: () => join(folder, manifest.languageModel),
      visionEncoder: () => join(folder, manifest.visionEncoder),
      adapter: () => join(folder, manifest.adapter),
    };
  }
  const card = (): AdapterFolder['card'] => readAdapterFolder(folder).card;
  return {
    name: basename(realpathSync(folder)),
    languageModel: () => resolveNamed(card().languageModel?.id ?? '', folder, 'language model'),
    visionEncoder: () => resolveNamed(card().visionEncoder?.id ?? '', folder, 'vision encoder'),
    adapter: () => folder,
  };
}

function presetAdapter({ name, adapter }: Preset): string {
  if (adapter !== undefined && 'repository' in adapter) return resolveSource(adapter.repository, 'adapter');
  throw new FromageError({ code: 'MODEL_NOT_HERE', what: `the adapter of ${name} was not named`, why: 'its authors keep it outside the hub', todo: adapter?.byHand ?? 'name a folder with --adapter' });
}

/** The tokenizer that lies with a language model: in its folder, or inside its GGUF file. */
export function openTokenizerOf(languageModel: string): Tokenizer {
  if (statSync(languageModel).isDirectory()) return openTokenizer(languageModel);
  const store = openWeights(languageModel);
  try {
    return tokenizerFromGguf(store.metadata, languageModel);
  } finally {
    store.close();
  }
}

/** Widths of open models, as `checkAdapter` wants them. */
export function adapterSizes(languageModel: Pick<LanguageModel, 'config'>, vision: Pick<VisionEncoder, 'visionHiddenSize'>): AdapterSizes {
  const { hiddenSize, embedSize, numLayers } = languageModel.config;
  const inner = 'innerSize' in languageModel.config ? languageModel.config.innerSize : undefined;
  return { hiddenSize, embedSize, numLayers, visionHiddenSize: vision.visionHiddenSize, ...(typeof inner === 'number' ? { innerSize: inner } : {}) };
}

function assemble(sources: ModelSources, options: LoadOptions, tokenizer: Tokenizer, languageModel: LanguageModel, vision: VisionEncoder, opened: AdapterFolder): FromageModel {
  const sizes = adapterSizes(languageModel, vision);
  const layers = new Set([-1, ...opened.tensors.textLayers, ...(options.hiddenLayers ?? [])]);
  const admit = ({ tensors, card }: AdapterFolder, folder: string, id: string): Adapter => {
    checkAdapter(tensors, sizes, folder);
    if (tensors.retTokenId !== tokenizer.retTokenId) withFromageTokens(tokenizer, tensors.retTokenId);
    const foreign = tensors.textLayers.find((layer) => !layers.has(layer));
    if (foreign !== undefined) throw new FromageError({ code: 'ADAPTER_LAYERS', what: `${folder} reads layer ${foreign}, the model was opened with layers ${[...layers].join(', ')}`, todo: 'start with this adapter, so that the layer is computed' });
    return createAdapter(id, tensors, card);
  };
  const style = sources.promptStyle ?? opened.card.promptStyle ?? (tokenizer.chatTemplate === null ? 'qa' : 'chat');
  const chatTemplate = sources.chatTemplate ?? tokenizer.chatTemplate;
  const contextWindow = languageModel.config.contextWindow;
  return {
    name: sources.name,
    device: options.device ?? 'cpu',
    promptStyle: style,
    languageModel,
    vision,
    tokenizer,
    adapter: admit(opened, sources.adapter, basename(realpathSync(sources.adapter))),
    chatTemplate,
    contextWindow,
    layOutPrompt: (prompt, { visualTokens, maxNewTokens }) =>
      layOutPrompt(prompt, { tokenizer, visualTokens, maxPositions: contextWindow - maxNewTokens, style, ...(chatTemplate === null ? {} : { chatTemplate }) }),
    encodeContinuation: (text) => tokenizer.encode(text, { trusted: false }),
    embedTokens: (ids, adapter) => embedTokens(ids, { languageModel, adapter }),
    createTextStream: () => tokenizer.createTextStream({ skipRet: true }),
    openAdapter: async (folder, id) => admit(readAdapterFolder(folder), folder, id),
    async close() {
      await languageModel.close();
      await vision.close();
    },
  };
}
