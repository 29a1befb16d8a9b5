// Repeats the reference's optimiser steps on a golden folder, and a language model's input gradient, with
// the bars that training is held to.
import { readFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { z } from 'zod';
import { differentiate } from '../autodiff/index.ts';
import { openWeights } from '../formats/index.ts';
import { addLanguageModel, findSources, hiddenWidth, type LanguageModelWeights, loadVisionEncoder, openLanguageModelWeights, openTokenizerOf, readAdapterFolder } from '../model/index.ts';
import { GraphBuilder, toModelBytes } from '../onnx/graph/index.ts';
import { float32, int64, openSession } from '../onnx/run/index.ts';
import { withFromageTokens } from '../tokenizer/index.ts';
import { createAdamW } from './adamw.ts';
import { ContrastiveLoss } from './contrastive.ts';
import { FrozenModel } from './frozen-model.ts';
import { meanRowNorm } from './frozen-rows.ts';
import { parametersOf } from './parameters.ts';
import { captionIds, joinPairs, plainCaption, plainText } from './plain-form.ts';
import { causalMask } from './sequences.ts';
import { computeGradients, updateParameters } from './training-step.ts';

/** One part of a golden comparison; errors are in units of the bar of what they were measured on. */
export interface TrainingPart {
  readonly compared: number;
  readonly max_error: number;
  readonly tolerance: 1;
  readonly ok: boolean;
  readonly note?: string;
}

export interface CompareTrainingOptions {
  readonly threads?: number;
  readonly cacheDir?: string;
  /** As in training. */
  readonly recomputeLayers?: number;
}

const lossBar = 1e-4;
/** 99 % of a gradient's entries, and all of them: a ReLU at zero may fall either way. */
const gradientBars = { most: 1e-3, all: 1e-2 };
const parameterBars = { mean: 1e-5, all: 3e-3 };
/** By how much half-precision weights widen every bar: they were multiplied in half precision somewhere (1e-4 becomes 5e-3). */
const halfFactor = 50;
/** The expected numbers have six decimals. */
const rounding = 5e-7;

const numbers: z.ZodType<NestedNumbers> = z.lazy(() => z.union([z.number(), z.array(numbers)]));
type NestedNumbers = number | readonly NestedNumbers[];
const stepSchema = z.looseObject({
  concat_captions: z.boolean(),
  ce_captioning: z.number(),
  ce_retrieval: z.number(),
  logits_per_image: numbers,
  contrastive_t2i: z.number(),
  contrastive_i2t: z.number(),
  loss: z.number(),
  grad_norm: z.number(),
  grads: z.record(z.string(), numbers).optional(),
  ret_input_embedding_after: numbers.optional(),
  params_after: z.record(z.string(), numbers).optional(),
});
const trainingSchema = z.looseObject({
  captions: z.array(z.string()),
  image_files: z.array(z.string()),
  max_len: z.number().int(),
  tokens: z.array(z.array(z.number().int())),
  caption_len: z.array(z.number().int()),
  lr: z.number(),
  betas: z.tuple([z.number(), z.number()]),
  eps: z.number(),
  grad_clip: z.number(),
  steps: z.array(stepSchema),
});
const fromageSchema = z.looseObject({ training: trainingSchema, image_token_embedding: z.array(z.number()).optional() });
const llamaSchema = z.looseObject({ input_ids: z.array(z.array(z.number().int())), causal_lm_loss_both_rows: z.number(), input_embedding_gradient: numbers, gradient_scale: z.number() });

/**
 * Compares losses, contrastive logits, gradients, norms, [RET] rows and parameters of a fromage folder, or
 * loss and input gradient of a llama folder.
 *
 * @param expected the folder's parsed expected.json
 */
export async function compareTraining(folder: string, expected: Readonly<Record<string, unknown>>, options: CompareTrainingOptions = {}): Promise<TrainingPart> {
  const temporary = options.cacheDir === undefined ? mkdtempSync(join(tmpdir(), 'fromage-training-')) : null;
  const cacheDir = options.cacheDir ?? temporary ?? '';
  const account = new Account();
  try {
    if ('training' in expected) await compareSteps(folder, fromageSchema.parse(expected), account, cacheDir, options);
    else await compareInputGradient(folder, llamaSchema.parse(expected), account, cacheDir, options.threads);
  } finally {
    if (temporary !== null) rmSync(temporary, { recursive: true, force: true });
  }
  return account.result();
}

async function compareSteps(folder: string, expected: z.infer<typeof fromageSchema>, account: Account, cacheDir: string, { threads, recomputeLayers = 0 }: CompareTrainingOptions): Promise<void> {
  const { training } = expected;
  const run = threads === undefined ? {} : { threads };
  const sources = await findSources({ model: folder, cacheDir });
  const { tensors } = readAdapterFolder(sources.adapter);
  const tokenizer = withFromageTokens(openTokenizerOf(sources.languageModel), tensors.retTokenId);
  if (isHalf(sources.languageModel) || isHalf(sources.visionEncoder)) account.relax(halfFactor);
  const weights = await openLanguageModelWeights({ source: sources.languageModel, weights: 'fp32', cacheDir });
  const addedRows = Float32Array.from(tokenizer.imageTokenId === null || tensors.retTokenId <= weights.config.vocabSize ? [] : (expected.image_token_embedding ?? []));
  const pooled = await pooledPictures(sources.visionEncoder, training.image_files.map((file) => join(folder, 'images', basename(file))), run);
  const visionHiddenSize = tensors.visualFc.inputs;
  const model = new FrozenModel({ weights, visionHiddenSize, visualTokens: tensors.visualTokens, textLayers: tensors.textLayers, retTokenId: tensors.retTokenId, addedRows, recomputeLayers, ...run });
  const textWidths = tensors.textLayers.map((layer) => hiddenWidth(weights.config, layer));
  const contrastive = new ContrastiveLoss({ visionHiddenSize, retrievalDim: tensors.visualFc.outputs, textLayers: tensors.textLayers, textWidths }, threads);
  try {
    const ids = training.captions.map((caption) => captionIds(tokenizer, caption, training.max_len));
    ids.forEach((row, i) => account.equal(`tokens.${i}`, training.tokens[i]!.slice(0, training.caption_len[i]), row));
    const parameters = parametersOf(tensors);
    const state = createAdamW(parameters);
    const retNorm = meanRowNorm(weights, Math.min(weights.config.vocabSize, tensors.retTokenId), addedRows);
    for (const [i, step] of training.steps.entries()) {
      const at = `steps.${i}`;
      const captions = ids.map((row, p) => plainCaption(row, pooled[p]!, tensors.visualTokens));
      const batch = { captions: step.concat_captions ? joinPairs(captions) : captions, texts: ids.map((row, p) => plainText(row, pooled[p]!, String(p))) };
      const { losses, gradients, contrastive: contrast } = await computeGradients({ model, contrastive }, batch, parameters, { captionScale: 1, retrievalScale: 1, microBatch: 64 });
      account.relative(`${at}.ce_captioning`, [step.ce_captioning], [losses.captioning]);
      account.relative(`${at}.ce_retrieval`, [step.ce_retrieval], [losses.retrieval]);
      account.relative(`${at}.contrastive_t2i`, [step.contrastive_t2i], [losses.textToImage]);
      account.relative(`${at}.contrastive_i2t`, [step.contrastive_i2t], [losses.imageToText]);
      account.relative(`${at}.loss`, [step.loss], [losses.total]);
      account.relative(`${at}.logits_per_image`, flatten(step.logits_per_image), contrast!.logitsPerImage);
      for (const [name, gradient] of Object.entries(step.grads ?? {})) account.gradient(`${at}.grads.${name}`, flatten(gradient), gradients.get(ourName(name)));
      const norm = updateParameters(parameters, gradients, state, training.lr, { betas: training.betas, eps: training.eps, weightDecay: 0, clipNorm: training.grad_clip, retNorm });
      account.relative(`${at}.grad_norm`, [step.grad_norm], [norm]);
      if (step.ret_input_embedding_after) account.parameter(`${at}.ret_input_embedding_after`, flatten(step.ret_input_embedding_after), parameters.get('ret_embedding')?.data);
      for (const [name, values] of Object.entries(step.params_after ?? {})) account.parameter(`${at}.params_after.${name}`, flatten(values), parameters.get(ourName(name))?.data);
    }
  } finally {
    await model.close();
    await contrastive.close();
    weights.close();
  }
}

/** The authors' names beside ours: `text_hidden_fcs.0.0.weight`, `ret_input_embedding`. */
function ourName(name: string): string {
  return name === 'ret_input_embedding' ? 'ret_embedding' : name.replace(/^text_hidden_fcs\.(\d+)\.0\./, 'text_hidden_fcs.$1.');
}

async function pooledPictures(source: string, files: readonly string[], run: { readonly threads?: number }): Promise<Float32Array[]> {
  const encoder = await loadVisionEncoder({ source, ...run });
  try {
    const pooled: Float32Array[] = [];
    for (const file of files) pooled.push(await encoder.encode(await encoder.preprocess(readFileSync(file)), 1));
    return pooled;
  } finally {
    await encoder.close();
  }
}

async function compareInputGradient(folder: string, expected: z.infer<typeof llamaSchema>, account: Account, cacheDir: string, threads: number | undefined): Promise<void> {
  const weights = await openLanguageModelWeights({ source: folder, weights: 'fp32', cacheDir });
  const rows = expected.input_ids.length;
  const length = expected.input_ids[0]!.length;
  const session = await openSession(toModelBytes(causalLossGraph(weights)), threads === undefined ? {} : { threads });
  try {
    const result = await session.run({
      inputs_embeds: float32(weights.embed(expected.input_ids.flat()), [rows, length, weights.config.embedSize]),
      position_ids: int64(expected.input_ids.flatMap((row) => [...row.keys()]), [rows, length]),
      mask: causalMask(length),
      label_at: int64(expected.input_ids.flatMap((row, r) => row.slice(1).flatMap((_, i) => [r, i])), [rows * (length - 1), 2]),
      labels: int64(expected.input_ids.flatMap((row) => row.slice(1)), [rows * (length - 1), 1]),
    });
    account.relative('causal_lm_loss_both_rows', [expected.causal_lm_loss_both_rows], result['loss']!.data as Float32Array);
    const gradient = (result['gradient/inputs_embeds']!.data as Float32Array).map((value) => value * expected.gradient_scale);
    account.gradient('input_embedding_gradient', flatten(expected.input_embedding_gradient), gradient);
  } finally {
    await session.close();
    weights.close();
  }
}

/** Mean next-token cross entropy and its gradient with respect to the input embeddings. */
function causalLossGraph(weights: LanguageModelWeights) {
  const graph = new GraphBuilder('causal-loss');
  const embeds = graph.input('inputs_embeds', 'float32', ['B', 'S', weights.config.embedSize]);
  const model = addLanguageModel(graph, weights, { embeds, positions: graph.input('position_ids', 'int64', ['B', 'S']), mask: graph.input('mask', 'float32', [1, 1, 'S', 'S']) });
  const read = graph.op('GatherND', [model.final, graph.input('label_at', 'int64', ['M', 2])]);
  const logits = graph.op('FusedMatMul', [read, model.head], { transB: 1 }, { domain: 'com.microsoft' });
  const chosen = graph.op('GatherElements', [graph.op('LogSoftmax', [logits], { axis: -1 }), graph.input('labels', 'int64', ['M', 1])], { axis: 1 });
  graph.output(graph.op('Neg', [graph.op('ReduceMean', [chosen], { keepdims: 0 })]), 'loss', 'float32', []);
  return differentiate(graph.build(), { of: 'loss', wrt: ['inputs_embeds'] });
}

class Account {
  #compared = 0;
  #width = 1;
  #worst = 0;
  #note: string | undefined;

  /** Relative to the largest expected entry. */
  relative(name: string, expected: readonly number[], actual: ArrayLike<number>): void {
    const errors = this.#errors(name, expected, actual);
    const largest = Math.max(...expected.map(Math.abs)) || 1;
    this.#record(name, Math.max(...errors) / largest / lossBar);
  }

  gradient(name: string, expected: readonly number[], actual: ArrayLike<number> | undefined): void {
    const errors = this.#errors(name, expected, actual ?? []);
    const largest = Math.max(...expected.map(Math.abs)) || 1;
    const sorted = errors.map((error) => error / largest).sort((a, b) => a - b);
    this.#record(name, sorted.at(-1)! / gradientBars.all);
    this.#record(`${name} (99 %)`, sorted[Math.ceil(sorted.length * 0.99) - 1]! / gradientBars.most);
  }

  parameter(name: string, expected: readonly number[], actual: ArrayLike<number> | undefined): void {
    const errors = this.#errors(name, expected, actual ?? []);
    this.#record(name, Math.max(...errors) / parameterBars.all);
    this.#record(`${name} (mean)`, errors.reduce((sum, error) => sum + error, 0) / errors.length / parameterBars.mean);
  }

  equal(name: string, expected: readonly number[], actual: readonly number[]): void {
    this.#compared += expected.length;
    if (expected.length !== actual.length || expected.some((value, i) => value !== actual[i])) this.#record(name, Number.MAX_VALUE);
  }

  result(): TrainingPart {
    const ok = this.#note === undefined && this.#compared > 0;
    return { compared: this.#compared, max_error: this.#worst, tolerance: 1, ok, ...(ok ? {} : { note: this.#note ?? 'nothing was compared' }) };
  }

  #errors(name: string, expected: readonly number[], actual: ArrayLike<number>): number[] {
    this.#compared += expected.length;
    if (expected.length !== actual.length || expected.length === 0) {
      this.#record(`${name}: ${actual.length} numbers for ${expected.length}`, Number.MAX_VALUE);
      return [Number.MAX_VALUE];
    }
    return expected.map((value, i) => {
      const error = Math.abs(actual[i]! - value);
      return Number.isFinite(error) ? Math.max(0, error - rounding) : Number.MAX_VALUE;
    });
  }

  /** Every bar is this many times as wide from now on. */
  relax(factor: number): void {
    this.#width = factor;
  }

  #record(name: string, found: number): void {
    const inBars = found === Number.MAX_VALUE ? found : found / this.#width;
    this.#worst = Math.max(this.#worst, inBars);
    if (inBars > 1) this.#note ??= `${name} is off by ${inBars.toPrecision(3)} times its bar`;
  }
}

function isHalf(source: string): boolean {
  const store = openWeights(source);
  try {
    return [...store.tensors.values()].some(({ dtype }) => dtype === 'F16' || dtype === 'BF16');
  } finally {
    store.close();
  }
}

function flatten(value: NestedNumbers): number[] {
  return typeof value === 'number' ? [value] : value.flatMap(flatten);
}
