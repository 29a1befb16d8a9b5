// How quickly a step is computed: captioning and retrieval apart, and retrieval as it would be without
// knowing what is frozen. Shapes are the caller's; captions and features are random.
import { findFrozenSources, hiddenWidth, type LanguageModelWeights, openLanguageModelWeights } from '../model/index.ts';
import { toModelBytes } from '../onnx/graph/index.ts';
import { float32, int64, openSession } from '../onnx/run/index.ts';
import { createAdamW } from './adamw.ts';
import { ContrastiveLoss } from './contrastive.ts';
import { FrozenModel, sessionOptions } from './frozen-model.ts';
import { wholeTextGraph } from './graphs/whole-text-graph.ts';
import { meanRowNorm } from './frozen-rows.ts';
import { watchMemory } from './memory-watch.ts';
import { initialParameters } from './parameters.ts';
import { plainCaption, plainText } from './plain-form.ts';
import { createRandom } from './random.ts';
import { causalMask, padTokens } from './sequences.ts';
import { median, type Taken, timed } from './stopwatch.ts';
import { computeGradients, type StepBatch, updateParameters } from './training-step.ts';

export interface BenchmarkOptions {
  readonly model: string;
  readonly lm?: string;
  readonly cacheDir: string;
  readonly threads: number;
  readonly batchSize: number;
  /** Tokens of a caption with its begin token and [RET]. */
  readonly captionLength: number;
  readonly visualTokens: number;
  readonly visionHiddenSize: number;
  readonly rounds: number;
  /** As in training; 0 keeps everything. */
  readonly recomputeLayers: number;
  readonly onProgress?: (done: number, total: number) => void;
}

export interface StepTiming {
  readonly medianMs: number;
  /** Time of all threads on the processor, which a busy machine changes little. */
  readonly medianCpuMs: number;
  readonly examplesPerSecond: number;
}

export interface BenchmarkResult {
  readonly shape: Readonly<Record<string, number>>;
  readonly captioning: StepTiming;
  readonly retrieval: StepTiming;
  /** All positions with gradients, all of them through the head: what a framework does by itself. */
  readonly retrievalWithoutSavings: StepTiming;
  /** Largest memory during captioning and retrieval (memory-watch.ts), before the comparison without savings. */
  readonly peakBytes: number;
  /** The largest resident memory of the process so far, as the system counts it. */
  readonly peakResidentBytes: number;
}

