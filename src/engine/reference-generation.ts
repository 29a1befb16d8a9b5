// Generation step for step as the authors' `generate_for_images_and_texts` does it, for one prompt at a
// time: what golden numbers and the paper's tables are compared with. Its quirks stand behind one option.
// Source: reference `fromage/models.py`, `generate` and `generate_for_images_and_texts`.
import { embedTokens, vocabularyLogits, type EncodedPrompt, type TokenRows } from '../model/index.ts';
import { l2Normalize, topK } from '../tensor/index.ts';
import type { Tokenizer } from '../tokenizer/index.ts';
import { createProcessors, createRandom, resolveDecoding, sampleToken } from './decoding/index.ts';

/** Where the reference does something odd (spec/fromage.md, "Quirks"). */
export interface ReferenceQuirks {
  /** `reference`: the [RET] logit is multiplied whatever its sign; `signed` always favours [RET] above 1. */
  readonly retScale: 'reference' | 'signed';
  /** A [RET] that is the very last token: `missing` has no state and fails, `fed` is run once more. */
  readonly lastRet: 'missing' | 'fed';
  /** Without new words, [RET] is looked for among text ids: `text` uses that index as position, `true` the real one. */
  readonly zeroWordsPosition: 'text' | 'true';
  /** What follows the last served [RET]. */
  readonly trailingText: 'dropped' | 'kept';
}

export const referenceQuirks: ReferenceQuirks = { retScale: 'reference', lastRet: 'missing', zeroWordsPosition: 'text', trailingText: 'dropped' };
export const mendedQuirks: ReferenceQuirks = { retScale: 'signed', lastRet: 'fed', zeroWordsPosition: 'true', trailingText: 'kept' };

export interface ReferenceOptions {
  /** New tokens; 0 runs the prompt alone. */
  readonly numWords: number;
  readonly minWordTokens?: number;
  readonly retScaleFactor?: number;
  readonly temperature?: number;
  readonly topP?: number;
  readonly seed?: number;
  /** Default: `mendedQuirks`. */
  readonly quirks?: ReferenceQuirks;
}

/** Ids and, at each of them, the normalised retrieval embedding `[E]` of its own position (null: the reference has none). */
export interface ReferenceTokens {
  readonly ids: readonly number[];
  readonly embeddings: readonly (Float32Array | null)[];
}

/**
 * Chooses tokens one after the other; neither an end token nor a line break ends it, as in the reference.
 *
 * @param prompt with embeddings, as `encodePrompt` makes it
 */
export async function generateReferenceTokens(prompt: EncodedPrompt, rows: TokenRows, options: ReferenceOptions): Promise<ReferenceTokens> {
  const quirks = options.quirks ?? mendedQuirks;
  const { adapter, languageModel } = rows;
  const cache = languageModel.createCache(1);
  const run = async (embeds: Float32Array, select: readonly number[]) => {
    const { logits, hidden } = await languageModel.step(cache, [{ slot: 0, embeds, select }]);
    const projected = adapter.projectText(hidden, select.length);
    const embeddings = select.map((_, i) => l2Normalize(projected.subarray(i * adapter.retrievalDim, (i + 1) * adapter.retrievalDim)));
    return { frozen: logits, last: hidden.get(-1) ?? new Float32Array(0), embeddings };
  };
  if (options.numWords === 0) {
    const { embeddings } = await run(prompt.embeds, Array.from({ length: prompt.length }, (_, i) => i));
    const textPositions = prompt.tokenIds.flatMap((id, position) => (id >= 0 ? [position] : []));
    return {
      ids: textPositions.map((position) => prompt.tokenIds[position] ?? -1),
      embeddings: textPositions.map((position, index) => embeddings[quirks.zeroWordsPosition === 'text' ? index : position] ?? null),
    };
  }
  const { temperature = 0 } = options;
  const processors = createProcessors(
    resolveDecoding({
      temperature,
      topP: options.topP ?? 1,
      minWordTokens: options.minWordTokens ?? 0,
      retScaleFactor: options.retScaleFactor ?? 1,
      retScaleMode: quirks.retScale,
      maxNumRets: Number.MAX_SAFE_INTEGER,
    }),
    adapter.ret.id,
  );
  const random = temperature > 0 ? createRandom(options.seed ?? 0) : null;
  const ids: number[] = [];
  const embeddings: (Float32Array | null)[] = [];
  let output = await run(prompt.embeds, [prompt.length - 1]);
  for (let step = 0; step < options.numWords; step++) {
    const { logits } = vocabularyLogits(output.frozen, output.last, 1, adapter, rows.added);
    for (const process of processors) process(logits, { step, tokenIds: ids, rets: 0 });
    const id = sampleToken(logits, random);
    ids.push(id);
    if (step === options.numWords - 1 && (quirks.lastRet === 'missing' || id !== adapter.ret.id)) {
      embeddings.push(null);
      break;
    }
    output = await run(embedTokens([id], rows), [0]);
    embeddings.push(output.embeddings[0] ?? null);
  }
  return { ids, embeddings };
}

