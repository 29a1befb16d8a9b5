// `evaluate retrieval`: the figures, their report, and a second adapter beside the first.
import type { Engine } from '../../engine/types.ts';
import { loadCaptions, type LoadedCaptions } from '../data/captions.ts';
import { required } from '../data/required.ts';
import { compareRanks } from '../figures.ts';
import { clipName, comparisonSection, recallHead, recallRow } from '../report/cells.ts';
import { recallPlot } from '../report/curves.ts';
import type { ReportSection } from '../report/page.ts';
import { evaluateRetrieval, type RetrievalResult } from '../tasks/retrieval.ts';
import { captionData } from './caption-data.ts';
import type { RunOutcome, RunRequest } from './types.ts';

export async function runRetrieval(engine: Engine, request: RunRequest): Promise<RunOutcome> {
  const data = await loadCaptions(engine, captionData({ ...request, data: required(request.data) }), request);
  const first = await evaluateRetrieval(engine, data.pictures, request);
  const figures = { ...first.figures, missing_images: data.missing.length, empty_captions: data.empty };
  const sections = retrievalSections(first, data);
  if (request.compare === undefined) return { figures, sections };
  const second = await evaluateRetrieval(engine, data.pictures, { ...request, adapter: request.compare, noBaselines: true });
  const comparison = { text_to_image: compareRanks(first.ranks.text_to_image, second.ranks.text_to_image, request), image_to_text: compareRanks(first.ranks.image_to_text, second.ranks.image_to_text, request) };
  return {
    figures: { ...figures, compared: { text_to_image: second.figures.text_to_image, image_to_text: second.figures.image_to_text }, comparison },
    sections: [comparisonSection('Second adapter, caption to picture', comparison.text_to_image), comparisonSection('Second adapter, picture to caption', comparison.image_to_text), ...sections],
  };
}

function retrievalSections({ figures, ranks }: RetrievalResult, { pictures, thumbnails, missing }: LoadedCaptions): ReportSection[] {
  const { baselines } = figures;
  const direction = (title: string, key: 'text_to_image' | 'image_to_text', candidates: number, text: string): ReportSection => ({
    title,
    text,
    table: {
      head: recallHead,
      rows: [
        recallRow('this model', figures[key], figures.intervals[key]),
        ...(baselines
          ? [
              recallRow('random', baselines.random[key]),
              recallRow(baselines.tf_idf ? `TF-IDF of captions (the first stands for the picture, ${baselines.tf_idf.n_captions} others ask)` : 'TF-IDF of captions (needs two captions of a picture)', baselines.tf_idf?.[key] ?? null),
              recallRow(clipName(baselines), baselines.clip?.[key] ?? null),
            ]
          : []),
      ],
    },
    plot: recallPlot({ 'this model': ranks[key].ranks }, candidates),
  });
  const missed = missing.length === 0 ? '' : ` ${missing.length} pictures are not there or cannot be read; they and their captions are left out.`;
  return [
    direction('Caption to picture', 'text_to_image', figures.n_images, `${figures.n_captions} captions ask, each among ${figures.n_images} pictures. In brackets the 95 % interval, pictures resampled. Of equal scores the right one is counted last.${missed}`),
    direction('Picture to caption', 'image_to_text', figures.n_captions, `Each picture asks among ${figures.n_captions} captions; any of its own is right. Chance is drawn for a picture with a single caption.`),
    { title: 'Sample pictures', text: 'Rank of the picture for each of its captions.', pictures: samplePictures(pictures, thumbnails, ranks.text_to_image.ranks) },
  ];
}

function samplePictures(pictures: LoadedCaptions['pictures'], thumbnails: LoadedCaptions['thumbnails'], ranks: readonly number[]) {
  let at = 0;
  return pictures.flatMap(({ id, captions }) => {
    const own = captions.map((caption, i) => `rank ${ranks[at + i]}: ${caption}`);
    at += captions.length;
    const src = thumbnails.get(id);
    return src ? [{ src, alt: captions[0] ?? id, lines: [id, ...own] }] : [];
  });
}
