// A folder of the authors' form against its expected.json: tokenizer, pictures, prompts, generation.
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { generateReferenceTokens, interleaveReference, referenceQuirks } from '../../engine/index.ts';
import { openWeights, readEmbeddingsPickle, readNpy } from '../../formats/index.ts';
import { encodePrompt, findSources, loadFromage, vocabularyLogits, type EncodedPrompt, type FromageModel } from '../../model/index.ts';
import type { AddedToken, EngineImage, PromptSegment } from '../../model/types.ts';
import { argmax, dot, l2Normalize, logSoftmaxAt } from '../../tensor/index.ts';
import type { Closeness, Ledger } from './ledger.ts';
import type { GoldenOptions } from './types.ts';

export const fromageParts = [
  'ids', 'tokenizer', 'pixel_values_stored', 'pixel_values_pictures', 'pooled_stored', 'pooled_pictures', 'visual_prefixes', 'picture_retrieval_embeddings',
  'prompt_lengths', 'logits', 'hidden', 'argmax', 'log_likelihood', 'text_retrieval_embeddings',
  'generated_ids', 'ret_positions', 'ret_embeddings', 'ret_scores', 'outputs', 'num_words_0', 'training',
] as const;

/** Mean error of pixel values made from a picture. */
const pictureTolerance = 0.005;
/** As the numbers were made where a run's settings do not say otherwise. */
const usualMaxRets = 2;
const usualImagesPerRet = 2;

interface Setting {
  readonly ledger: Ledger;
  readonly model: FromageModel;
  readonly folder: string;
  readonly close: Closeness;
  /** `<|image|>`, which no checkpoint holds. */
  readonly added: readonly AddedToken[];
  /** By file name, from the pictures. */
  readonly pooled: ReadonlyMap<string, Float32Array>;
}

/** Compares everything that a fromage folder states. */
export async function compareFromage(folder: string, ledger: Ledger, options: GoldenOptions & { readonly cacheDir: string }): Promise<void> {
  const model = await loadFromage({ model: folder, weights: 'fp32', cacheDir: options.cacheDir, ...(options.threads === undefined ? {} : { threads: options.threads }), ...(options.device === undefined ? {} : { device: options.device }) });
  try {
    const close: Closeness = { tolerance: await toleranceOf(folder, options.cacheDir), rounding: 5e-7 };
    options.onStage?.('tokenizer');
    compareTokenizer(ledger, model);
    options.onStage?.('pictures');
    const pooled = await comparePictures(ledger, model, folder, close);
    const row = ledger.at(['image_token_embedding']);
    const added = Array.isArray(row) && model.tokenizer.imageTokenId !== null ? [{ id: model.tokenizer.imageTokenId, row: Float32Array.from(row as number[]) }] : [];
    ledger.input(['image_token_embedding']);
    options.onStage?.('prompts');
    await comparePrompts({ ledger, model, folder, close, added, pooled });
  } finally {
    await model.close();
  }
}

/** Half-precision weights were multiplied in half precision somewhere; 5e-3 is their bar. */
async function toleranceOf(folder: string, cacheDir: string): Promise<number> {
  const { languageModel, visionEncoder } = await findSources({ model: folder, cacheDir });
  const half = [languageModel, visionEncoder].some((source) => {
    const store = openWeights(source);
    try {
      return [...store.tensors.values()].some((tensor) => tensor.dtype === 'F16' || tensor.dtype === 'BF16');
    } finally {
      store.close();
    }
  });
  return half ? 5e-3 : 1e-4;
}

function compareTokenizer(ledger: Ledger, { tokenizer, adapter }: FromageModel): void {
  ledger.equal('ids', ['retrieval_token_idx'], adapter.ret.id);
  if (ledger.at(['image_token_idx']) !== undefined) ledger.equal('ids', ['image_token_idx'], tokenizer.imageTokenId);
  ledger.equal('ids', ['vocab_rows'], adapter.ret.id + 1);
  for (const [i] of ledger.list(['tokenize']).entries()) {
    const text = ledger.text(['tokenize', i, 'text']);
    const ids = tokenizer.encode(text, { trusted: true });
    ledger.equal('tokenizer', ['tokenize', i, 'with_bos'], tokenizer.encode(text, { trusted: true, begin: true }));
    ledger.equal('tokenizer', ['tokenize', i, 'without_bos'], ids);
    ledger.equal('tokenizer', ['tokenize', i, 'decoded'], tokenizer.decode(ids));
  }
}