/** Pictures that may be shown, as the authors' embeddings file lists them. */
export interface ReferenceImages<Image> {
  /** Similarity of each picture to a retrieval embedding. */
  scores(embedding: Float32Array): Float32Array;
  /** Null when it cannot be loaded. */
  load(index: number): Promise<Image | null>;
}

/** Text, and pictures after each [RET]. */
export type ReferenceOutput<Image> = readonly (string | readonly Image[])[];

/** Already shown pictures are pushed behind all others by this much. */
const shownPenalty = 1000;
/** So many more pictures are tried when some do not load. */
const spareAttempts = 3;

/**
 * Text and pictures interleaved.
 *
 * @returns null where the reference fails: a served [RET] without a state
 */
export async function interleaveReference<Image>(
  tokens: ReferenceTokens,
  tokenizer: Tokenizer,
  images: ReferenceImages<Image>,
  options: Pick<ReferenceOptions, 'numWords' | 'quirks'> & { readonly maxNumRets?: number; readonly maxImgPerRet?: number },
): Promise<ReferenceOutput<Image> | null> {
  const { maxNumRets = 1, maxImgPerRet = 1, quirks = mendedQuirks } = options;
  const ids = options.numWords === 0 ? tokens.ids : cutAtNewline(tokens.ids, tokenizer);
  const rets = ids.flatMap((id, at) => (id === tokenizer.retTokenId ? [at] : [])).slice(0, maxNumRets);
  if (rets.length === 0) return [truncateCaption(tokenizer.decode(ids))];
  const outputs: (string | readonly Image[])[] = [];
  const tried = new Set<number>();
  let from = 0;
  for (const at of rets) {
    const embedding = tokens.embeddings[at];
    if (embedding == null) return null;
    const scores = images.scores(embedding).map((score, index) => (tried.has(index) ? score - shownPenalty : score));
    const shown: Image[] = [];
    for (const index of topK(scores, maxImgPerRet + spareAttempts)) {
      if (shown.length === maxImgPerRet) break;
      tried.add(index);
      const image = await images.load(index);
      if (image !== null) shown.push(image);
    }
    outputs.push(`${truncateCaption(tokenizer.decode(ids.slice(from, at)))} [RET]`, shown);
    from = at + 1;
  }
  const trailing = quirks.trailingText === 'kept' ? truncateCaption(tokenizer.decode(ids.slice(from), { skipRet: true })) : '';
  return trailing === '' ? outputs : [...outputs, trailing];
}

/** Everything from the first line break on is dropped, unless it is the very first token. */
function cutAtNewline(ids: readonly number[], tokenizer: Tokenizer): readonly number[] {
  const at = ids.indexOf(tokenizer.encode('\n', { trusted: true })[0] ?? -1);
  return at > 0 ? ids.slice(0, at) : ids;
}

/** Cut after the first line break, else after the first full stop. */
export function truncateCaption(caption: string): string {
  const line = caption.indexOf('\n') + 1;
  const end = line > 0 ? line : caption.indexOf('.') + 1;
  return end > 0 ? caption.slice(0, end) : caption;
}
