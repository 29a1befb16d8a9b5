// What knowing the frozen parts saves, each saving by itself: the runs of a training step beside the same
// runs without the one saving, in interleaved rounds. Token ids and features are random.
import { differentiate } from '../autodiff/index.ts';
import { findFrozenSources, type LanguageModelWeights, loadVisionEncoder, openLanguageModelWeights } from '../model/index.ts';
import type { Graph } from '../onnx/graph/index.ts';
import { float32, int64, type OnnxSession, type RunTensor, SharedWeights } from '../onnx/run/index.ts';
import type { BenchmarkOptions } from './benchmark.ts';
import { feedsOf, FrozenModel, scalar, sessionOptions } from './frozen-model.ts';
import { captionGraph, learned } from './graphs/caption-graph.ts';
import { wholeTextGraph } from './graphs/whole-text-graph.ts';
import { watchMemory } from './memory-watch.ts';
import { initialParameters, type Parameters } from './parameters.ts';
import { createRandom } from './random.ts';
import { type CaptionSequence, causalMask, padTokens, pictureSlot, placeLabels, type TextSequence } from './sequences.ts';
import { median, type Taken, timed } from './stopwatch.ts';

export interface SavingsOptions extends Pick<BenchmarkOptions, 'model' | 'lm' | 'cacheDir' | 'threads' | 'batchSize' | 'visualTokens' | 'rounds' | 'onProgress'> {
  /** An encoded picture, which stands for all of a batch. */
  readonly photo: Uint8Array;
}

/** What is run, on so many sequences of one micro-batch. */
export type SavingForm =
  /** As training runs them: the first for captions, the second for requests, which end at their [RET]. */
  | 'captions' | 'requests'
  /** Decoding, scaling and encoding the photos of the captions. */
  | 'pictures'
  /** Captions with the gradients of all frozen matrices asked for. */
  | 'captionsWeightGradients'
  /** Captions with all positions through the head. */
  | 'captionsAllPositions'
  /** Requests in one graph that is differentiated at all positions, labelled ones through the head. */
  | 'requestsWholeBackward'
  /** Requests as training runs them, but all positions through the head. */
  | 'requestsAllPositions'
  /** Without both. */
  | 'requestsWholeBackwardAllPositions';

export interface SavingTiming {
  readonly medianMs: number;
  /** Time of all threads on the processor, which a busy machine changes little. */
  readonly medianCpuMs: number;
  /** By how much the first run made the memory of the process grow at its largest, weights and sessions left out. */
  readonly growthBytes: number;
}

export interface SavingsResult {
  readonly shape: Readonly<Record<string, number>>;
  readonly forms: Readonly<Record<SavingForm, SavingTiming>>;
}

/** Tokens of what the starter recipe trains on, in the mean: captions with chat and visual tokens, their answers, requests. */
const lengths = { caption: 32, answer: 13, request: 26 };