async function comparePictures(ledger: Ledger, { vision, adapter }: FromageModel, folder: string, close: Closeness): Promise<Map<string, Float32Array>> {
  const stored = readNpy(join(folder, 'pixel_values.npy'));
  const volume = 3 * vision.imageSize * vision.imageSize;
  const count = ledger.list(['images']).length;
  const pooled = new Map<string, Float32Array>();
  if (stored.data.length !== count * volume) ledger.fail('pixel_values_stored', `pixel_values.npy is [${stored.shape.join(', ')}] for ${count} pictures of ${vision.imageSize} pixels`);
  for (let i = 0; i < count; i++) {
    const at = ['images', i];
    const file = ledger.text([...at, 'file']);
    const pixels = Float32Array.from(stored.data.subarray(i * volume, (i + 1) * volume) as Float32Array);
    comparePixels(ledger, 'pixel_values_stored', at, pixels, vision.imageSize, { tolerance: 1e-4, rounding: close.rounding });
    ledger.close('pooled_stored', [...at, 'pooled'], await vision.encode(pixels, 1), close);
    const own = await vision.preprocess(readFileSync(join(folder, 'images', basename(file))));
    const meanError = own.reduce((sum, value, at) => sum + Math.abs(value - (pixels[at] ?? Number.NaN)), 0) / volume;
    ledger.measure('pixel_values_pictures', `${file}: its mean`, meanError, pictureTolerance, volume);
    const features = await vision.encode(own, 1);
    pooled.set(file, features);
    // What was read from the picture may differ from the stored pixels by the bar above.
    ledger.close('pooled_pictures', [...at, 'pooled'], features, { ...close, tolerance: Math.max(close.tolerance, 2 * pictureTolerance) });
    const fromStored = await vision.encode(pixels, 1);
    ledger.close('visual_prefixes', [...at, 'captioning_embeddings'], adapter.visualPrefix(fromStored, 1), close);
    ledger.close('picture_retrieval_embeddings', [...at, 'retrieval_embedding'], adapter.projectImages(fromStored, 1), close);
  }
  return pooled;
}

function comparePixels(ledger: Ledger, part: string, at: readonly (string | number)[], pixels: Float32Array, size: number, close: Closeness): void {
  const channels = [0, 1, 2].map((channel) => pixels.subarray(channel * size * size, (channel + 1) * size * size));
  ledger.close(part, [...at, 'pixel_values_mean_per_channel'], channels.map((plane) => plane.reduce((sum, value) => sum + value, 0) / plane.length), close);
  const corner = ledger.list([...at, 'pixel_values_corner', 0]).length;
  ledger.close(part, [...at, 'pixel_values_corner'], channels.flatMap((plane) => Array.from({ length: corner * corner }, (_, i) => plane[Math.floor(i / corner) * size + (i % corner)] ?? Number.NaN)), close);
}

async function comparePrompts(setting: Setting): Promise<void> {
  const { ledger, folder, model } = setting;
  const index = readIndex(folder, model);
  for (const [i] of ledger.list(['prompts']).entries()) {
    const encoded = encode(setting, ['prompts', i, 'prompt']);
    await comparePositions(setting, ['prompts', i], encoded);
    for (const [r] of ledger.list(['prompts', i, 'runs']).entries()) await compareRun(setting, index, ['prompts', i, 'runs', r], encoded);
    if (ledger.at(['prompts', i, 'num_words_0']) === undefined) continue;
    const tokens = await generateReferenceTokens(encoded, { ...model, added: setting.added }, { numWords: 0, quirks: referenceQuirks });
    const outputs = await interleaveReference(tokens, model.tokenizer, index, { numWords: 0, quirks: referenceQuirks, maxNumRets: usualMaxRets, maxImgPerRet: usualImagesPerRet });
    ledger.equal('num_words_0', ['prompts', i, 'num_words_0'], outputs);
  }
}

function encode({ ledger, model, added, pooled }: Setting, path: readonly (string | number)[]): EncodedPrompt {
  const segments = ledger.list(path).map((_, at): PromptSegment => {
    if (ledger.at([...path, at, 'text']) !== undefined) return { type: 'text', text: ledger.text([...path, at, 'text']), trusted: true };
    const features = pooled.get(ledger.text([...path, at, 'image']));
    return { type: 'image', image: { pooled: features ?? new Float32Array(model.vision.visionHiddenSize) } };
  });
  const pooledOf = (image: EngineImage): Float32Array => ('pooled' in image ? image.pooled : new Float32Array(0));
  return encodePrompt({ kind: 'segments', segments }, { tokenizer: model.tokenizer, languageModel: model.languageModel, adapter: model.adapter, added, maxPositions: model.contextWindow, style: model.promptStyle, pooledOf });
}

