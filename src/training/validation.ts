// Held-out pairs: caption loss, and recall both ways over all of them.
import type { Adapter } from '../model/types.ts';
import type { PairExample } from './examples.ts';
import type { FrozenModel } from './frozen-model.ts';
import type { Parameters } from './parameters.ts';
import type { PromptForm } from './prompt-form.ts';
import { type Recall, recallOf } from './recall.ts';
import { labelCount } from './sequences.ts';

export interface ValidationResult {
  /** Mean cross entropy of a caption's tokens, in nats; NaN without captions. */
  readonly captionLoss: number;
  readonly textToImage: Recall;
  readonly imageToText: Recall;
  readonly pairs: number;
}

export interface ValidationSet {
  /** One pair a picture. */
  readonly pairs: readonly PairExample[];
  /** How many of them are captioned too. */
  readonly captions: number;
}

export type ValidationScore = 'recall1' | 'recall10' | 'meanRecall' | 'captionLoss';

/** @param adapter the parameters as an adapter (over the same features as the form gives) */
export async function validate(model: FrozenModel, form: PromptForm, set: ValidationSet, parameters: Parameters, adapter: Adapter, microBatch: number, signal?: AbortSignal): Promise<ValidationResult> {
  let lossSum = 0;
  let labels = 0;
  for (let i = 0; i < Math.min(set.captions, set.pairs.length); i += microBatch) {
    signal?.throwIfAborted();
    const part = set.pairs.slice(i, Math.min(i + microBatch, set.captions)).map((pair) => form.validationCaption(pair));
    lossSum += (await model.captions(part, parameters, 1, null)).lossSum;
    labels += labelCount(part);
  }
  const n = set.pairs.length;
  const texts = new Float32Array(n * adapter.retrievalDim);
  const pictures = new Float32Array(n * adapter.retrievalDim);
  for (let i = 0; i < n; i += microBatch) {
    signal?.throwIfAborted();
    const part = set.pairs.slice(i, i + microBatch).map((pair) => form.validationText(pair));
    const hidden = await model.hiddenAtRet(await model.texts(part, parameters), parameters);
    texts.set(adapter.projectText(hidden, part.length), i * adapter.retrievalDim);
    part.forEach(({ picture }, j) => pictures.set(adapter.projectImages(picture!, 1), (i + j) * adapter.retrievalDim));
  }
  return { captionLoss: labels === 0 ? Number.NaN : lossSum / labels, textToImage: recallOf(texts, pictures, n), imageToText: recallOf(pictures, texts, n), pairs: n };
}

/** Higher is better. */
export function scoreOf(result: ValidationResult, by: ValidationScore): number {
  switch (by) {
    case 'recall1':
      return (result.textToImage.recallAt1 + result.imageToText.recallAt1) / 2;
    case 'recall10':
      return (result.textToImage.recallAt10 + result.imageToText.recallAt10) / 2;
    case 'meanRecall':
      // Of both ways and three depths: one depth alone jumps by a point from one validation to the next.
      return [result.textToImage, result.imageToText].reduce((sum, { recallAt1, recallAt5, recallAt10 }) => sum + recallAt1 + recallAt5 + recallAt10, 0) / 6;
    case 'captionLoss':
      return -result.captionLoss;
  }
}
