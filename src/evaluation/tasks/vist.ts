// Contextual retrieval on Visual Storytelling: the last picture of a story from its last caption, from all
// five, and from five captions with the four pictures before, among all pictures and among unseen ones.
import type { Engine } from '../../engine/types.ts';
import { createRandom } from '../../training/index.ts';
import { type ClipBaseline, clipBaseline } from '../data/clip.ts';
import { embedKeyed } from '../data/embed.ts';
import { storyPrompt, type StoryContext } from '../data/story-prompt.ts';
import type { Story } from '../data/vist.ts';
import { recallIntervals, type Ranks, recalls } from '../figures.ts';
import { byProduct, type RankedQueries, rankQueries } from '../metrics/rank-queries.ts';
import { createTfIdf } from '../metrics/tf-idf.ts';
import type { EvaluationOptions, Intervals, QueryForm, Recalls } from '../types.ts';

export interface VistOptions extends EvaluationOptions {
  readonly query?: QueryForm;
  readonly contexts?: readonly StoryContext[];
  readonly noBaselines?: boolean;
}

export interface AllAndUnseen<T> {
  /** Among every picture of the set, the story's earlier ones too. */
  readonly all: T;
  /** The story's earlier pictures cannot be chosen. */
  readonly unseen: T;
}

export interface VistFigures {
  /** By context: `1_caption`, `5_captions`, `5_captions_4_images`. */
  readonly contexts: Readonly<Record<string, AllAndUnseen<Recalls> & { readonly intervals: AllAndUnseen<Intervals> }>>;
  readonly n_stories: number;
  readonly n_images: number;
  readonly baselines: (ClipBaseline<Readonly<Record<string, AllAndUnseen<Recalls>>>> & {
    readonly random: AllAndUnseen<Recalls>;
    /** A picture's score is that of the nearest caption that other stories have for it. */
    readonly tf_idf: Readonly<Record<string, AllAndUnseen<Recalls>>>;
  }) | null;
}

export interface VistResult {
  readonly figures: VistFigures;
  readonly ranks: Readonly<Record<string, AllAndUnseen<Ranks>>>;
}

/** The paper's three. */
export const paperContexts: readonly StoryContext[] = [
  { captions: 1, images: 0 },
  { captions: 5, images: 0 },
  { captions: 5, images: 4 },
];

export function contextName({ captions, images }: StoryContext): string {
  return `${captions}_caption${captions === 1 ? '' : 's'}${images === 0 ? '' : `_${images}_image${images === 1 ? '' : 's'}`}`;
}

/** `5_captions_1_image` -> "5 captions, 1 image". */
export function contextInWords(name: string): string {
  return name.replace(/_(?=\d)/, ', ').replaceAll('_', ' ');
}

/**
 * @param stories each with all of its pictures in `pooled`; other stories must be left out before
 * @param pooled `[visionHiddenSize]` by picture id
 */
export async function evaluateVist(engine: Engine, stories: readonly Story[], pooled: ReadonlyMap<string, Float32Array>, options: VistOptions = {}): Promise<VistResult> {
  const info = await engine.info();
  const contexts = options.contexts ?? paperContexts;
  const ids = [...new Set(stories.flatMap(({ steps }) => steps.map(({ image }) => image)))];
  const images = await engine.projectImages(ids.map((id) => pooled.get(id)!), options.adapter);
  const places = new Map(ids.map((id, i) => [id, i] as const));
  const rank = (score: RankedQueries['score']) => rankBoth(stories, places, score, options.signal);
  const ranks: Record<string, AllAndUnseen<Ranks>> = {};
  for (const context of contexts) {
    const prompts = stories.map((story) => storyPrompt(story, context, pooled, info, options.query?.style));
    const texts = await embedKeyed(engine, prompts, `reading stories, ${contextInWords(contextName(context))}`, options);
    ranks[contextName(context)] = await rank(byProduct(texts, images));
  }
  const figures: VistFigures = {
    contexts: Object.fromEntries(Object.entries(ranks).map(([name, { all, unseen }]) => [name, { all: recalls(all), unseen: recalls(unseen), intervals: { all: recallIntervals(all, options), unseen: recallIntervals(unseen, options) } }])),
    n_stories: stories.length,
    n_images: ids.length,
    baselines: options.noBaselines ? null : await baselines(stories, places, contexts, rank, pooled, options),
  };
  return { figures, ranks };
}

type Rank = (score: RankedQueries['score']) => Promise<AllAndUnseen<Ranks>>;

async function rankBoth(stories: readonly Story[], places: ReadonlyMap<string, number>, score: RankedQueries['score'], signal: AbortSignal | undefined): Promise<AllAndUnseen<Ranks>> {
  const target = (story: number) => places.get(stories[story]!.steps.at(-1)!.image)!;
  const withoutSeen: RankedQueries['score'] = (story, scores) => {
    score(story, scores);
    for (const { image } of stories[story]!.steps.slice(0, -1)) {
      const place = places.get(image)!;
      // A picture that the story shows twice stays right the second time.
      if (place !== target(story)) scores[place] = Number.NEGATIVE_INFINITY;
    }
  };
  const groups = stories.map((_, i) => i);
  const shared = { queries: stories.length, candidates: places.size, right: (story: number) => [target(story)], signal };
  return { all: { ranks: await rankQueries({ ...shared, score }), groups }, unseen: { ranks: await rankQueries({ ...shared, score: withoutSeen }), groups } };
}

async function baselines(stories: readonly Story[], places: ReadonlyMap<string, number>, contexts: readonly StoryContext[], rank: Rank, pooled: ReadonlyMap<string, Float32Array>, options: VistOptions): Promise<VistFigures['baselines']> {
  const random = createRandom(options.seed ?? 1, 'random baseline');
  const drawn = await rank((_, scores) => {
    for (let i = 0; i < scores.length; i++) scores[i] = random.uniform();
  });
  const written = stories.flatMap(({ steps }, story) => steps.map(({ caption, image }) => ({ caption, story, place: places.get(image)! })));
  const tfIdf = createTfIdf(written.map(({ caption }) => caption));
  const near = new Float32Array(written.length);
  const byWords: Record<string, AllAndUnseen<Recalls>> = {};
  const inWords = contexts.filter(({ images }) => images === 0);
  const lastCaptions = ({ steps }: Story, captions: number) => steps.slice(-captions).map(({ caption }) => caption).join(' ');
  for (const { captions } of inWords) {
    const ranks = await rank((query, scores) => {
      tfIdf.score(lastCaptions(stories[query]!, captions), near);
      scores.fill(0);
      written.forEach(({ story, place }, i) => {
        if (story !== query) scores[place] = Math.max(scores[place]!, near[i]!);
      });
    });
    byWords[contextName({ captions, images: 0 })] = both(ranks);
  }
  const byClip = await clipBaseline(options, async (clip) => {
    const images = clip.pictures([...places.keys()].map((id) => pooled.get(id)!));
    const figures: Record<string, AllAndUnseen<Recalls>> = {};
    for (const context of inWords) figures[contextName(context)] = both(await rank(byProduct(await clip.texts(stories.map((story) => lastCaptions(story, context.captions))), images)));
    return figures;
  });
  return { random: both(drawn), tf_idf: byWords, ...byClip };
}

function both({ all, unseen }: AllAndUnseen<Ranks>): AllAndUnseen<Recalls> {
  return { all: recalls(all), unseen: recalls(unseen) };
}
