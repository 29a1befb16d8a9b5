// Caption to picture and picture to caption: recall over a set of captioned pictures, beside baselines.
import type { Engine } from '../../engine/types.ts';
import { FromageError } from '../../errors.ts';
import { createRandom } from '../../training/index.ts';
import { type ClipBaseline, clipBaseline } from '../data/clip.ts';
import { captionQuery, embedKeyed } from '../data/embed.ts';
import { poolPictures } from '../data/pool.ts';
import { recallIntervals, type Ranks, recalls } from '../figures.ts';
import { byProduct, rankQueries } from '../metrics/rank-queries.ts';
import { createTfIdf } from '../metrics/tf-idf.ts';
import type { CaptionedPicture, EvaluationOptions, Intervals, QueryForm, Recalls } from '../types.ts';

export interface RetrievalOptions extends EvaluationOptions {
  readonly query?: QueryForm;
  /** Leave the baselines out. */
  readonly noBaselines?: boolean;
}

export interface BothWays<T> {
  readonly text_to_image: T;
  readonly image_to_text: T;
}

export interface RetrievalBaselines extends ClipBaseline<BothWays<Recalls>> {
  /** Scores drawn at random. */
  readonly random: BothWays<Recalls>;
  /** A picture stands for its first caption, the others ask for it; null where every picture has but one. */
  readonly tf_idf: (BothWays<Recalls> & { readonly n_captions: number }) | null;
}

export interface RetrievalFigures extends BothWays<Recalls> {
  readonly intervals: BothWays<Intervals>;
  readonly n_images: number;
  readonly n_captions: number;
  readonly baselines: RetrievalBaselines | null;
}

export interface RetrievalResult {
  readonly figures: RetrievalFigures;
  /** For comparisons: rank of each query, in the order of the pictures and their captions. */
  readonly ranks: BothWays<Ranks>;
}

/**
 * Each caption asks among all pictures (the one it was written for is right), each picture among all
 * captions (any of its own is right). Scores are cosines in the retrieval space; ties as `rankAmong`.
 *
 * @throws FromageError `EVALUATION_DATA` when there is nothing to evaluate
 */
export async function evaluateRetrieval(engine: Engine, pictures: readonly CaptionedPicture[], options: RetrievalOptions = {}): Promise<RetrievalResult> {
  const captions = pictures.flatMap(({ captions: own }, picture) => own.map((caption) => ({ caption, picture })));
  if (captions.length === 0) throw new FromageError({ code: 'EVALUATION_DATA', what: `${pictures.length} pictures have no caption`, todo: 'give lines of caption<TAB>image' });
  const { promptStyle } = await engine.info();
  const pooled = await poolPictures(engine, pictures.map(({ image }) => image), options);
  const images = await engine.projectImages(pooled, options.adapter);
  const texts = await embedKeyed(engine, captions.map(({ caption }) => captionQuery(caption, options.query ?? {}, promptStyle)), 'reading the captions', options);
  const setting = layOut(pictures, options.signal);
  const ranks = await setting.rank(byProduct(texts, images), byProduct(images, texts));
  return {
    figures: {
      text_to_image: recalls(ranks.text_to_image),
      image_to_text: recalls(ranks.image_to_text),
      intervals: { text_to_image: recallIntervals(ranks.text_to_image, options), image_to_text: recallIntervals(ranks.image_to_text, options) },
      n_images: pictures.length,
      n_captions: captions.length,
      baselines: options.noBaselines ? null : await baselines(pictures, pooled, options),
    },
    ranks,
  };
}

type Score = (query: number, scores: Float32Array) => void;

interface Setting {
  readonly captions: readonly string[];
  rank(textToImage: Score, imageToText: Score): Promise<BothWays<Ranks>>;
}

/** Who is right for whom. */
function layOut(pictures: readonly CaptionedPicture[], signal: AbortSignal | undefined): Setting {
  const ownerOf: number[] = [];
  const captionsOf = pictures.map(({ captions }, picture) => captions.map(() => ownerOf.push(picture) - 1));
  const asking = pictures.flatMap((_, picture) => (captionsOf[picture]!.length > 0 ? [picture] : []));
  return {
    captions: pictures.flatMap(({ captions }) => captions),
    async rank(textToImage, imageToText) {
      const forward = await rankQueries({ queries: ownerOf.length, candidates: pictures.length, score: textToImage, right: (caption) => [ownerOf[caption]!], signal });
      const back = await rankQueries({ queries: asking.length, candidates: ownerOf.length, score: (query, scores) => imageToText(asking[query]!, scores), right: (query) => captionsOf[asking[query]!]!, signal });
      return { text_to_image: { ranks: forward, groups: ownerOf }, image_to_text: { ranks: back, groups: asking } };
    },
  };
}

async function baselines(pictures: readonly CaptionedPicture[], pooled: readonly Float32Array[], options: RetrievalOptions): Promise<RetrievalBaselines> {
  const random = createRandom(options.seed ?? 1, 'random baseline');
  const drawn: Score = (_, scores) => {
    for (let i = 0; i < scores.length; i++) scores[i] = random.uniform();
  };
  const setting = layOut(pictures, options.signal);
  // CLIP reads captions as they stand in the data.
  const byClip = await clipBaseline(options, async (clip) => {
    const [texts, images] = [await clip.texts(setting.captions), clip.pictures(pooled)];
    return bothRecalls(await setting.rank(byProduct(texts, images), byProduct(images, texts)));
  });
  return { random: bothRecalls(await setting.rank(drawn, drawn)), tf_idf: await tfIdfBaseline(pictures, options), ...byClip };
}

async function tfIdfBaseline(pictures: readonly CaptionedPicture[], options: RetrievalOptions): Promise<RetrievalBaselines['tf_idf']> {
  const several = pictures.filter(({ captions }) => captions.length > 1);
  if (several.length === 0) return null;
  const standing = several.map(({ captions }) => captions[0]!);
  const setting = layOut(several.map((picture) => ({ ...picture, captions: picture.captions.slice(1) })), options.signal);
  const byPictures = createTfIdf(standing);
  const byCaptions = createTfIdf(setting.captions);
  const ranks = await setting.rank(
    (caption, scores) => byPictures.score(setting.captions[caption]!, scores),
    (picture, scores) => byCaptions.score(standing[picture]!, scores),
  );
  return { ...bothRecalls(ranks), n_captions: setting.captions.length };
}

function bothRecalls(ranks: BothWays<Ranks>): BothWays<Recalls> {
  return { text_to_image: recalls(ranks.text_to_image), image_to_text: recalls(ranks.image_to_text) };
}
