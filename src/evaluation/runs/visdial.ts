// `evaluate visdial`: the paper's table of Visual Dialog with ours beside it.
import type { Engine } from '../../engine/types.ts';
import { FromageError } from '../../errors.ts';
import { chooseSamples } from '../data/captions.ts';
import { loadPictures } from '../data/pictures.ts';
import { required } from '../data/required.ts';
import { imageIdOf, readVisdial } from '../data/visdial.ts';
import { compareRanks, compareValues } from '../figures.ts';
import { cell, clipName, comparisonSection, recallHead, recallRow } from '../report/cells.ts';
import { recallPlot } from '../report/curves.ts';
import type { ReportSection } from '../report/page.ts';
import { type AnswerFigures, evaluateVisdial, type VisdialResult } from '../tasks/visdial.ts';
import type { Intervals } from '../types.ts';
import type { RunOutcome, RunRequest } from './types.ts';

export async function runVisdial(engine: Engine, request: RunRequest): Promise<RunOutcome> {
  const dialogues = await readVisdial(required(request.data), request.dense, request.limit);
  const ids = new Set(dialogues.map(({ imageId }) => String(imageId)));
  const { images, fetchPicture } = request;
  const loaded = await loadPictures(
    engine,
    { ids, idOf: (name) => idOfFile(name, ids), samples: chooseSamples([...ids], 6, request.seed ?? 1), ...(images === undefined ? {} : { images }), ...(fetchPicture ? { fetchPicture } : {}) },
    request,
  );
  const pooled = new Map([...loaded.pooled].map(([id, features]) => [Number(id), features] as const));
  const shown = dialogues.filter(({ imageId }) => pooled.has(imageId));
  if (shown.length === 0) throw new FromageError({ code: 'EVALUATION_DATA', what: `none of the ${dialogues.length} dialogues has its picture`, todo: 'name the folder or archive of the pictures in --images' });
  const first = await evaluateVisdial(engine, shown, pooled, { ...request, measureSharing: true });
  const figures = { ...first.figures, missing_images: loaded.missing.length };
  const sections = [
    ...visdialSections(first, { answers: Math.max(...shown.flatMap(({ rounds }) => rounds.map(({ candidates }) => candidates.length))), pictures: new Set(shown.map(({ imageId }) => imageId)).size }, dialogues.length - shown.length),
    {
      title: 'Sample dialogues',
      pictures: shown.flatMap(({ imageId, caption, rounds }, i) => {
        const src = loaded.thumbnails.get(String(imageId));
        return src ? [{ src, alt: caption, lines: [`${caption} (found at rank ${first.ranks.text_to_image.ranks[i]})`, ...rounds.map(({ question, answer }) => `${question} – ${answer}`)] }] : [];
      }),
    },
  ];
  if (request.compare === undefined) return { figures, sections };
  const second = await evaluateVisdial(engine, shown, pooled, { ...request, adapter: request.compare, noBaselines: true });
  const comparison = {
    image_and_text_to_text: { ...compareRanks(first.ranks.image_and_text_to_text, second.ranks.image_and_text_to_text, request), mrr: compareValues(first.values.reciprocal_rank, second.values.reciprocal_rank, first.ranks.image_and_text_to_text.groups, request) },
    text_to_image: compareRanks(first.ranks.text_to_image, second.ranks.text_to_image, request),
  };
  return {
    figures: { ...figures, compared: second.figures, comparison },
    sections: [comparisonSection('Second adapter, answers', comparison.image_and_text_to_text), comparisonSection('Second adapter, pictures', comparison.text_to_image), ...sections],
  };
}

/** @param candidates of a question, and pictures to choose among. @param skipped dialogues */
function visdialSections({ figures, ranks }: VisdialResult, candidates: { readonly answers: number; readonly pictures: number }, skipped: number): ReportSection[] {
  const { image_and_text_to_text: answers, text_to_image: pictures, intervals, baselines, sharing, ...counts } = figures;
  const answerRow = (name: string, each: AnswerFigures, own: Intervals = {}) => [name, cell(each.ndcg, own['ndcg']), cell(each.mrr, own['mrr']), cell(each.r1, own['r1']), cell(each.r5, own['r5']), cell(each.r10, own['r10']), cell(each.mean_rank)];
  return [
    {
      title: 'Which answer: picture and text to text',
      text: `${counts.n_questions} questions of ${counts.n_dialogues} dialogues (${skipped} without their picture were left out); each candidate is scored by its mean token log-likelihood. NDCG over the ${counts.n_dense} densely annotated rounds. In brackets the 95 % interval, dialogues resampled. Of equal scores the right one is counted last.`,
      table: {
        head: ['', 'NDCG', 'MRR', 'R@1', 'R@5', 'R@10', 'mean rank'],
        rows: [
          answerRow('this model', answers, intervals.image_and_text_to_text),
          ...(baselines ? [answerRow('random', baselines.random.image_and_text_to_text), answerRow('TF-IDF with question and history', baselines.tf_idf.image_and_text_to_text)] : []),
          ['the paper: ViLBERT', '11.6', '6.9', '2.6', '7.2', '11.3', '–'],
          ['the paper: CLIP ViT-L/14', '10.9', '8.5', '3.1', '8.7', '15.9', '–'],
          ['the paper: Flamingo (10.2B)', '52.0', '–', '–', '–', '–', '–'],
          ['the paper: ESPER', '22.3', '25.7', '14.6', '–', '–', '–'],
          ['the paper: FROMAGe', '16.5', '22.0', '17.6', '20.1', '25.1', '–'],
        ],
      },
      plot: recallPlot({ 'this model': ranks.image_and_text_to_text.ranks }, candidates.answers),
    },
    {
      title: 'Which picture: text to image',
      text: 'The whole dialogue asks for its picture among those of all dialogues.',
      table: {
        head: recallHead,
        rows: [
          recallRow('this model', pictures, intervals.text_to_image),
          ...(baselines ? [recallRow('random', baselines.random.text_to_image), recallRow('TF-IDF with the pictures’ captions', baselines.tf_idf.text_to_image), recallRow(clipName(baselines), baselines.clip?.text_to_image ?? null)] : []),
          ['the paper: CLIP ViT-L/14', '17.7', '38.9', '50.2', '–'],
          ['the paper: FROMAGe', '20.8', '44.9', '56.0', '–'],
        ],
      },
      plot: recallPlot({ 'this model': ranks.text_to_image.ranks }, candidates.pictures),
    },
    ...(sharing ? [{ title: 'What sharing saves', text: `${sharing.candidates} candidates of one question behind their shared picture and dialogue: ${sharing.together_seconds} s; each read from the beginning: ${sharing.alone_seconds} s (${sharing.times_faster} times as long; scores differ by at most ${sharing.largest_difference}).` }] : []),
  ];
}

function idOfFile(name: string, ids: ReadonlySet<string>): string | null {
  const id = String(imageIdOf(name));
  return ids.has(id) ? id : null;
}