/** Rounds are interleaved, so that a busy machine slows all parts alike. */
export async function benchmarkTraining(options: BenchmarkOptions): Promise<BenchmarkResult> {
  const { batchSize, captionLength, visualTokens, visionHiddenSize, rounds, threads, recomputeLayers } = options;
  const sources = await findFrozenSources({ model: options.model, cacheDir: options.cacheDir, ...(options.lm === undefined ? {} : { lm: options.lm }) });
  const weights = await openLanguageModelWeights({ source: sources.languageModel, weights: 'fp32', cacheDir: options.cacheDir });
  const { vocabSize, embedSize, hiddenSize } = weights.config;
  const model = new FrozenModel({ weights, visionHiddenSize, visualTokens, textLayers: [-1], retTokenId: vocabSize, threads, recomputeLayers });
  const contrastive = new ContrastiveLoss({ visionHiddenSize, retrievalDim: 256, textLayers: [-1], textWidths: [hiddenWidth(weights.config, -1)] }, threads);
  const random = createRandom(0, 'benchmark');
  const retNorm = meanRowNorm(weights, Math.min(1000, vocabSize));
  const parameters = initialParameters({ visualTokens, retrievalDim: 256, visionHiddenSize, embedSize, textWidths: [hiddenSize] }, 0, retNorm);
  const state = createAdamW(parameters);
  const ids = Array.from({ length: batchSize }, () => [...Array.from({ length: captionLength - 1 }, () => random.integer(vocabSize)), vocabSize]);
  const features = ids.map(() => Float32Array.from({ length: visionHiddenSize }, () => random.normal()));
  const step = async (batch: StepBatch): Promise<void> => {
    const { gradients } = await computeGradients({ model, contrastive }, batch, parameters, { captionScale: 1, retrievalScale: 1, microBatch: batchSize });
    updateParameters(parameters, gradients, state, 1e-4, { betas: [0.9, 0.95], eps: 1e-8, weightDecay: 0, clipNorm: 1, retNorm });
  };
  const captions = ids.map((row, i) => plainCaption(row, features[i]!, visualTokens));
  const texts = ids.map((row, i) => plainText(row, features[i]!, null));
  const kinds = { captioning: () => step({ captions, texts: [] }), retrieval: () => step({ captions: [], texts }) };
  const taken: Record<'captioning' | 'retrieval' | 'whole', Taken[]> = { captioning: [], retrieval: [], whole: [] };
  const measure = async (name: keyof typeof taken, run: () => Promise<void>): Promise<void> => void taken[name].push(await timed(run));
  try {
    for (const run of Object.values(kinds)) await run();
    for (let i = 0; i < rounds; i++) {
      await measure('captioning', kinds.captioning);
      await measure('retrieval', kinds.retrieval);
      options.onProgress?.(i + 1, 2 * rounds);
    }
    // In a round of its own: asking the system for shares takes processor time (EXPERIMENTS.md).
    const memory = watchMemory();
    for (const run of Object.values(kinds)) await run();
    const peakBytes = await memory.stop();
    const peakResidentBytes = process.resourceUsage().maxRSS * 1024;
    const whole = await wholeRetrieval(weights, ids, threads, hiddenSize);
    await whole.run();
    for (let i = 0; i < rounds; i++) {
      await measure('retrieval', kinds.retrieval);
      await measure('whole', whole.run);
      options.onProgress?.(rounds + i + 1, 2 * rounds);
    }
    await whole.close();
    const timing = (name: keyof typeof taken): StepTiming => {
      const medianMs = median(taken[name].map(({ ms }) => ms));
      return { medianMs, medianCpuMs: median(taken[name].map(({ cpuMs }) => cpuMs)), examplesPerSecond: (batchSize * 1000) / medianMs };
    };
    return { shape: { batchSize, captionLength, visualTokens, visionHiddenSize, hiddenSize, vocabSize, numLayers: weights.config.numLayers, threads, recomputeLayers }, captioning: timing('captioning'), retrieval: timing('retrieval'), retrievalWithoutSavings: timing('whole'), peakBytes, peakResidentBytes };
  } finally {
    await model.close();
    await contrastive.close();
    weights.close();
  }
}

/** The language model's part of retrieval with [RET] as a token among the others. */
async function wholeRetrieval(weights: LanguageModelWeights, ids: readonly (readonly number[])[], threads: number, hiddenSize: number) {
  const session = await openSession(toModelBytes(wholeTextGraph(weights, [-1])), sessionOptions(threads));
  const { length, embeds, positions } = padTokens(weights, ids.map((row) => ({ tokenIds: [...row.slice(0, -1), 0] })));
  const retAt = int64(ids.flatMap((row, i) => [i, row.length - 1]), [ids.length, 2]);
  const feeds = {
    text_embeds: embeds,
    position_ids: positions,
    mask: causalMask(length),
    ret_embedding: float32(new Float32Array(weights.config.embedSize).fill(0.1), [weights.config.embedSize]),
    ret_at: retAt,
    label_at: int64(ids.flatMap((row, i) => row.flatMap((_, at) => [i, at])), [ids.length * length, 2]),
    labels: int64(ids.flatMap((row) => [...row.slice(1), 0].map((id) => Math.min(id, weights.config.vocabSize))), [ids.length * length, 1]),
    'hidden_gradient.-1': float32(new Float32Array(ids.length * hiddenSize).fill(1e-3), [ids.length, hiddenSize]),
  };
  return { run: async () => void (await session.run(feeds)), close: () => session.close() };
}
