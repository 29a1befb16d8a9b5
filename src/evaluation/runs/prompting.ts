// `evaluate prompting`: how recall moves with the number of captions and of pictures in the prompt, and how
// [RET] moves with its factor. The paper says that more context helps; an independent replication (a hundred
// hand-judged samples) saw recall fall with more captions. The curves let a reader see which holds here.
import type { Engine } from '../../engine/types.ts';
import { FromageError } from '../../errors.ts';
import { loadCaptions } from '../data/captions.ts';
import { required } from '../data/required.ts';
import { compareRanks, type Ranks, recallIntervals, recalls } from '../figures.ts';
import { cell, comparisonTable, recallHead, recallRow } from '../report/cells.ts';
import type { ReportSection } from '../report/page.ts';
import { evaluateDialogue, loadDialogueSet } from '../tasks/dialogue.ts';
import { evaluateRetrieval } from '../tasks/retrieval.ts';
import { contextInWords, contextName, evaluateVist } from '../tasks/vist.ts';
import { captionData } from './caption-data.ts';
import { loadStories } from './stories.ts';
import type { RunOutcome, RunRequest } from './types.ts';

const factors = [0.25, 0.5, 1, 2, 4, 8] as const;
const mostCaptions = 5;

interface Point {
  /** Captions, pictures, or the factor. */
  readonly at: number;
  readonly name: string;
  readonly ranks: Ranks;
}

export async function runPrompting(engine: Engine, request: RunRequest): Promise<RunOutcome> {
  const data = required(request.data);
  const { byCaptions, byImages, about } = data.toLowerCase().endsWith('.json') ? await fromStories(engine, data, request) : await fromCaptions(engine, data, request);
  const dialogue = (await loadDialogueSet()).slice(0, request.limit);
  const byFactor = [];
  for (const factor of factors) byFactor.push({ factor, figures: (await evaluateDialogue(engine, dialogue, { ...request, retScaleFactor: factor })).figures });

  const figuresOf = (points: readonly Point[]) => Object.fromEntries(points.map(({ name, ranks }) => [name, { ...recalls(ranks), intervals: recallIntervals(ranks, request) }]));
  const trend = (points: readonly Point[]) => (points.length < 2 ? null : compareRanks(points[0]!.ranks, points.at(-1)!.ranks, request));
  const captionsTrend = trend(byCaptions);
  const imagesTrend = trend(byImages);
  const section = (title: string, x: string, points: readonly Point[], change: ReturnType<typeof trend>): ReportSection[] =>
    points.length === 0
      ? []
      : [
          {
            title,
            text: about,
            table: { head: recallHead, rows: points.map(({ name, ranks }) => recallRow(contextInWords(name), recalls(ranks), recallIntervals(ranks, request))) },
            plot: { title: `Recall by ${x}`, x, y: 'recall in percent', lines: (['r1', 'r5', 'r10'] as const).map((key) => ({ name: key.replace('r', 'R@'), points: points.map(({ at, ranks }) => [at, recalls(ranks)[key]] as const) })) },
          },
          ...(change ? [{ title: `${title}: most against least`, table: comparisonTable(change, [contextInWords(points[0]!.name), contextInWords(points.at(-1)!.name)]) }] : []),
        ];
  return {
    figures: {
      captions: figuresOf(byCaptions),
      images: figuresOf(byImages),
      most_against_one_caption: captionsTrend,
      most_against_no_image: imagesTrend,
      ret_scale_factor: Object.fromEntries(byFactor.map(({ factor, figures }) => [String(factor), { ret_precision: figures.ret_precision, ret_recall: figures.ret_recall, accuracy: figures.accuracy, intervals: figures.intervals }])),
    },
    sections: [
      ...section('Number of captions', 'captions in the prompt', byCaptions, captionsTrend),
      ...section('Pictures in context', 'pictures in the prompt', byImages, imagesTrend),
      {
        title: 'How eager [RET] is',
        text: 'On the labelled dialogue set: the factor multiplies the odds of [RET].',
        table: { head: ['factor', '[RET] precision', '[RET] recall', 'both right'], rows: byFactor.map(({ factor, figures }) => [String(factor), cell(figures.ret_precision, figures.intervals['ret_precision']), cell(figures.ret_recall, figures.intervals['ret_recall']), cell(figures.accuracy, figures.intervals['accuracy'])]) },
        plot: {
          title: '[RET] by its factor',
          x: 'factor of the odds of [RET]',
          y: 'percent',
          places: factors.map((factor) => [Math.log2(factor), String(factor)] as const),
          lines: [
            { name: 'precision', points: byFactor.flatMap(({ factor, figures }) => (figures.ret_precision === null ? [] : [[Math.log2(factor), figures.ret_precision] as const])) },
            { name: 'recall', points: byFactor.map(({ factor, figures }) => [Math.log2(factor), figures.ret_recall] as const) },
          ],
        },
      },
    ],
  };
}

interface Curves {
  readonly byCaptions: readonly Point[];
  readonly byImages: readonly Point[];
  readonly about: string;
}

/** VIST: the last n captions, then all five with the last m pictures; among unseen pictures. */
async function fromStories(engine: Engine, data: string, request: RunRequest): Promise<Curves> {
  const { stories, pooled } = await loadStories(engine, data, request);
  const captions = Array.from({ length: mostCaptions }, (_, i) => ({ captions: i + 1, images: 0 }));
  const images = Array.from({ length: mostCaptions }, (_, i) => ({ captions: mostCaptions, images: i }));
  const { ranks } = await evaluateVist(engine, stories, pooled, { ...request, contexts: [...captions, ...images.slice(1)], noBaselines: true });
  const point = (at: 'captions' | 'images') => (context: (typeof captions)[number]): Point => ({ at: context[at], name: contextName(context), ranks: ranks[contextName(context)]!.unseen });
  return { byCaptions: captions.map(point('captions')), byImages: images.map(point('images')), about: `${stories.length} stories ask for their last picture among the set’s, the story’s earlier ones left out.` };
}

/** `caption<TAB>image` with several captions of a picture: the first n of them together ask for it. */
async function fromCaptions(engine: Engine, data: string, request: RunRequest): Promise<Curves> {
  const { pictures } = await loadCaptions(engine, captionData({ ...request, data }), request);
  const most = Math.min(mostCaptions, Math.max(...pictures.map(({ captions }) => captions.length)));
  const several = pictures.filter(({ captions }) => captions.length >= most);
  if (most < 2) throw new FromageError({ code: 'EVALUATION_DATA', what: `no picture of ${data} has two captions`, todo: 'give VIST’s JSON, or captions of which several belong to a picture' });
  const byCaptions: Point[] = [];
  for (let n = 1; n <= most; n++) {
    const joined = several.map((picture) => ({ ...picture, captions: [picture.captions.slice(0, n).map((caption) => caption.trim()).join(' ')] }));
    const { ranks } = await evaluateRetrieval(engine, joined, { ...request, noBaselines: true });
    byCaptions.push({ at: n, name: contextName({ captions: n, images: 0 }), ranks: ranks.text_to_image });
  }
  return { byCaptions, byImages: [], about: `${several.length} pictures with ${most} captions each: the first so many captions together ask for the picture. (Pictures in context need stories.)` };
}
