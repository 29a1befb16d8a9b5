// The contrastive part of a step: InfoNCE over all pairs of a batch, however many micro-batches they came
// in, and its gradients with respect to maps, logit scale and hidden states.
import { type Graph, toModelBytes } from '../onnx/graph/index.ts';
import { float32, int64, type OnnxSession, openSession, type RunTensor } from '../onnx/run/index.ts';
import { contrastiveGraph, type ContrastiveSizes, judgedContrastiveGraph } from './graphs/contrastive-graph.ts';
import { addInto } from './accumulate.ts';
import { collect, feedsOf, floats, number, scalar, sessionOptions } from './frozen-model.ts';
import type { Parameters } from './parameters.ts';
import { masked, type RejectedPicture } from './sequences.ts';

export interface ContrastiveBatch {
  /** By layer `[N, width]`. */
  readonly hidden: ReadonlyMap<number, Float32Array>;
  /** Pooled features of the picture of each text. */
  readonly pictures: readonly Float32Array[];
  /** Texts with equal keys are not each other's negatives; null keys always are. */
  readonly pictureKeys: readonly (string | null)[];
  /** Pictures that a text must not find, text by text. */
  readonly rejected?: readonly (readonly RejectedPicture[])[];
  /** Texts whose own picture is the wrong one. */
  readonly unlikely?: readonly boolean[];
}

/** A rejected picture counts as this many other negatives of its text. */
const rejectedWeight = 2;

export interface ContrastiveResult {
  readonly textToImage: number;
  readonly imageToText: number;
  /** A row for each picture: `[N, N]`, more rows where pictures were rejected. */
  readonly logitsPerImage: Float32Array;
  /** Gradients of the hidden states, by layer `[N, width]`; empty without training. */
  readonly hiddenGradients: ReadonlyMap<number, Float32Array>;
}

export class ContrastiveLoss {
  readonly #sizes: ContrastiveSizes;
  readonly #threads: number | undefined;
  #session: Promise<OnnxSession> | null = null;
  #judged: Promise<OnnxSession> | null = null;

  constructor(sizes: ContrastiveSizes, threads?: number) {
    this.#sizes = sizes;
    this.#threads = threads;
  }

  /** Gradients times `weight` are added into `gradients`. */
  async run(batch: ContrastiveBatch, parameters: Parameters, weight: number, gradients: Map<string, Float32Array>): Promise<ContrastiveResult> {
    const { textLayers, visionHiddenSize } = this.#sizes;
    const n = batch.pictures.length;
    const judged = judgements(batch);
    const pictures = [...batch.pictures, ...judged.pictures];
    const pooled = new Float32Array(pictures.length * visionHiddenSize);
    pictures.forEach((features, i) => pooled.set(features, i * visionHiddenSize));
    const mask = new Float32Array(pictures.length * n);
    mask.set(judged.mask, n * n);
    batch.pictureKeys.forEach((key, i) => batch.pictureKeys.forEach((other, j) => {
      if (i !== j && key !== null && key === other) mask[i * n + j] = masked;
    }));
    const maps = ['visual_fc', ...textLayers.map((_, i) => `text_hidden_fcs.${i}`)].flatMap((name) => [`${name}.weight`, `${name}.bias`]);
    const session = await (judged.feeds ? (this.#judged ??= this.#open(judgedContrastiveGraph(this.#sizes))) : (this.#session ??= this.#open(contrastiveGraph(this.#sizes, true))));
    const result = await session.run({
      ...Object.fromEntries([...batch.hidden].map(([layer, data]) => [`hidden.${layer}`, float32(data, [n, data.length / n])])),
      pooled: float32(pooled, [pictures.length, visionHiddenSize]),
      mask: float32(mask, [pictures.length, n]),
      diagonal: int64(Array.from({ length: n }, (_, i) => i), [n, 1]),
      ...feedsOf(parameters, [...maps, 'logit_scale']),
      loss_weight: scalar(weight),
      ...(judged.feeds ?? {}),
    });
    const found = new Map<string, Float32Array>();
    collect(result, found);
    const hiddenGradients = new Map<number, Float32Array>();
    for (const layer of textLayers) {
      hiddenGradients.set(layer, found.get(`hidden.${layer}`)!);
      found.delete(`hidden.${layer}`);
    }
    for (const [name, values] of found) addInto(gradients, name, values);
    return { textToImage: number(result, 'text_to_image'), imageToText: number(result, 'image_to_text'), logitsPerImage: floats(result, 'logits_per_image'), hiddenGradients };
  }

  async close(): Promise<void> {
    await (await this.#session)?.close();
    await (await this.#judged)?.close();
    this.#session = this.#judged = null;
  }

  #open(graph: Graph): Promise<OnnxSession> {
    return openSession(toModelBytes(graph), sessionOptions(this.#threads));
  }
}

/** What people said against pictures of a batch; `feeds` null where they said nothing. */
function judgements({ pictureKeys, rejected, unlikely }: ContrastiveBatch): { readonly pictures: readonly Float32Array[]; readonly mask: Float32Array; readonly feeds: Record<string, RunTensor> | null } {
  const n = pictureKeys.length;
  const all = new Map<string, Float32Array>();
  for (const { key, features } of rejected?.flat() ?? []) all.set(key, features);
  const likely = Float32Array.from({ length: n }, (_, i) => (unlikely?.[i] ? 0 : 1));
  const count = likely.reduce((sum, value) => sum + value, 0);
  if (all.size === 0 && count === n) return { pictures: [], mask: new Float32Array(0), feeds: null };
  const mask = new Float32Array(all.size * n);
  [...all.keys()].forEach((key, row) => {
    for (let text = 0; text < n; text++) {
      // A picture that somebody rejected is an ordinary negative of other texts, unless it is their own.
      if (pictureKeys[text] === key) mask[row * n + text] = masked;
      else if (rejected?.[text]?.some((one) => one.key === key)) mask[row * n + text] = Math.log(rejectedWeight);
    }
  });
  return { pictures: [...all.values()], mask, feeds: { likely: float32(likely, [n, 1]), likely_share: scalar(count === 0 ? 0 : 1 / count), rows: int64([n]) } };
}
