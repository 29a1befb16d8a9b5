// The frozen language model as training uses it: three graphs over one copy of the weights, run on
// batches of sequences. Gradients come back by parameter name.
import type { LanguageModelWeights } from '../model/index.ts';
import type { Graph } from '../onnx/graph/index.ts';
import { float32, int64, type OnnxSession, type RunTensor, type SessionOptions, SharedWeights } from '../onnx/run/index.ts';
import { captionGraph, type CaptionGraphSizes, captionSegments } from './graphs/caption-graph.ts';
import { retColumnGraph } from './graphs/ret-column-graph.ts';
import { retGraph } from './graphs/ret-graph.ts';
import { textGraph } from './graphs/text-graph.ts';
import { addInto } from './accumulate.ts';
import { parameterOf, type Parameters } from './parameters.ts';
import { openRecomputed } from './recomputed-session.ts';
import { type CaptionSequence, causalMask, masked, padTokens, pictureSlot, placeLabels, type TextSequence } from './sequences.ts';
import { placeShown } from './shown-pictures.ts';

export interface FrozenModelOptions {
  readonly weights: LanguageModelWeights;
  readonly visionHiddenSize: number;
  readonly visualTokens: number;
  readonly textLayers: readonly number[];
  readonly retTokenId: number;
  /** Frozen rows of ids between the head's and [RET]; `[count, hiddenSize]`. */
  readonly addedRows?: Float32Array;
  readonly threads?: number;
  /** Layers between two kept states of a caption (activation recomputation); 0 keeps everything. */
  readonly recomputeLayers?: number;
}

/** Of a batch of captions. */
export interface CaptionResult {
  /** Summed over labels. */
  readonly lossSum: number;
}

/** The frozen part of a batch of texts; keys and values stay in it until it is dropped. */
export interface TextResult {
  /** What the head reads at each label, `[M, hiddenSize]`. */
  readonly labelHidden: Float32Array;
  /** `[M]` */
  readonly frozenLse: Float32Array;
  /** `[M]`; means nothing where the label is [RET]. */
  readonly labelLogit: Float32Array;
  readonly isRet: readonly boolean[];
  readonly past: { readonly columns: number; readonly lengths: readonly number[]; readonly tensors: Readonly<Record<string, RunTensor>> };
}

export class FrozenModel {
  readonly options: FrozenModelOptions;
  readonly #sizes: CaptionGraphSizes;
  readonly #shared = new SharedWeights();
  readonly #sessions = new Map<string, Promise<OnnxSession>>();
  #present: readonly { readonly k: string; readonly v: string }[] = [];

  constructor(options: FrozenModelOptions) {
    this.options = options;
    const { hiddenSize, vocabSize } = options.weights.config;
    const addedRows = (options.addedRows?.length ?? 0) / hiddenSize;
    this.#sizes = { visionHiddenSize: options.visionHiddenSize, visualTokens: options.visualTokens, headRows: Math.min(vocabSize, options.retTokenId - addedRows), addedRows };
  }

  /** Loss of captions; with `gradients` their gradients times `weight` are added into it. `unlikely`: −log(1 − p) of each label in place of −log p. */
  async captions(sequences: readonly CaptionSequence[], parameters: Parameters, weight: number, gradients: Map<string, Float32Array> | null, unlikely = false): Promise<CaptionResult> {
    const session = await this.#captionSession(gradients !== null, unlikely);
    const result = await session.run({ ...this.captionFeeds(sequences, parameters), ...(gradients ? { loss_weight: scalar(weight) } : {}) });
    if (gradients) collect(result, gradients);
    return { lossSum: number(result, 'loss_sum') };
  }

