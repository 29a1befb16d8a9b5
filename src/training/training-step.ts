// One optimiser step from sequences: captioning and retrieval losses with their gradients, in
// micro-batches, then clipping, AdamW, and the [RET] row set back to the mean norm of the frozen rows.
import { type AdamWOptions, type AdamWState, adamWStep, clipGradients } from './adamw.ts';
import type { ContrastiveLoss, ContrastiveResult } from './contrastive.ts';
import type { FrozenModel, TextResult } from './frozen-model.ts';
import { type Parameters, parameterOf } from './parameters.ts';
import { type CaptionSequence, labelCount, type TextSequence } from './sequences.ts';

export interface LossOptions {
  readonly captionScale: number;
  readonly retrievalScale: number;
  /** Sequences of one run through the language model: bounds the memory, changes no result. */
  readonly microBatch: number;
}

export interface StepBatch {
  readonly captions: readonly CaptionSequence[];
  readonly texts: readonly TextSequence[];
}

/** Losses of a step by part; NaN where the batch had nothing of the kind. */
export interface StepLosses {
  readonly captioning: number;
  readonly retrieval: number;
  readonly textToImage: number;
  readonly imageToText: number;
  readonly total: number;
}

export interface StepGradients {
  readonly losses: StepLosses;
  readonly gradients: Map<string, Float32Array>;
  /** Null without pictures to find. */
  readonly contrastive: ContrastiveResult | null;
}

export interface Losses {
  readonly model: FrozenModel;
  readonly contrastive: ContrastiveLoss;
}

/**
 * captionScale · CE(captions) + retrievalScale · (CE(texts) + (t2i + i2t) / 2) and its gradients. Each CE
 * is a mean over all labels of the batch; InfoNCE runs over all its pairs.
 */
export async function computeGradients({ model, contrastive }: Losses, batch: StepBatch, parameters: Parameters, options: LossOptions): Promise<StepGradients> {
  const gradients = new Map<string, Float32Array>();
  const captionLabels = labelCount(batch.captions);
  let captionSum = 0;
  for (const unlikely of [false, true]) {
    for (const part of microBatches(batch.captions.filter((caption) => (caption.unlikely ?? false) === unlikely), options.microBatch)) {
      captionSum += (await model.captions(part, parameters, options.captionScale / captionLabels, gradients, unlikely)).lossSum;
    }
  }

  // Texts with a picture come first, so that pairs stand in the order of the micro-batches.
  const ordered = [...batch.texts].sort((a, b) => Number(b.picture !== null) - Number(a.picture !== null));
  const pairs = ordered.filter((text) => text.picture !== null);
  const textLabels = labelCount(ordered);
  const passes: { text: TextResult; rows: number }[] = [];
  let textSum = 0;
  for (const part of [...microBatches(pairs, options.microBatch), ...microBatches(ordered.slice(pairs.length), options.microBatch)]) {
    const text = await model.texts(part, parameters);
    textSum += await model.textLoss(text, parameters, options.retrievalScale / textLabels, gradients);
    if (part[0]?.picture) passes.push({ text, rows: part.length });
  }

  const sorted = [...microBatches(pairs, options.microBatch)].flat();
  const contrast = passes.length === 0 ? null : await contrastPairs({ model, contrastive }, passes, sorted, parameters, options, gradients);
  const captioning = captionSum / captionLabels;
  const retrieval = textSum / textLabels;
  const infoNce = contrast ? (contrast.textToImage + contrast.imageToText) / 2 : 0;
  const total = (captionLabels > 0 ? options.captionScale * captioning : 0) + options.retrievalScale * ((textLabels > 0 ? retrieval : 0) + infoNce);
  return {
    losses: { captioning, retrieval, textToImage: contrast?.textToImage ?? Number.NaN, imageToText: contrast?.imageToText ?? Number.NaN, total },
    gradients,
    contrastive: contrast,
  };
}

/** Gradient caching: all hidden states first, InfoNCE over them, then each micro-batch back to the [RET] row. */
async function contrastPairs({ model, contrastive }: Losses, passes: readonly { text: TextResult; rows: number }[], pairs: readonly TextSequence[], parameters: Parameters, options: LossOptions, gradients: Map<string, Float32Array>): Promise<ContrastiveResult> {
  const parts: ReadonlyMap<number, Float32Array>[] = [];
  for (const { text } of passes) parts.push(await model.hiddenAtRet(text, parameters));
  const hidden = new Map([...parts[0]!.keys()].map((layer) => [layer, joined(parts.map((part) => part.get(layer)!))]));
  const batch = { hidden, pictures: pairs.map(({ picture }) => picture!), pictureKeys: pairs.map(({ pictureKey }) => pictureKey), rejected: pairs.map(({ rejected }) => rejected ?? []), unlikely: pairs.map(({ unlikely }) => unlikely ?? false) };
  const result = await contrastive.run(batch, parameters, options.retrievalScale, gradients);
  let first = 0;
  for (const { text, rows } of passes) {
    const from = first;
    const slices = new Map([...result.hiddenGradients].map(([layer, data]) => [layer, data.slice((from * data.length) / pairs.length, ((from + rows) * data.length) / pairs.length)]));
    await model.backToRet(text, slices, parameters, gradients);
    first += rows;
  }
  return result;
}

export interface UpdateOptions extends AdamWOptions {
  /** 0 clips nothing. */
  readonly clipNorm: number;
  /** The [RET] row is set to this norm after the step; null leaves it. */
  readonly retNorm: number | null;
}

/**
 * Clips, takes an AdamW step in place, and rescales the [RET] row.
 *
 * @returns the gradients' norm before clipping
 */
export function updateParameters(parameters: Parameters, gradients: Map<string, Float32Array>, state: AdamWState, lr: number, options: UpdateOptions): number {
  const norm = clipGradients(gradients, options.clipNorm > 0 ? options.clipNorm : Number.POSITIVE_INFINITY);
  adamWStep(parameters, gradients, state, lr, options);
  if (options.retNorm !== null) {
    const { data } = parameterOf(parameters, 'ret_embedding');
    const factor = options.retNorm / Math.hypot(...data);
    for (let i = 0; i < data.length; i++) data[i] = data[i]! * factor;
  }
  return norm;
}

/** Sequences of similar length together, so that little is padded; order within the result is by length. */
function microBatches<T extends { readonly tokenIds: readonly number[] }>(sequences: readonly T[], size: number): T[][] {
  const sorted = sequences.map((sequence, i) => ({ sequence, i })).sort((a, b) => a.sequence.tokenIds.length - b.sequence.tokenIds.length || a.i - b.i);
  if (sorted.length <= size) return sequences.length === 0 ? [] : [[...sequences]];
  return Array.from({ length: Math.ceil(sorted.length / size) }, (_, i) => sorted.slice(i * size, (i + 1) * size).map(({ sequence }) => sequence));
}

function joined(parts: readonly Float32Array[]): Float32Array {
  const whole = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
