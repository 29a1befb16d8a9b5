// What the losses work on: token ids with places for pictures and labels, padded into the tensors of a run.
import type { LanguageModelWeights } from '../model/index.ts';
import { float32, int64, type RunTensor } from '../onnx/run/index.ts';

/** Marks a position of a picture in `tokenIds`. */
export const pictureSlot = -1;

/** A text after pictures, all of whose labels are learned through the pictures' prefixes. */
export interface CaptionSequence {
  readonly kind: 'caption';
  /** One entry per position; k consecutive slots per picture. */
  readonly tokenIds: readonly number[];
  /** Pooled features `[V]` of the pictures, in order. */
  readonly pictures: readonly Float32Array[];
  /** Positions whose next token is learned, and that token. */
  readonly labelAt: readonly number[];
  readonly labels: readonly number[];
  /** These labels shall become unlikely. */
  readonly unlikely?: boolean;
}

/** A picture that a text must not find. */
export interface RejectedPicture {
  /** Pooled features `[V]`. */
  readonly features: Float32Array;
  readonly key: string;
}

/**
 * A text whose loss reaches nothing trained but the [RET] column of its softmaxes. Pictures that were shown
 * earlier in it, each behind its [RET], stand there as the parameters have them; no gradient goes into them.
 */
export interface TextSequence {
  readonly kind: 'text';
  /** Without the [RET] that may follow. */
  readonly tokenIds: readonly number[];
  /** Pooled features `[V]` of the pictures in `tokenIds`, in order. */
  readonly shown?: readonly Float32Array[];
  readonly labelAt: readonly number[];
  /** The id of [RET] may be among them. */
  readonly labels: readonly number[];
  /** Pooled features `[V]` of the picture that the [RET] after this text shall find; null when there is none. */
  readonly picture: Float32Array | null;
  /** Two texts of one picture are not each other's negatives. */
  readonly pictureKey: string | null;
  readonly rejected?: readonly RejectedPicture[];
  /** `picture` is the wrong one. */
  readonly unlikely?: boolean;
}

export function labelCount(sequences: readonly { readonly labels: readonly number[] }[]): number {
  return sequences.reduce((sum, sequence) => sum + sequence.labels.length, 0);
}

/** A score that no softmax sees; finite, so that nothing becomes NaN. */
export const masked = -1e30;

/**
 * Token rows and positions of right-padded sequences; picture slots and padding are zeros.
 *
 * @param trainedId a token whose row is not among the weights; zeros as well
 */
export function padTokens(weights: LanguageModelWeights, sequences: readonly { readonly tokenIds: readonly number[] }[], trainedId?: number): { readonly length: number; readonly embeds: RunTensor<'float32'>; readonly positions: RunTensor } {
  const width = weights.config.embedSize;
  const length = Math.max(...sequences.map(({ tokenIds }) => tokenIds.length));
  const embeds = new Float32Array(sequences.length * length * width);
  const positions = new BigInt64Array(sequences.length * length);
  sequences.forEach(({ tokenIds }, row) => {
    const places = tokenIds.flatMap((id, at) => (id === pictureSlot || id === trainedId ? [] : [at]));
    const rows = weights.embed(places.map((at) => tokenIds[at]!));
    places.forEach((at, i) => embeds.set(rows.subarray(i * width, (i + 1) * width), (row * length + at) * width));
    for (let at = 0; at < length; at++) positions[row * length + at] = BigInt(at);
  });
  return { length, embeds: float32(embeds, [sequences.length, length, width]), positions: int64(positions, [sequences.length, length]) };
}

/** Labels of a run: `[M, 2]` places and `[M, 1]` ids; one that counts for nothing where there are none. */
export function placeLabels(sequences: readonly { readonly labelAt: readonly number[]; readonly labels: readonly number[] }[], idOf: (id: number) => number = (id) => id): { readonly at: RunTensor; readonly ids: RunTensor; readonly count: number } {
  const places = sequences.flatMap(({ labelAt }, row) => labelAt.flatMap((at) => [row, at]));
  const ids = sequences.flatMap(({ labels }) => labels.map(idOf));
  const count = ids.length;
  if (count === 0) return { at: int64([0, 0], [1, 2]), ids: int64([0], [1, 1]), count };
  return { at: int64(places, [count, 2]), ids: int64(ids, [count, 1]), count };
}

/** Additive causal mask `[1, 1, repeats · S, S]`. */
export function causalMask(length: number, repeats = 1): RunTensor<'float32'> {
  const mask = new Float32Array(repeats * length * length);
  for (let row = 0; row < repeats * length; row++) mask.fill(masked, row * length + (row % length) + 1, (row + 1) * length);
  return float32(mask, [1, 1, repeats * length, length]);
}