  /** The inputs of a caption graph but `loss_weight`. */
  captionFeeds(sequences: readonly CaptionSequence[], parameters: Parameters): Record<string, RunTensor> {
    const { weights, visualTokens, visionHiddenSize } = this.options;
    const { length, embeds, positions } = padTokens(weights, sequences);
    const pictures = sequences.flatMap((sequence) => sequence.pictures);
    const pooled = new Float32Array(pictures.length * visionHiddenSize);
    pictures.forEach((features, i) => pooled.set(features, i * visionHiddenSize));
    const slots = sequences.flatMap(({ tokenIds }, row) => tokenIds.flatMap((id, at) => (id === pictureSlot ? [row, at] : [])));
    const labels = placeLabels(sequences, (id) => this.#column(id));
    return {
      text_embeds: embeds,
      position_ids: positions,
      mask: causalMask(length),
      pooled: float32(pooled, [pictures.length, visionHiddenSize]),
      visual_at: int64(slots, [pictures.length * visualTokens, 2]),
      label_at: labels.at,
      labels: labels.ids,
      ...this.#addedRows(),
      ...feedsOf(parameters, ['visual_embeddings.weight', 'visual_embeddings.bias', 'ret_embedding']),
    };
  }

  /**
   * Runs texts through the frozen model.
   *
   * @param parameters what pictures that were shown in the texts, and their [RET]s, stand there with
   */
  async texts(sequences: readonly TextSequence[], parameters: Parameters): Promise<TextResult> {
    const { weights, retTokenId } = this.options;
    const { numHeads, numKvHeads, numLayers, headDim } = weights.config;
    const { length, embeds, positions } = padTokens(weights, sequences, retTokenId);
    placeShown(embeds.data, length, sequences, parameters, retTokenId);
    const labels = placeLabels(sequences, (id) => (id === retTokenId ? 0 : this.#column(id)));
    const empty = Object.fromEntries(Array.from({ length: numLayers }, (_, i) => ['k', 'v'].map((part) => [`past_${part}.${i}`, float32(new Float32Array(0), [sequences.length, numKvHeads, 0, headDim])])).flat());
    const session = await this.#textSession();
    const result = await session.run({ embeds, position_ids: positions, mask: causalMask(length, numHeads / numKvHeads), split_sizes: int64([0, length]), ...empty, label_at: labels.at, labels: labels.ids, feature_at: int64([0, 0], [1, 2]), ...this.#addedRows() });
    const tensors: Record<string, RunTensor> = {};
    this.#present.forEach(({ k, v }, i) => {
      tensors[`past_k.${i}`] = result[k]!;
      tensors[`past_v.${i}`] = result[v]!;
    });
    const isRet = sequences.flatMap((sequence) => sequence.labels.map((id) => id === retTokenId));
    const kept = (name: string, width: number) => floats(result, name).subarray(0, labels.count * width);
    return {
      labelHidden: kept('label_hidden', weights.config.hiddenSize),
      frozenLse: kept('frozen_lse', 1),
      labelLogit: kept('label_logit', 1),
      isRet,
      past: { columns: length, lengths: sequences.map(({ tokenIds }) => tokenIds.length), tensors },
    };
  }

  /** Cross entropy of those texts, summed over labels; gradients times `weight` are added into `gradients`. */
  async textLoss(text: TextResult, parameters: Parameters, weight: number, gradients: Map<string, Float32Array> | null): Promise<number> {
    const count = text.isRet.length;
    if (count === 0) return 0;
    const { hiddenSize } = this.options.weights.config;
    const session = await this.#session('ret-column', () => retColumnGraph(hiddenSize));
    const column = [count, 1];
    const result = await session.run({
      label_hidden: float32(text.labelHidden, [count, hiddenSize]),
      frozen_lse: float32(text.frozenLse, column),
      label_logit: float32(text.labelLogit, column),
      is_ret: { type: 'bool', dims: column, data: Uint8Array.from(text.isRet, Number) },
      ...feedsOf(parameters, ['ret_embedding']),
      loss_weight: scalar(weight),
    });
    if (gradients) collect(result, gradients);
    return number(result, 'loss_sum');
  }

  /** Hidden states by layer `[rows, width]` of a [RET] that follows each text. */
  async hiddenAtRet(text: TextResult, parameters: Parameters): Promise<ReadonlyMap<number, Float32Array>> {
    const rows = text.past.lengths.length;
    const { data: row } = parameterOf(parameters, 'ret_embedding');
    const embeds = new Float32Array(rows * row.length);
    for (let i = 0; i < rows; i++) embeds.set(row, i * row.length);
    const featureAt = int64(Array.from({ length: rows }, (_, i) => [i, 0]).flat(), [rows, 2]);
    const session = await this.#textSession();
    const result = await session.run({ ...this.#retFeeds(text), embeds: float32(embeds, [rows, 1, row.length]), label_at: int64([0, 0], [1, 2]), labels: int64([0], [1, 1]), feature_at: featureAt, ...this.#addedRows() });
    return new Map(this.options.textLayers.map((layer) => [layer, floats(result, `hidden.${layer}`)]));
  }

  /** Takes gradients of those hidden states back to the [RET] row and adds them into `gradients`. */
  async backToRet(text: TextResult, hiddenGradients: ReadonlyMap<number, Float32Array>, parameters: Parameters, gradients: Map<string, Float32Array>): Promise<void> {
    const { weights, textLayers } = this.options;
    const rows = text.past.lengths.length;
    const session = await this.#session('ret', () => retGraph(weights, textLayers));
    const arriving = Object.fromEntries([...hiddenGradients].map(([layer, data]) => [`hidden_gradient.${layer}`, float32(data, [rows, 1, data.length / rows])]));
    collect(await session.run({ ...this.#retFeeds(text), ...feedsOf(parameters, ['ret_embedding']), ...arriving }), gradients);
  }

  async close(): Promise<void> {
    for (const session of this.#sessions.values()) await (await session).close();
    this.#sessions.clear();
  }

  #retFeeds({ past }: TextResult): Record<string, RunTensor> {
    const width = past.columns + 1;
    const mask = new Float32Array(past.lengths.length * width);
    past.lengths.forEach((length, row) => mask.fill(masked, row * width + length, row * width + past.columns));
    return { ...past.tensors, position_ids: int64(past.lengths, [past.lengths.length, 1]), mask: float32(mask, [past.lengths.length, 1, 1, width]), split_sizes: int64([past.columns, 1]) };
  }

  /** Column of a token in the logits: [RET] is the last one. */
  #column(id: number): number {
    return id === this.options.retTokenId ? this.#sizes.headRows + this.#sizes.addedRows : id;
  }

  #addedRows(): Record<string, RunTensor> {
    const { addedRows, weights } = this.options;
    return addedRows && addedRows.length > 0 ? { added_rows: float32(addedRows, [this.#sizes.addedRows, weights.config.hiddenSize]) } : {};
  }

  #captionSession(training: boolean, unlikely: boolean): Promise<OnnxSession> {
    const { weights, recomputeLayers = 0 } = this.options;
    const name = `${training ? 'caption' : 'caption-loss'}${unlikely ? '-unlikely' : ''}`;
    if (!training || recomputeLayers === 0) return this.#session(name, () => captionGraph(weights, this.#sizes, training, unlikely));
    return this.#opened(name, () => openRecomputed(this.#shared, captionSegments(weights, this.#sizes, recomputeLayers, unlikely), this.#sessionOptions()));
  }

  #textSession(): Promise<OnnxSession> {
    return this.#session('text', () => {
      const { graph, present } = textGraph(this.options.weights, this.#sizes, this.options.textLayers);
      this.#present = present;
      return graph;
    });
  }

  #session(name: string, make: () => Graph): Promise<OnnxSession> {
    return this.#opened(name, () => this.#shared.open(make(), this.#sessionOptions()));
  }

  #sessionOptions(): SessionOptions {
    const { threads, recomputeLayers = 0 } = this.options;
    return sessionOptions(threads, recomputeLayers === 0);
  }

  #opened(name: string, open: () => Promise<OnnxSession>): Promise<OnnxSession> {
    let session = this.#sessions.get(name);
    if (!session) this.#sessions.set(name, (session = open()));
    return session;
  }
}

/**
 * Forward and backward use the same matrices; packed copies would double the memory. An arena keeps the
 * memory of a run for the next one, which saves a fifth of a step (EXPERIMENTS.md); one for each of many
 * pieces would keep what recomputation frees.
 */
export function sessionOptions(threads: number | undefined, arena = true): SessionOptions {
  return { prepack: false, memoryPattern: false, arena, ...(threads === undefined ? {} : { threads }) };
}

export function feedsOf(parameters: Parameters, names: readonly string[]): Record<string, RunTensor> {
  return Object.fromEntries(names.map((name) => {
    const { data, shape } = parameterOf(parameters, name);
    return [name, float32(data, shape)];
  }));
}

export function scalar(value: number): RunTensor<'float32'> {
  return float32(Float32Array.of(value), []);
}

export function floats(result: Readonly<Record<string, RunTensor>>, name: string): Float32Array {
  return result[name]!.data as Float32Array;
}

export function number(result: Readonly<Record<string, RunTensor>>, name: string): number {
  return floats(result, name)[0] ?? Number.NaN;
}

/** Adds every output `gradient/<parameter>` into the gradient of that parameter. */
export function collect(result: Readonly<Record<string, RunTensor>>, gradients: Map<string, Float32Array>): void {
  for (const [output, tensor] of Object.entries(result)) {
    if (output.startsWith('gradient/')) addInto(gradients, output.slice('gradient/'.length), tensor.data as Float32Array);
  }
}