/** @throws FromageError as opening the model does, `VISION_*` for a photo that cannot be decoded */
export async function measureSavings(options: SavingsOptions): Promise<SavingsResult> {
  const { batchSize, visualTokens, rounds, threads, photo } = options;
  const sources = await findFrozenSources({ model: options.model, cacheDir: options.cacheDir, ...(options.lm === undefined ? {} : { lm: options.lm }) });
  const closers: (() => void | Promise<void>)[] = [];
  try {
    const encoder = await loadVisionEncoder({ source: sources.visionEncoder, threads });
    closers.push(() => encoder.close());
    const weights = await openLanguageModelWeights({ source: sources.languageModel, weights: 'fp32', cacheDir: options.cacheDir });
    closers.push(() => weights.close());
    const { visionHiddenSize } = encoder;
    const { vocabSize, embedSize, hiddenSize, numLayers } = weights.config;
    const model = new FrozenModel({ weights, visionHiddenSize, visualTokens, textLayers: [-1], retTokenId: vocabSize, threads });
    closers.push(() => model.close());
    const parameters = initialParameters({ visualTokens, retrievalDim: 256, visionHiddenSize, embedSize, textWidths: [hiddenSize] }, 0, 1);
    const { captions, requests } = randomSequences(weights, options, visionHiddenSize);
    const shared = new SharedWeights();
    const open = async (graph: Graph): Promise<OnnxSession> => {
      const session = await shared.open(graph, sessionOptions(threads));
      closers.push(() => session.close());
      return session;
    };
    const sizes = { visionHiddenSize, visualTokens, headRows: vocabSize, addedRows: 0 };
    const forward = captionGraph(weights, sizes, false);
    const matrices = [...forward.initializers].flatMap(([name, tensor]) => (tensor.kind === 'external' && tensor.type === 'float32' && tensor.dims.length === 2 ? [name] : []));
    const withWeightGradients = await open(differentiate(forward, { ...learned, wrt: [...learned.wrt, ...matrices] }));
    const whole = await open(wholeTextGraph(weights, [-1]));

    const runCaptions = (sequences: readonly CaptionSequence[]) => model.captions(sequences, parameters, 1, new Map());
    const runRequests = async (sequences: readonly TextSequence[]): Promise<void> => {
      const gradients = new Map<string, Float32Array>();
      const text = await model.texts(sequences, parameters);
      await model.textLoss(text, parameters, 1, gradients);
      const hidden = await model.hiddenAtRet(text, parameters);
      await model.backToRet(text, hidden, parameters, gradients);
    };
    const runPictures = async (): Promise<void> => {
      const pixels = await Promise.all(captions.map(() => encoder.preprocess(photo)));
      const together = new Float32Array(pixels.length * pixels[0]!.length);
      pixels.forEach((each, i) => together.set(each, i * each.length));
      await encoder.encode(together, pixels.length);
    };
    // Opened on little, so that the growth of a first run is that of its own values.
    await runCaptions([captions[0]!]);
    await runRequests([requests[0]!]);
    const forms: Record<SavingForm, () => Promise<unknown>> = {
      requests: () => runRequests(requests),
      captions: () => runCaptions(captions),
      pictures: runPictures,
      requestsAllPositions: () => runRequests(requests.map((request) => everywhere(request))),
      requestsWholeBackward: () => whole.run(wholeFeeds(weights, requests, parameters)),
      requestsWholeBackwardAllPositions: () => whole.run(wholeFeeds(weights, requests.map((request) => everywhere(request)), parameters)),
      captionsAllPositions: () => runCaptions(captions.map((caption) => everywhere(caption))),
      captionsWeightGradients: () => withWeightGradients.run({ ...model.captionFeeds(captions, parameters), loss_weight: scalar(1) }),
    };
    const names = Object.keys(forms) as SavingForm[];
    const growth = new Map<SavingForm, number>();
    for (const name of names) growth.set(name, await growthOf(forms[name]));
    const taken = new Map<SavingForm, Taken[]>(names.map((name) => [name, []]));
    for (let round = 0; round < rounds; round++) {
      for (const name of names) taken.get(name)!.push(await timed(forms[name]));
      options.onProgress?.(round + 1, rounds);
    }
    const timing = (name: SavingForm): SavingTiming => ({ medianMs: median(taken.get(name)!.map(({ ms }) => ms)), medianCpuMs: median(taken.get(name)!.map(({ cpuMs }) => cpuMs)), growthBytes: growth.get(name)! });
    return {
      shape: { batchSize, visualTokens, captionTokens: lengths.caption, captionLabels: lengths.answer, requestTokens: lengths.request, vocabSize, hiddenSize, numLayers, threads, rounds, frozenMatrices: matrices.length },
      forms: Object.fromEntries(names.map((name) => [name, timing(name)])) as Record<SavingForm, SavingTiming>,
    };
  } finally {
    for (const close of closers.reverse()) await close();
  }
}

/** A question with the picture's tokens in front, answered by words; and requests answered by [RET]. */
function randomSequences({ config }: LanguageModelWeights, { batchSize, visualTokens }: SavingsOptions, visionHiddenSize: number): { readonly captions: readonly CaptionSequence[]; readonly requests: readonly TextSequence[] } {
  const random = createRandom(0, 'savings');
  const ids = (count: number): number[] => Array.from({ length: count }, () => random.integer(config.vocabSize));
  const captions = Array.from({ length: batchSize }, (): CaptionSequence => {
    const tokenIds = [...Array.from({ length: visualTokens }, () => pictureSlot), ...ids(lengths.caption - visualTokens)];
    const labels = ids(lengths.answer);
    return { kind: 'caption', tokenIds, pictures: [Float32Array.from({ length: visionHiddenSize }, () => random.normal())], labelAt: labels.map((_, i) => lengths.caption - lengths.answer + i), labels };
  });
  const requests = Array.from({ length: batchSize }, (): TextSequence => ({ kind: 'text', tokenIds: ids(lengths.request), labelAt: [lengths.request - 1], labels: [config.vocabSize], picture: null, pictureKey: null }));
  return { captions, requests };
}

/** The same with a label at every position; which one it is changes no time. */
function everywhere<T extends CaptionSequence | TextSequence>(sequence: T): T {
  return { ...sequence, labelAt: sequence.tokenIds.map((_, at) => at), labels: sequence.tokenIds.map((_, at) => at) };
}

function wholeFeeds(weights: LanguageModelWeights, requests: readonly TextSequence[], parameters: Parameters): Record<string, RunTensor> {
  const { hiddenSize } = weights.config;
  // Any token at the place of [RET], whose row the graph puts there.
  const { length, embeds, positions } = padTokens(weights, requests.map(({ tokenIds }) => ({ tokenIds: [...tokenIds, 0] })));
  const labels = placeLabels(requests);
  return {
    text_embeds: embeds,
    position_ids: positions,
    mask: causalMask(length),
    ret_at: int64(requests.flatMap(({ tokenIds }, row) => [row, tokenIds.length]), [requests.length, 2]),
    label_at: labels.at,
    labels: labels.ids,
    ...feedsOf(parameters, ['ret_embedding']),
    'hidden_gradient.-1': float32(new Float32Array(requests.length * hiddenSize).fill(1e-3), [requests.length, hiddenSize]),
  };
}

async function growthOf(run: () => Promise<unknown>): Promise<number> {
  const before = await watchMemory().stop();
  const memory = watchMemory();
  await run();
  return Math.max(0, (await memory.stop()) - before);
}
