// The starter's folder against its expected.json: the real language model with its exact weights, the
// vision encoder on photos, the adapter's captions and requests, the 1,000 dev photos and the gallery.
import { createReadStream, existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { extract } from 'tar-stream';
import { embedTokens, findPreset, loadFromage, vocabularyLogits, type FromageModel } from '../../model/index.ts';
import { openTorch } from '../../formats/index.ts';
import type { Prompt } from '../../model/types.ts';
import { argmax, l2Normalize, linear, logSoftmaxAt, topK } from '../../tensor/index.ts';
import type { Closeness, Ledger, Path } from './ledger.ts';
import type { GoldenOptions } from './types.ts';

export const starterParts = [
  'tokenizer', 'logits', 'hidden', 'greedy_ids', 'log_likelihood', 'vision_pooled', 'vision_classes',
  'visual_prefixes', 'caption_logits', 'caption_ids', 'request_prompts', 'request_logits', 'retrieval_embeddings', 'dev_photos', 'gallery',
] as const;

const close: Closeness = { tolerance: 1e-4, rounding: 5e-6 };
/** Logits and cosines of the folder are printed with fewer decimals. */
const logitsClose: Closeness = { tolerance: 1e-4, rounding: 5e-4 };
const cosineClose: Closeness = { tolerance: 1e-4, rounding: 5e-5 };
/** Two logits nearer than this (of the largest) may change places. */
const tie = 1e-4;

interface Setting {
  readonly ledger: Ledger;
  readonly model: FromageModel;
  readonly onStage: (stage: string) => void;
  readonly photos: ReadonlyMap<string, Uint8Array>;
}

/** Compares everything that a starter folder states. */
export async function compareStarter(folder: string, ledger: Ledger, options: GoldenOptions & { readonly cacheDir: string }): Promise<void> {
  const places = sharedFolders(folder, options);
  const models = places.map((place) => join(place, 'models')).find((place) => existsSync(join(place, 'starter-adapter'))) ?? null;
  const starter = findPreset('starter')?.folder ?? '';
  const model = await loadFromage({
    model: 'starter',
    ...(models === null ? {} : { lm: ggufIn(models, starter), vision: join(models, 'efficientnet-lite0.pth'), adapter: join(models, 'starter-adapter') }),
    weights: 'fp32',
    cacheDir: options.cacheDir,
    ...(options.threads === undefined ? {} : { threads: options.threads }),
  });
  try {
    const tar = places.map((place) => join(place, 'data/flickr8k/dev-images.tar')).find((file) => existsSync(file));
    const setting: Setting = { ledger, model, onStage: options.onStage ?? (() => {}), photos: tar === undefined ? new Map() : await readTar(tar) };
    compareTokenizer(setting);
    await compareLanguageModel(setting);
    await compareVision(setting, models === null ? join(starter, 'efficientnet-lite0.pth') : join(models, 'efficientnet-lite0.pth'));
    await compareCaptions(setting);
    await compareRequests(setting);
  } finally {
    await model.close();
  }
}

/** The folder lies in `golden/` beside `models/` and `data/`; a copy of it finds those of this checkout. */
function sharedFolders(folder: string, options: GoldenOptions): readonly string[] {
  return [join(folder, '../..'), ...(options.sharedDir === undefined ? [] : [options.sharedDir]), join(import.meta.dirname, '../../../../shared')];
}

function ggufIn(models: string, starter: string): string {
  const name = 'SmolLM2-135M-Instruct.Q4_1.gguf';
  return existsSync(join(models, name)) ? join(models, name) : join(starter, name);
}

function compareTokenizer({ ledger, model: { tokenizer } }: Setting): void {
  for (const [i] of ledger.list(['tokenize']).entries()) {
    const text = ledger.text(['tokenize', i, 'text']);
    // The original tokenizer does not know [RET]; its other special tokens are parsed.
    const pieces = text.split(/(\[RET\])/).map((piece) => ({ text: piece, trusted: piece !== '[RET]' }));
    const ids = tokenizer.encodePieces(pieces);
    ledger.equal('tokenizer', ['tokenize', i, 'ids'], ids);
    ledger.equal('tokenizer', ['tokenize', i, 'decoded'], tokenizer.decode(ids, { skipSpecial: false }));
  }
}

async function compareLanguageModel({ ledger, model, onStage }: Setting): Promise<void> {
  const { tokenizer, languageModel } = model;
  const { vocabSize } = languageModel.config;
  for (const [i] of ledger.list(['language_model']).entries()) {
    onStage(`prompt ${i}`);
    const at: Path = ['language_model', i];
    const ids = tokenizer.encode(ledger.text([...at, 'prompt']), { trusted: true });
    ledger.equal('tokenizer', [...at, 'ids'], ids);
    const cache = languageModel.createCache(1);
    const output = await languageModel.step(cache, [{ slot: 0, embeds: languageModel.embed(ids), select: [...ids.keys()] }]);
    const rowOf = (position: number): Float32Array => output.logits.subarray(position * vocabSize, (position + 1) * vocabSize);
    const last = rowOf(ids.length - 1);
    compareTop(ledger, 'logits', [...at, 'top10'], last);
    ledger.close('hidden', [...at, 'last_hidden'], (output.hidden.get(-1) ?? new Float32Array(0)).slice(-languageModel.config.hiddenSize), close);
    const terms = ids.slice(1).map((id, position) => logSoftmaxAt(rowOf(position), id));
    ledger.close('log_likelihood', [...at, 'mean_log_likelihood'], [terms.reduce((sum, term) => sum + term, 0) / terms.length], close);
    await compareGreedy(ledger, 'greedy_ids', [...at, 'greedy_ids'], last, async (id) => (await languageModel.step(cache, [{ slot: 0, embeds: languageModel.embed([id]), select: [0] }])).logits);
    ledger.equal('greedy_ids', [...at, 'greedy_text'], tokenizer.decode(numbersAt(ledger, [...at, 'greedy_ids']), { skipSpecial: false }));
  }
}

/** Ids and logits of the best entries; nearly equal ones may change places. */
function compareTop(ledger: Ledger, part: string, path: Path, logits: Float32Array): void {
  const pairs = ledger.list(path).map((pair) => (Array.isArray(pair) ? (pair as number[]) : []));
  const best = topK(logits, pairs.length);
  ledger.see(path);
  const wanted = pairs.map(([id = -1]) => logits[id] ?? Number.NaN);
  const largest = Math.max(...wanted.map(Math.abs));
  const allowed = logitsClose.rounding + logitsClose.tolerance * largest;
  const worst = Math.max(...pairs.map(([, value = Number.NaN], rank) => Math.max(Math.abs(value - (wanted[rank] ?? Number.NaN)), Math.abs((wanted[rank] ?? Number.NaN) - (logits[best[rank] ?? -1] ?? Number.NaN)))));
  // Beyond the decimals that were printed, as a part of the largest.
  ledger.measure(part, path.join('.'), pairs.length === 0 || Number.isNaN(worst) ? Number.NaN : Math.max(0, worst - logitsClose.rounding) / largest, logitsClose.tolerance, pairs.length * 2);
  if (worst > allowed) ledger.fail(part, `${path.join('.')} is off by ${worst}`);
}

/**
 * Follows the expected ids and checks that each is the best choice where it stands, or as good as the best:
 * so every id is compared, also those after a place where two logits are nearly equal.
 */
async function compareGreedy(ledger: Ledger, part: string, path: Path, first: Float32Array, next: (id: number) => Promise<Float32Array>): Promise<void> {
  const ids = numbersAt(ledger, path);
  let logits = first;
  let worst = 0;
  for (const [step, id] of ids.entries()) {
    const best = logits[argmax(logits)] ?? Number.NaN;
    const gap = (best - (logits[id] ?? Number.NEGATIVE_INFINITY)) / Math.abs(best);
    worst = Math.max(worst, Number.isFinite(gap) ? gap : Number.MAX_VALUE);
    if (step < ids.length - 1) logits = Number.isInteger(id) && id >= 0 && id < logits.length ? await next(id) : logits;
  }
  ledger.see(path);
  ledger.measure(part, `${path.join('.')}: a choice`, worst, tie, ids.length);
}

async function compareVision({ ledger, model, photos, onStage }: Setting, weights: string): Promise<void> {
  onStage('vision');
  const store = openTorch(weights);
  try {
    const classes = { weight: store.readFloat32('_fc.weight'), bias: store.readFloat32('_fc.bias') };
    for (const [i] of ledger.list(['vision']).entries()) {
      const pooled = await encodePhoto(model, photos, ledger.text(['vision', i, 'file']));
      ledger.close('vision_pooled', ['vision', i, 'pooled'], pooled, close);
      compareTop(ledger, 'vision_classes', ['vision', i, 'imagenet_top5'], linear(pooled, classes.weight, classes.bias, 1));
    }
  } finally {
    store.close();
  }
}

async function compareCaptions({ ledger, model, photos, onStage }: Setting): Promise<void> {
  const { adapter, tokenizer } = model;
  for (const [i] of ledger.list(['adapter', 'captions']).entries()) {
    onStage(`caption ${i}`);
    const at: Path = ['adapter', 'captions', i];
    const pooled = await encodePhoto(model, photos, ledger.text([...at, 'file']));
    const prefix = adapter.visualPrefix(pooled, 1);
    const width = model.languageModel.config.embedSize;
    const corner = ledger.list([...at, 'visual_prefix_first_8']);
    const columns = Array.isArray(corner[0]) ? corner[0].length : 0;
    ledger.close('visual_prefixes', [...at, 'visual_prefix_first_8'], corner.flatMap((_, token) => Array.from(prefix.subarray(token * width, token * width + columns))), close);
    const run = await start(model, { kind: 'turns', turns: [{ role: 'user', parts: [{ type: 'image', image: { pooled } }, { type: 'text', text: ledger.text([...at, 'question']) }] }] });
    compareTop(ledger, 'caption_logits', [...at, 'first_top5'], run.logits);
    await compareGreedy(ledger, 'caption_ids', [...at, 'ids'], run.logits, async (id) => (await run.next(id)).logits);
    ledger.equal('caption_ids', [...at, 'text'], tokenizer.decode(numbersAt(ledger, [...at, 'ids'])).trim());
  }
}

async function compareRequests({ ledger, model, photos, onStage }: Setting): Promise<void> {
  onStage('dev photos');
  const photoNames = [...photos.keys()];
  const photoVectors = await projectAll(model, photoNames.map((name) => () => photos.get(name) ?? new Uint8Array()));
  onStage('gallery');
  const gallery = starterGallery();
  const galleryVectors = await projectAll(model, gallery.map((entry) => () => readFileSync(entry.file)));
  for (const [i] of ledger.list(['adapter', 'requests']).entries()) {
    const at: Path = ['adapter', 'requests', i];
    const run = await start(model, ask(ledger.text([...at, 'text'])));
    ledger.equal('request_prompts', [...at, 'ids'], run.promptIds);
    compareTop(ledger, 'request_logits', [...at, 'first_top3'], run.logits);
    const { embedding } = await run.next(model.adapter.ret.id);
    ledger.close('retrieval_embeddings', [...at, 'retrieval_embedding'], embedding, close);
    compareBest(ledger, 'dev_photos', [...at, 'best_dev_photos'], cosines(photoVectors, embedding), photoNames);
  }
  for (const [i] of ledger.list(['adapter', 'gallery', 'requests']).entries()) {
    const at: Path = ['adapter', 'gallery', 'requests', i];
    const run = await start(model, ask(ledger.text([...at, 'text'])));
    const { embedding } = await run.next(model.adapter.ret.id);
    compareBest(ledger, 'gallery', [...at, 'best'], cosines(galleryVectors, embedding), gallery.map((entry) => entry.name));
  }
}

function ask(text: string): Prompt {
  return { kind: 'turns', turns: [{ role: 'user', parts: [{ type: 'text', text }] }] };
}

function compareBest(ledger: Ledger, part: string, path: Path, scores: Float32Array, names: readonly string[]): void {
  const best = topK(scores, ledger.list(path).length);
  for (const [rank, index] of best.entries()) {
    ledger.equal(part, [...path, rank, 0], names[index]);
    ledger.close(part, [...path, rank, 1], [scores[index] ?? Number.NaN], cosineClose);
  }
  if (best.length < ledger.list(path).length) ledger.fail(part, `${path.join('.')} has ${ledger.list(path).length} entries, there are ${best.length} pictures`);
}

/** Runs a prompt; `next` feeds one more token. */
async function start(model: FromageModel, prompt: Prompt) {
  const { adapter, languageModel } = model;
  const layout = model.layOutPrompt(prompt, { visualTokens: adapter.visualTokens, maxNewTokens: 64 });
  const size = languageModel.config.embedSize;
  const embeds = embedTokens(layout.tokenIds.map((id) => (id < 0 ? adapter.ret.id : id)), model);
  for (const { position, image } of layout.images) if ('pooled' in image) embeds.set(adapter.visualPrefix(image.pooled, 1), position * size);
  const cache = languageModel.createCache(1);
  const run = async (rows: Float32Array) => {
    const output = await languageModel.step(cache, [{ slot: 0, embeds: rows, select: [rows.length / size - 1] }]);
    const { logits } = vocabularyLogits(output.logits, output.hidden.get(-1) ?? new Float32Array(0), 1, adapter);
    return { logits, embedding: l2Normalize(adapter.projectText(output.hidden, 1)) };
  };
  return { ...(await run(embeds)), promptIds: layout.tokenIds, next: (id: number) => run(embedTokens([id], model)) };
}

async function encodePhoto(model: FromageModel, photos: ReadonlyMap<string, Uint8Array>, name: string): Promise<Float32Array> {
  const bytes = photos.get(name);
  return bytes === undefined ? new Float32Array(model.vision.visionHiddenSize).fill(Number.NaN) : model.vision.encode(await model.vision.preprocess(bytes), 1);
}

/** Unit vectors of pictures in the retrieval space. */
async function projectAll(model: FromageModel, pictures: readonly (() => Uint8Array)[]): Promise<Float32Array[]> {
  const vectors: Float32Array[] = [];
  const batch = 8;
  for (let first = 0; first < pictures.length; first += batch) {
    const pixels = await Promise.all(pictures.slice(first, first + batch).map((read) => model.vision.preprocess(read())));
    const joined = new Float32Array(pixels.reduce((sum, values) => sum + values.length, 0));
    pixels.forEach((values, i) => joined.set(values, i * values.length));
    const projected = model.adapter.projectImages(await model.vision.encode(joined, pixels.length), pixels.length);
    for (let i = 0; i < pixels.length; i++) vectors.push(l2Normalize(projected.subarray(i * model.adapter.retrievalDim, (i + 1) * model.adapter.retrievalDim)));
  }
  return vectors;
}

function cosines(vectors: readonly Float32Array[], embedding: Float32Array): Float32Array {
  return Float32Array.from(vectors, (vector) => linear(embedding, vector, null, 1)[0] ?? Number.NaN);
}

function starterGallery(): readonly { readonly file: string; readonly name: string }[] {
  const assets = join(dirname(createRequire(import.meta.url).resolve('@lobehub/fluent-emoji-3d/package.json')), 'assets');
  const entries = JSON.parse(readFileSync(join(findPreset('starter')?.folder ?? '', 'gallery.json'), 'utf8')) as { file: string; name: string }[];
  return entries.map(({ file, name }) => ({ file: join(assets, file), name }));
}

function numbersAt(ledger: Ledger, path: Path): number[] {
  return ledger.list(path).filter((value): value is number => typeof value === 'number');
}

async function readTar(file: string): Promise<Map<string, Uint8Array>> {
  const entries = new Map<string, Uint8Array>();
  const unpack = extract();
  createReadStream(file).pipe(unpack);
  for await (const entry of unpack) {
    const chunks: Uint8Array[] = [];
    for await (const chunk of entry) chunks.push(chunk as Uint8Array);
    if (entry.header.type === 'file') entries.set(basename(entry.header.name), Buffer.concat(chunks));
  }
  return entries;
}
