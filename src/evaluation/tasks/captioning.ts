// How well the model says what a picture shows: its greedy captions against people's.
import type { Engine, Prompt, PromptStyle } from '../../engine/types.ts';
import { FromageError } from '../../errors.ts';
import { createRandom, defaultQuestions } from '../../training/index.ts';
import { bootstrapInterval } from '../bootstrap.ts';
import { askAll } from '../data/answers.ts';
import { hashFeatures, poolPictures } from '../data/pool.ts';
import { intervalOf, percent, resampling, rounded } from '../figures.ts';
import { bleu, bleuCounts } from '../metrics/bleu.ts';
import { ciderD } from '../metrics/cider.ts';
import { wordOverlap } from '../metrics/overlap.ts';
import { mean } from '../metrics/ranking.ts';
import { rougeL } from '../metrics/rouge.ts';
import { ptbWords } from '../metrics/ptb-words.ts';
import { contentWords, wordsOf } from '../metrics/words.ts';
import type { CaptionedPicture, EvaluationOptions, Intervals } from '../types.ts';

export interface CaptioningOptions extends EvaluationOptions {
  /** Asked with the picture in chat style; the paper's styles ask nothing. */
  readonly question?: string;
  /** Default 32. */
  readonly maxNewTokens?: number;
}

export interface CaptionScores {
  readonly bleu1: number;
  readonly bleu2: number;
  readonly bleu3: number;
  readonly bleu4: number;
  readonly rouge_l: number;
  /** CIDEr-D times 100, as papers print it. */
  readonly cider: number;
}

export interface CaptioningFigures extends CaptionScores {
  readonly intervals: Intervals;
  /** Percent of a caption's distinct words that stand in its own references, and in other pictures'. */
  readonly word_overlap: OverlapFigures;
  /** The same without words like "a" and "in". */
  readonly content_word_overlap: OverlapFigures;
  readonly mean_words: number;
  readonly distinct_captions: number;
  readonly n_images: number;
  /** A random other picture's human caption in place of the model's. */
  readonly baselines: { readonly random: CaptionScores };
}

export interface OverlapFigures {
  readonly own: number;
  readonly shuffled: number;
  /** Null where nothing is shared with others. */
  readonly ratio: number | null;
}

export interface CaptioningResult {
  readonly figures: CaptioningFigures;
  readonly captions: readonly { readonly id: string; readonly caption: string; readonly references: readonly string[] }[];
  /** For comparisons: CIDEr-D and ROUGE-L of each caption. */
  readonly values: { readonly cider: readonly number[]; readonly rouge_l: readonly number[] };
}

/** @throws FromageError `EVALUATION_DATA` for fewer than two pictures with captions: document frequencies and shuffling need others */
export async function evaluateCaptioning(engine: Engine, pictures: readonly CaptionedPicture[], options: CaptioningOptions = {}): Promise<CaptioningResult> {
  const shown = pictures.filter(({ captions }) => captions.length > 0);
  if (shown.length < 2) throw new FromageError({ code: 'EVALUATION_DATA', what: `${shown.length} pictures have captions, at least 2 are needed`, todo: 'give lines of caption<TAB>image' });
  const { promptStyle } = await engine.info();
  const pooled = await poolPictures(engine, shown.map(({ image }) => image), options);
  const questions = pooled.map((features) => ({
    key: JSON.stringify([hashFeatures(features), options.question ?? null]),
    prompt: captionPrompt(features, promptStyle, options.question),
  }));
  const answers = await askAll(engine, 'captioning', questions, { maxNewTokens: options.maxNewTokens ?? 32, stop: ['\n'] }, 'describing the pictures', options);
  // A caption ends where a picture would be shown.
  const captions = answers.map(({ text, rets }) => text.slice(0, rets[0] ?? text.length).trim());
  return judgeCaptions(captions, shown, options);
}

/** Figures of captions that are there already, e.g. another program's. */
export function judgeCaptions(captions: readonly string[], pictures: readonly Pick<CaptionedPicture, 'id' | 'captions'>[], options: EvaluationOptions = {}): CaptioningResult {
  const words = captions.map(ptbWords);
  const references = pictures.map(({ captions: own }) => own.map(ptbWords));
  const plainReferences = pictures.map(({ captions: own }) => own.map(wordsOf));
  const { scores, counts, rouge, cider } = score(words, references);
  const interval = (values: readonly number[]) => intervalOf(values, undefined, options);
  const { low, high } = bootstrapInterval(counts.length, (drawn) => bleu(Array.from(drawn, (i) => counts[i]!))[3], resampling(options));
  return {
    figures: {
      ...scores,
      intervals: { bleu4: [percent(low), percent(high)], rouge_l: interval(rouge), cider: interval(cider) },
      word_overlap: overlapFigures(wordOverlap(captions.map(wordsOf), plainReferences)),
      content_word_overlap: overlapFigures(wordOverlap(captions.map(contentWords), plainReferences)),
      mean_words: rounded(mean(words.map(({ length }) => length)), 1),
      distinct_captions: new Set(captions).size,
      n_images: pictures.length,
      baselines: { random: score(othersCaptions(references, options.seed ?? 1), references).scores },
    },
    captions: pictures.map(({ id, captions: own }, i) => ({ id, caption: captions[i]!, references: own })),
    values: { cider, rouge_l: rouge },
  };
}

function captionPrompt(pooled: Float32Array, style: PromptStyle, question: string | undefined): Prompt {
  const image = { type: 'image' as const, image: { pooled } };
  // The paper's captioning form: the visual tokens, then the caption.
  if (style !== 'chat' && question === undefined) return { kind: 'segments', segments: [image] };
  return { kind: 'turns', turns: [{ role: 'user', parts: [image, { type: 'text', text: question ?? defaultQuestions[0]! }] }] };
}

function score(words: readonly (readonly string[])[], references: readonly (readonly (readonly string[])[])[]) {
  const counts = words.map((own, i) => bleuCounts(own, references[i]!));
  const [bleu1, bleu2, bleu3, bleu4] = bleu(counts).map(percent);
  const rouge = words.map((own, i) => rougeL(own, references[i]!));
  const cider = ciderD(words, references);
  const scores: CaptionScores = { bleu1: bleu1!, bleu2: bleu2!, bleu3: bleu3!, bleu4: bleu4!, rouge_l: percent(mean(rouge)), cider: percent(mean(cider)) };
  return { scores, counts, rouge, cider };
}

/** For each picture a caption of a random other one. */
function othersCaptions(references: readonly (readonly (readonly string[])[])[], seed: number): (readonly string[])[] {
  const random = createRandom(seed, 'random captions');
  return references.map((_, i) => {
    const other = references[(i + 1 + random.integer(references.length - 1)) % references.length]!;
    return other[random.integer(other.length)]!;
  });
}

function overlapFigures({ own, shuffled, ratio }: OverlapFigures): OverlapFigures {
  return { own: percent(own), shuffled: percent(shuffled), ratio: ratio === null ? null : rounded(ratio, 2) };
}
