// Captions in the paper's own form: the picture and the bare caption for captioning, the caption and
// [RET] for retrieval. A batch's examples may be joined in pairs.
import type { Tokenizer } from '../tokenizer/index.ts';
import { FromageError } from '../errors.ts';
import { type CaptionSequence, pictureSlot, type TextSequence } from './sequences.ts';

/**
 * Ids of a caption with the tokenizer's begin tokens and [RET] at the end, at most `maxLength` of them: a
 * caption that is too long loses its end, never its [RET].
 */
export function captionIds(tokenizer: Tokenizer, caption: string, maxLength: number): number[] {
  const { retTokenId } = tokenizer;
  if (retTokenId === null) throw new FromageError({ code: 'TRAINING_TOKENIZER', what: 'the tokenizer has no [RET]', todo: 'open it with withFromageTokens' });
  const words = tokenizer.encode(caption, { trusted: false, begin: true });
  return [...words.slice(0, maxLength - 1), retTokenId];
}

/** [picture; begin tokens and words]: every token is learned, the first one from the last visual token. */
export function plainCaption(ids: readonly number[], picture: Float32Array, visualTokens: number): CaptionSequence {
  const words = ids.slice(0, -1);
  return {
    kind: 'caption',
    tokenIds: [...Array.from({ length: visualTokens }, () => pictureSlot), ...words],
    pictures: [picture],
    labelAt: words.map((_, i) => visualTokens - 1 + i),
    labels: words,
  };
}

/** The caption alone: every token after the first is learned, [RET] among them. */
export function plainText(ids: readonly number[], picture: Float32Array, pictureKey: string | null): TextSequence {
  return { kind: 'text', tokenIds: ids.slice(0, -1), labelAt: ids.slice(1).map((_, i) => i), labels: ids.slice(1), picture, pictureKey };
}

/** Joins neighbours: the first caption without its padding, then the second. An odd last one stays alone. */
export function joinPairs(captions: readonly CaptionSequence[]): CaptionSequence[] {
  const joined: CaptionSequence[] = [];
  for (let i = 0; i < captions.length; i += 2) {
    const [first, second] = [captions[i]!, captions[i + 1]];
    if (!second) {
      joined.push(first);
      continue;
    }
    const shift = first.tokenIds.length;
    joined.push({
      kind: 'caption',
      tokenIds: [...first.tokenIds, ...second.tokenIds],
      pictures: [...first.pictures, ...second.pictures],
      labelAt: [...first.labelAt, ...second.labelAt.map((at) => at + shift)],
      labels: [...first.labels, ...second.labels],
    });
  }
  return joined;
}
