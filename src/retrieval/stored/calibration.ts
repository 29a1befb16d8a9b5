// When "I have no picture of that" is the honest answer: the score below which nothing is shown, chosen
// for this gallery and projection on queries whose picture is known.
import { z } from 'zod';
import type { PictureStore } from '../contracts.ts';
import { FromageError } from '../../errors.ts';
import type { Gallery, ImageFilter } from '../types.ts';

/** A held-out query: what somebody asks, and the picture that is meant. */
export interface HeldOutQuery {
  readonly vector: Float32Array;
  readonly pictureId: string;
}

export interface CalibrationPoint {
  readonly threshold: number;
  /** Share of queries that get a picture. */
  readonly coverage: number;
  /** Share of those whose best picture is the very one that was meant: a lower bound, others may please as well. */
  readonly precision: number;
}

export interface Calibration {
  readonly threshold: number;
  readonly queries: number;
  /** From the highest coverage to the lowest. */
  readonly curve: readonly CalibrationPoint[];
}

/** Which point of the curve: keep this share of answers, or reach this precision with as many answers as possible. */
export type CalibrationChoice = { readonly coverage: number } | { readonly precision: number };

const curveSteps = 50;
const schema = z.object({
  threshold: z.number(),
  queries: z.number(),
  curve: z.array(z.object({ threshold: z.number(), coverage: z.number(), precision: z.number() })),
});

/**
 * Asks each query and draws coverage against precision over the threshold.
 *
 * @throws FromageError `RETRIEVAL_CALIBRATION` for fewer than 20 queries, or a precision that no threshold reaches
 */
export async function calibrate(gallery: Pick<Gallery, 'find'>, queries: readonly HeldOutQuery[], filter: ImageFilter, choice: CalibrationChoice): Promise<Calibration> {
  if (queries.length < 20) throw new FromageError({ code: 'RETRIEVAL_CALIBRATION', what: `${queries.length} queries are too few to calibrate with, 20 are needed`, todo: 'add pictures with captions, or give a file of captions' });
  const answers: { score: number; right: boolean }[] = [];
  for (const { vector, pictureId } of queries) {
    const [best] = await gallery.find({ vector, filter, limit: 1, scoreThreshold: -1 });
    answers.push({ score: best?.score ?? -1, right: best?.id === pictureId });
  }
  return { ...choosePoint(drawCurve(answers), choice), queries: queries.length };
}

/** At equal shares of the answers, from all to the best few. */
export function drawCurve(answers: readonly { readonly score: number; readonly right: boolean }[]): CalibrationPoint[] {
  const ranked = [...answers].sort((a, b) => b.score - a.score);
  const points: CalibrationPoint[] = [];
  for (let step = Math.min(curveSteps, ranked.length); step >= 1; step--) {
    const wanted = Math.max(1, Math.round((step * ranked.length) / Math.min(curveSteps, ranked.length)));
    const threshold = ranked[wanted - 1]!.score;
    const shown = ranked.filter(({ score }) => score >= threshold);
    const point = { threshold, coverage: shown.length / ranked.length, precision: shown.filter(({ right }) => right).length / shown.length };
    if (points.at(-1)?.threshold !== threshold) points.push(point);
  }
  return points;
}

function choosePoint(curve: readonly CalibrationPoint[], choice: CalibrationChoice): { threshold: number; curve: readonly CalibrationPoint[] } {
  if ('coverage' in choice) {
    const kept = curve.filter(({ coverage }) => coverage >= choice.coverage);
    return { threshold: (kept.at(-1) ?? curve[0]!).threshold, curve };
  }
  const reached = curve.find(({ precision }) => precision >= choice.precision);
  if (reached) return { threshold: reached.threshold, curve };
  const best = Math.max(...curve.map(({ precision }) => precision));
  throw new FromageError({ code: 'RETRIEVAL_CALIBRATION', what: `no threshold reaches a precision of ${choice.precision}, the best is ${best.toFixed(3)}`, todo: 'ask for less, or choose by coverage' });
}

const keyOf = (projection: string): string => `calibration:${projection}`;

/** Null when the projection was never calibrated. */
export async function readCalibration(pictures: Pick<PictureStore, 'cursor'>, projection: string): Promise<Calibration | null> {
  const text = await pictures.cursor(keyOf(projection));
  return text === null ? null : schema.parse(JSON.parse(text));
}

export async function writeCalibration(pictures: Pick<PictureStore, 'setCursor'>, projection: string, calibration: Calibration | null): Promise<void> {
  await pictures.setCursor(keyOf(projection), calibration && JSON.stringify(calibration));
}