async function comparePositions({ ledger, model, close, added }: Setting, at: readonly (string | number)[], prompt: EncodedPrompt): Promise<void> {
  const { adapter, languageModel } = model;
  ledger.equal('prompt_lengths', [...at, 'length'], prompt.length);
  const output = await languageModel.step(languageModel.createCache(1), [{ slot: 0, embeds: prompt.embeds, select: [...prompt.tokenIds.keys()] }]);
  const hidden = output.hidden.get(-1) ?? new Float32Array(0);
  const { logits, size } = vocabularyLogits(output.logits, hidden, prompt.length, adapter, added);
  const rowOf = (position: number): Float32Array => logits.subarray(position * size, (position + 1) * size);
  const last = prompt.length - 1;
  const width = hidden.length / prompt.length;
  ledger.close('logits', [...at, 'last_logits'], rowOf(last), close);
  ledger.close('hidden', [...at, 'last_hidden'], hidden.subarray(last * width), close);
  ledger.equal('argmax', [...at, 'all_argmax'], prompt.tokenIds.map((_, position) => argmax(rowOf(position))));
  // Each token is predicted from the position before it; pictures are not predicted.
  const terms = prompt.tokenIds.flatMap((id, position) => (position === 0 || id < 0 ? [] : [logSoftmaxAt(rowOf(position - 1), id)]));
  ledger.close('log_likelihood', [...at, 'mean_log_likelihood'], [terms.reduce((sum, term) => sum + term, 0) / terms.length], close);
  const projected = adapter.projectText(output.hidden, prompt.length);
  ledger.close('text_retrieval_embeddings', [...at, 'text_retrieval_embedding_last'], l2Normalize(projected.subarray(last * adapter.retrievalDim)), close);
}

async function compareRun(setting: Setting, index: ReturnType<typeof readIndex>, at: readonly (string | number)[], prompt: EncodedPrompt): Promise<void> {
  const { ledger, model, close, added } = setting;
  const number = (name: string): number | undefined => {
    const value = ledger.at([...at, 'settings', name]);
    return typeof value === 'number' ? value : undefined;
  };
  const optional = <K extends string>(key: K, value: number | undefined): { readonly [key in K]?: number } => (value === undefined ? {} : ({ [key]: value } as { [key in K]: number }));
  const options = {
    numWords: number('num_words') ?? 0,
    ...optional('minWordTokens', number('min_word_tokens')),
    ...optional('retScaleFactor', number('ret_scale_factor')),
    ...optional('temperature', number('temperature')),
    ...optional('topP', number('top_p')),
    quirks: referenceQuirks,
  };
  ledger.input([...at, 'settings']);
  const tokens = await generateReferenceTokens(prompt, { ...model, added }, options);
  ledger.equal('generated_ids', [...at, 'ids'], tokens.ids);
  const rets = tokens.ids.flatMap((id, position) => (id === model.adapter.ret.id ? [position] : []));
  if (ledger.at([...at, 'ret_positions']) !== undefined) ledger.equal('ret_positions', [...at, 'ret_positions'], rets);
  for (const part of ['ret_embeddings', 'ret_scores'] as const) {
    const expected = ledger.at([...at, part]);
    if (expected === undefined) continue;
    if (!Array.isArray(expected) || expected.length !== rets.length) ledger.fail(part, `${[...at, part].join('.')} has ${Array.isArray(expected) ? expected.length : 'no'} entries, [RET] came ${rets.length} times`);
    for (const [r] of ledger.list([...at, part]).entries()) {
      const embedding = tokens.embeddings[rets[r] ?? -1] ?? null;
      const path = [...at, part, r];
      if (embedding === null || ledger.at(path) === null) ledger.equal(part, path, embedding === null ? null : 'an embedding');
      else ledger.close(part, path, part === 'ret_embeddings' ? embedding : index.scores(embedding), close);
    }
  }
  if (ledger.at([...at, 'outputs']) === undefined) return;
  const outputs = await interleaveReference(tokens, model.tokenizer, index, {
    ...options,
    maxNumRets: number('max_num_rets') ?? usualMaxRets,
    maxImgPerRet: number('max_img_per_ret') ?? usualImagesPerRet,
  });
  ledger.equal('outputs', [...at, 'outputs'], outputs);
}

/** The embeddings files as the reference loads them: rows at unit length times exp(logit_scale). */
function readIndex(folder: string, { adapter, vision }: FromageModel) {
  const names = readdirSync(folder).filter((name) => /^cc3m_embeddings.*\.pkl$/.test(name)).sort();
  const scale = Math.exp(adapter.logitScale);
  const paths: string[] = [];
  const rows: Float32Array[] = [];
  for (const name of names) {
    const file = readEmbeddingsPickle(join(folder, name));
    try {
      paths.push(...file.paths);
      for (const row of file.rows()) rows.push(l2Normalize(row).map((value) => value * scale));
    } finally {
      file.close();
    }
  }
  return {
    scores: (embedding: Float32Array): Float32Array => Float32Array.from(rows, (row) => dot(row, 0, embedding, 0, embedding.length)),
    async load(index: number): Promise<string | null> {
      const path = paths[index];
      if (path === undefined) return null;
      try {
        await vision.preprocess(readFileSync(join(folder, path)));
        return basename(path);
      } catch {
        // As in the reference: a picture that does not load is passed over.
        return null;
      }
    },
  };
}
