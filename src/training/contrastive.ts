// The contrastive part of a step: InfoNCE over all pairs of a batch, however many micro-batches they came
// in, and its gradients with respect to maps, logit scale and hidden states.
import { toModelBytes } from '../onnx/graph/index.ts';
import { float32, int64, type OnnxSession, openSession } from '../onnx/run/index.ts';
import { contrastiveGraph, type ContrastiveSizes } from './graphs/contrastive-graph.ts';
import { addInto } from './accumulate.ts';
import { collect, feedsOf, floats, number, scalar, sessionOptions } from './frozen-model.ts';
import type { Parameters } from './parameters.ts';
import { masked } from './sequences.ts';

export interface ContrastiveBatch {
  /** By layer `[N, width]`. */
  readonly hidden: ReadonlyMap<number, Float32Array>;
  /** Pooled features of the picture of each text. */
  readonly pictures: readonly Float32Array[];
  /** Texts with equal keys are not each other's negatives; null keys always are. */
  readonly pictureKeys: readonly (string | null)[];
}

export interface ContrastiveResult {
  readonly textToImage: number;
  readonly imageToText: number;
  /** `[N, N]`, a row for each picture. */
  readonly logitsPerImage: Float32Array;
  /** Gradients of the hidden states, by layer `[N, width]`; empty without training. */
  readonly hiddenGradients: ReadonlyMap<number, Float32Array>;
}

export class ContrastiveLoss {
  readonly #sizes: ContrastiveSizes;
  readonly #threads: number | undefined;
  #session: Promise<OnnxSession> | null = null;

  constructor(sizes: ContrastiveSizes, threads?: number) {
    this.#sizes = sizes;
    this.#threads = threads;
  }

  /** Gradients times `weight` are added into `gradients`. */
  async run(batch: ContrastiveBatch, parameters: Parameters, weight: number, gradients: Map<string, Float32Array>): Promise<ContrastiveResult> {
    const { textLayers, visionHiddenSize } = this.#sizes;
    const n = batch.pictures.length;
    this.#session ??= openSession(toModelBytes(contrastiveGraph(this.#sizes, true)), sessionOptions(this.#threads));
    const pooled = new Float32Array(n * visionHiddenSize);
    batch.pictures.forEach((features, i) => pooled.set(features, i * visionHiddenSize));
    const mask = new Float32Array(n * n);
    batch.pictureKeys.forEach((key, i) => batch.pictureKeys.forEach((other, j) => {
      if (i !== j && key !== null && key === other) mask[i * n + j] = masked;
    }));
    const maps = ['visual_fc', ...textLayers.map((_, i) => `text_hidden_fcs.${i}`)].flatMap((name) => [`${name}.weight`, `${name}.bias`]);
    const result = await (await this.#session).run({
      ...Object.fromEntries([...batch.hidden].map(([layer, data]) => [`hidden.${layer}`, float32(data, [n, data.length / n])])),
      pooled: float32(pooled, [n, visionHiddenSize]),
      mask: float32(mask, [n, n]),
      diagonal: int64(Array.from({ length: n }, (_, i) => i), [n, 1]),
      ...feedsOf(parameters, [...maps, 'logit_scale']),
      loss_weight: scalar(weight),
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
    this.#session = null;
  }
}
