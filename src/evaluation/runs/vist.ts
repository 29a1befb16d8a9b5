// `evaluate vist`: the paper's table of contextual retrieval with ours beside it.
import type { Engine } from '../../engine/types.ts';
import { required } from '../data/required.ts';
import { compareRanks } from '../figures.ts';
import { cell, clipName, comparisonSection, recallHead, recallRow } from '../report/cells.ts';
import { recallPlot } from '../report/curves.ts';
import type { ReportSection } from '../report/page.ts';
import { contextInWords, contextName, evaluateVist, paperContexts, type VistResult } from '../tasks/vist.ts';
import { type LoadedStories, loadStories } from './stories.ts';
import type { RunOutcome, RunRequest } from './types.ts';

/** R@1, R@5, R@10 as the paper prints them (arXiv 2301.13823). */
const paper: readonly (readonly [string, number, number, number])[] = [
  ['CLIP ViT-L/14, 1 caption', 11.9, 25.5, 32.2],
  ['FROMAGe, 1 caption', 11.3, 24.6, 32.1],
  ['CLIP ViT-L/14, 5 captions', 5.9, 19.5, 28.0],
  ['FROMAGe, 5 captions', 11.9, 23.8, 31.7],
  ['CLIP, 5 captions, unseen pictures', 8.8, 22.3, 29.8],
  ['FROMAGe, 5 captions, unseen pictures', 13.2, 28.5, 36.7],
  ['CLIP, 5 captions and 4 pictures', 2.4, 21.3, 34.0],
  ['FROMAGe, 5 captions and 4 pictures, unseen pictures', 18.2, 42.7, 51.8],
];

export async function runVist(engine: Engine, request: RunRequest): Promise<RunOutcome> {
  const data = await loadStories(engine, required(request.data), request);
  const first = await evaluateVist(engine, data.stories, data.pooled, request);
  const figures = { ...first.figures, ...data.facts };
  const sections = vistSections(first, data);
  if (request.compare === undefined) return { figures, sections };
  const second = await evaluateVist(engine, data.stories, data.pooled, { ...request, adapter: request.compare, noBaselines: true });
  const comparison = Object.fromEntries(Object.entries(first.ranks).map(([name, { all, unseen }]) => [name, { all: compareRanks(all, second.ranks[name]!.all, request), unseen: compareRanks(unseen, second.ranks[name]!.unseen, request) }]));
  return {
    figures: { ...figures, compared: second.figures.contexts, comparison },
    sections: [...Object.entries(comparison).map(([name, { unseen }]) => comparisonSection(`Second adapter, ${contextInWords(name)}, unseen pictures`, unseen)), ...sections],
  };
}

function clipRows(baselines: NonNullable<VistResult['figures']['baselines']>, kind: 'all' | 'unseen'): string[][] {
  if (baselines.clip === null) return [recallRow(clipName(baselines), null)];
  return Object.entries(baselines.clip).map(([name, each]) => recallRow(`${clipName(baselines)}, ${contextInWords(name)}`, each[kind]));
}

function vistSections({ figures, ranks }: VistResult, { stories, thumbnails, facts }: LoadedStories): ReportSection[] {
  const { baselines } = figures;
  const table = (kind: 'all' | 'unseen'): ReportSection => ({
    title: kind === 'all' ? 'All pictures' : 'Unseen pictures',
    text: kind === 'all' ? 'The earlier pictures of the story can be chosen too.' : 'The earlier pictures of the story cannot be chosen.',
    table: {
      head: recallHead,
      rows: [
        ...Object.entries(figures.contexts).map(([name, each]) => recallRow(`this model, ${contextInWords(name)}`, each[kind], each.intervals[kind])),
        ...(baselines ? [recallRow('random', baselines.random[kind]), ...Object.entries(baselines.tf_idf).map(([name, each]) => recallRow(`TF-IDF of other stories’ captions, ${contextInWords(name)}`, each[kind])), ...clipRows(baselines, kind)] : []),
      ],
    },
    plot: recallPlot(Object.fromEntries(Object.entries(ranks).map(([name, each]) => [contextInWords(name), each[kind].ranks])), figures.n_images),
  });
  const last = contextName(paperContexts[2]!);
  return [
    { title: 'Contextual retrieval', text: `${figures.n_stories} stories ask for their last picture among ${figures.n_images}; stories skipped: ${facts.skipped_stories}, pictures missing: ${facts.missing_images}. In brackets the 95 % interval. Of equal scores the right one is counted last.` },
    table('all'),
    table('unseen'),
    { title: 'The paper’s figures, for comparison', table: { head: ['', 'R@1', 'R@5', 'R@10'], rows: paper.map(([name, ...values]) => [name, ...values.map((value) => cell(value))]) } },
    ...stories.flatMap(({ id, steps }, i): ReportSection[] =>
      steps.every(({ image }) => thumbnails.has(image))
        ? [{ title: `Story ${id}: the last picture has rank ${ranks[last]?.unseen.ranks[i] ?? '–'}`, pictures: steps.map(({ caption, image }) => ({ src: thumbnails.get(image) ?? null, alt: caption, lines: [caption] })) }]
        : [],
    ),
  ];
}
