// `evaluate captioning`: the figures, sample pictures, and a second adapter beside the first.
import type { Engine } from '../../engine/types.ts';
import { loadCaptions, type LoadedCaptions } from '../data/captions.ts';
import { required } from '../data/required.ts';
import { compareValues } from '../figures.ts';
import { cell, comparisonSection } from '../report/cells.ts';
import { spread } from '../report/curves.ts';
import type { ReportSection } from '../report/page.ts';
import { evaluateCaptioning, type CaptioningResult, type CaptionScores } from '../tasks/captioning.ts';
import type { Intervals } from '../types.ts';
import { captionData } from './caption-data.ts';
import type { RunOutcome, RunRequest } from './types.ts';

export async function runCaptioning(engine: Engine, request: RunRequest): Promise<RunOutcome> {
  const data = await loadCaptions(engine, captionData({ ...request, data: required(request.data) }), request);
  const first = await evaluateCaptioning(engine, data.pictures, request);
  const figures = { ...first.figures, missing_images: data.missing.length, empty_captions: data.empty };
  const sections = captioningSections(first, data);
  if (request.compare === undefined) return { figures, sections };
  const second = await evaluateCaptioning(engine, data.pictures, { ...request, adapter: request.compare });
  const comparison = {
    cider: compareValues(first.values.cider, second.values.cider, undefined, request),
    rouge_l: compareValues(first.values.rouge_l, second.values.rouge_l, undefined, request),
  };
  return { figures: { ...figures, compared: second.figures, comparison }, sections: [comparisonSection('Second adapter', comparison), ...sections] };
}

function captioningSections({ figures, captions, values }: CaptioningResult, { thumbnails }: LoadedCaptions): ReportSection[] {
  const row = (name: string, scores: CaptionScores, intervals: Intervals = {}) => [
    name,
    ...(['bleu1', 'bleu2', 'bleu3', 'bleu4', 'rouge_l', 'cider'] as const).map((key) => cell(scores[key], intervals[key])),
  ];
  const overlap = (name: string, { own, shuffled, ratio }: typeof figures.word_overlap) => [name, cell(own), cell(shuffled), ratio === null ? '–' : `${ratio} ×`];
  return [
    {
      title: 'Captions against people’s',
      text: `${figures.n_images} pictures; ${figures.distinct_captions} different captions, ${figures.mean_words} words on average. CIDEr-D is shown times 100. In brackets the 95 % interval, pictures resampled.`,
      table: {
        head: ['', 'BLEU-1', 'BLEU-2', 'BLEU-3', 'BLEU-4', 'ROUGE-L', 'CIDEr'],
        rows: [row('this model', figures, figures.intervals), row('a person’s caption of another picture', figures.baselines.random)],
      },
      plot: { title: 'How good single captions are', x: 'CIDEr of a caption', y: 'percent of captions with at least that', lines: spread({ 'this model': values.cider.map((value) => 100 * value) }, Math.max(100, ...values.cider.map((value) => 100 * value))) },
    },
    {
      title: 'Do captions depend on the picture?',
      text: 'Percent of a caption’s words that stand in its own references, and in those of other pictures.',
      table: { head: ['', 'own', 'other pictures', 'ratio'], rows: [overlap('all words', figures.word_overlap), overlap('without function words', figures.content_word_overlap)] },
    },
    {
      title: 'Sample pictures',
      pictures: captions.flatMap(({ id, caption, references }) => {
        const src = thumbnails.get(id);
        return src ? [{ src, alt: caption, lines: [caption || '(nothing)', ...references.map((reference) => `people: ${reference}`)] }] : [];
      }),
    },
  ];
}
