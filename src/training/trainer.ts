// A whole run: pictures, both losses, the retrieval maps alone, validation, checkpoints, and the adapter
// in the end. Stopped at any moment, it goes on where its last checkpoint stands.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createAdapter, foldNormalization, saveAdapter } from '../model/index.ts';
import { FromageError } from '../errors.ts';
import { createAdamW } from './adamw.ts';
import { adapterReadme, describeData, describeTraining } from './adapter-readme.ts';
import { type Checkpoint, readCheckpoint, type RunState, writeCheckpoint } from './checkpoint.ts';
import { parseTrainConfig, type TrainConfig, type TrainInput } from './config.ts';
import type { ExampleSource } from './examples.ts';
import { adapterTensors, type Parameters, parameterOf } from './parameters.ts';
import { type FeatureScale, foldScaleInto, foldScaleOutOf } from './feature-scale.ts';
import { createRandom } from './random.ts';
import { poolsOf, prepareRetStates, retrievalMapsStep } from './retrieval-maps.ts';
import { RunFolder } from './run-folder.ts';
import { Sampler } from './sampler.ts';
import { learningRate } from './schedule.ts';
import { openSetting, type Setting } from './setting.ts';
import { computeGradients, updateParameters } from './training-step.ts';
import { scoreOf, validate, type ValidationResult } from './validation.ts';

export type TrainProgress =
  | { readonly stage: 'pictures' | 'states'; readonly done: number; readonly total: number }
  | {
      readonly stage: 'joint' | 'maps';
      /** Steps of the whole run. */
      readonly done: number;
      readonly total: number;
      /** Last step's losses by part; NaN where it had none. */
      readonly captioning: number;
      readonly retrieval: number;
      readonly infoNce: number;
      readonly examplesPerSecond: number;
      readonly etaSeconds: number;
    }
  | { readonly stage: 'validation'; readonly result: ValidationResult; readonly score: number; readonly best: boolean };

export interface TrainOptions {
  readonly onProgress?: (progress: TrainProgress) => void;
  /** Stops after the step under way and saves a checkpoint. */
  readonly signal?: AbortSignal;
  /** Examples beside those that the configuration names. */
  readonly sources?: readonly ExampleSource[];
  /** Encoder outputs `[V]` of their pictures whose `images` is empty, by name. */
  readonly features?: ReadonlyMap<string, Float32Array>;
}

export interface TrainResult {
  readonly status: 'finished' | 'stopped early' | 'interrupted';
  /** Folder of the adapter; null when interrupted. */
  readonly adapter: string | null;
  /** Steps of the whole run. */
  readonly steps: number;
  readonly best: { readonly step: number; readonly score: number } | null;
  readonly skippedRows: number;
  readonly unreadablePictures: number;
  /** Time in training, over all resumptions. */
  readonly seconds: number;
}

/**
 * Trains an adapter in a run folder, or goes on with the run that is there.
 *
 * @throws FromageError `TRAINING_CONFIG`, `TRAINING_RESUME`, `TRAINING_DATA`, `TRAINING_IMAGES`,
 *   `TRAINING_CHECKPOINT`, `TRAINING_DIVERGED`, and those of the model's readers
 */
export async function train(input: TrainInput, options: TrainOptions = {}): Promise<TrainResult> {
  const config = parseTrainConfig(input);
  const folder = new RunFolder(config.run);
  folder.open(config);
  const known = readCheckpoint(folder.checkpoint);
  if (known?.state.finished && existsSync(join(folder.adapter, 'adapter.json'))) return resultOf(known.state, folder, config, null);
  let setting: Setting;
  try {
    setting = await openSetting(config, {
      ...(options.sources ? { sources: options.sources } : {}),
      ...(options.features ? { features: options.features } : {}),
      ...(options.signal ? { signal: options.signal } : {}),
      onPictures: (done, total) => options.onProgress?.({ stage: 'pictures', done, total }),
    });
  } catch (error) {
    if (!options.signal?.aborted) throw error;
    return { status: 'interrupted', adapter: null, steps: 0, best: null, skippedRows: 0, unreadablePictures: 0, seconds: 0 };
  }
  try {
    if (setting.unreadablePictures.length > 0) folder.writeText('unreadable-pictures.txt', `${setting.unreadablePictures.join('\n')}\n`);
    return await new Run(setting, folder, known, options).go();
  } finally {
    await setting.close();
  }
}

const freshState: RunState = { phase: 'joint', step: 0, drawn: {}, bestScore: null, bestStep: null, validationsSinceBest: 0, validationDue: false, scaledStates: false, finished: false, seconds: 0 };

class Run {
  readonly #setting: Setting;
  readonly #folder: RunFolder;
  readonly #options: TrainOptions;
  readonly #parameters: Parameters;
  /** By text layer, while the retrieval maps alone are trained. */
  #stateScales: ReadonlyMap<number, FeatureScale> = new Map();
  #optimizer: Checkpoint['optimizer'];
  #state: RunState;
  readonly #began = performance.now();
  /** Milliseconds of a step of this part, a running mean: one step alone says little on a busy machine. */
  #pace: { readonly stage: 'joint' | 'maps'; readonly milliseconds: number } | null = null;
  readonly #secondsBefore: number;

  constructor(setting: Setting, folder: RunFolder, known: Checkpoint | null, options: TrainOptions) {
    this.#setting = setting;
    this.#folder = folder;
    this.#options = options;
    const initial = setting.initial(known === null);
    // In the order of the initial ones: sums over parameters must not depend on the file's order.
    this.#parameters = known ? new Map([...initial.keys()].map((name) => [name, parameterOf(known.parameters, name)])) : initial;
    this.#optimizer = known?.optimizer ?? createAdamW(this.#parameters);
    this.#state = known?.state ?? freshState;
    this.#secondsBefore = this.#state.seconds;
    folder.truncateMetrics(this.#globalStep());
  }

  async go(): Promise<TrainResult> {
    const { config } = this.#setting;
    let stoppedEarly = false;
    if (this.#state.phase === 'joint') {
      stoppedEarly = await this.#joint();
      if (this.#aborted()) return this.#interrupted();
      if (config.retrievalMaps) {
        // The better of the joint part goes on; its moments do not.
        this.#takeBest();
        this.#state = { ...this.#state, phase: 'maps', step: 0, validationsSinceBest: 0, ...(config.bestBy === 'captionLoss' ? { bestScore: null, bestStep: null } : {}) };
        this.#optimizer = createAdamW(this.#parameters);
        this.#save();
      }
    }
    if (this.#state.phase === 'maps') {
      stoppedEarly = await this.#maps();
      if (this.#aborted()) return this.#interrupted();
    }
    return this.#finish(stoppedEarly);
  }

  /** @returns whether it ended before its last step */
  async #joint(): Promise<boolean> {
    const { config, sources, model, contrastive, form, retNorm } = this.#setting;
    const both = config.retrievalBatchSize === undefined;
    const stream = (name: string, wanted: (source: ExampleSource) => boolean) => new Sampler(name, sources.filter(wanted), config.seed, this.#state.drawn[name]);
    const captions = stream('captions', (source) => both || source.captioning);
    const texts = both ? null : stream('texts', (source) => source.retrieval);
    const schedule = { kind: config.schedule, lr: config.lr, warmupSteps: config.warmupSteps, stepSize: config.scheduleStepSize, gamma: config.scheduleGamma, floor: config.scheduleFloor };
    if (await this.#catchUp()) return true;
    while (this.#state.step < config.steps && !this.#aborted()) {
      const { step } = this.#state;
      const started = performance.now();
      const drawn = captions.take(config.batchSize);
      const batch = form.batch({ captions: drawn.filter(({ source }) => source.captioning), texts: texts ? texts.take(config.retrievalBatchSize ?? 0) : drawn.filter(({ source }) => source.retrieval) }, createRandom(config.seed, `step/${step}`));
      const { losses, gradients } = await computeGradients({ model, contrastive }, batch, this.#parameters, { captionScale: config.captionLossScale, retrievalScale: config.retrievalLossScale, microBatch: config.microBatch });
      this.#checkFinite(losses.total, gradients);
      const lr = learningRate(schedule, step, config.steps);
      const norm = updateParameters(this.#parameters, gradients, this.#optimizer, lr, { betas: config.betas, eps: config.eps, weightDecay: config.weightDecay, lrScales: { ret_embedding: config.retLrScale }, clipNorm: config.clipNorm, retNorm: config.rescaleRet ? retNorm : null });
      const examples = drawn.length + (texts ? (config.retrievalBatchSize ?? 0) : 0);
      this.#state = { ...this.#state, step: step + 1, drawn: { captions: [...captions.drawn], ...(texts ? { texts: [...texts.drawn] } : {}) } };
      this.#report('joint', { captioning: losses.captioning, retrieval: losses.retrieval, textToImage: losses.textToImage, imageToText: losses.imageToText }, losses.total, norm, lr, examples, performance.now() - started);
      if (await this.#afterStep(config.steps)) return true;
    }
    return false;
  }

  async #maps(): Promise<boolean> {
    const maps = this.#setting.config.retrievalMaps;
    if (!maps) return false;
    let states;
    try {
      states = await prepareRetStates(this.#setting, this.#parameters, {
        file: this.#folder.retStates,
        maps,
        ...(this.#options.signal ? { signal: this.#options.signal } : {}),
        onProgress: (done, total) => this.#options.onProgress?.({ stage: 'states', done, total }),
      });
    } catch (error) {
      if (this.#aborted()) return false;
      throw error;
    }
    this.#stateScales = states.scales;
    if (!this.#state.scaledStates) {
      if (this.#setting.config.from === undefined) this.#beginMapsAnew();
      else this.#eachTextMap(this.#parameters, foldScaleInto);
      this.#state = { ...this.#state, scaledStates: true };
    }
    const pools = poolsOf(this.#setting, states);
    if (await this.#catchUp()) return true;
    while (this.#state.step < maps.steps && !this.#aborted()) {
      const { step } = this.#state;
      const started = performance.now();
      const { result, norm, lr } = await retrievalMapsStep(this.#setting, states, maps, this.#parameters, this.#optimizer, step, pools);
      const loss = (result.textToImage + result.imageToText) / 2;
      this.#checkFinite(loss, new Map());
      this.#state = { ...this.#state, step: step + 1 };
      this.#report('maps', { captioning: Number.NaN, retrieval: Number.NaN, textToImage: result.textToImage, imageToText: result.imageToText }, loss, norm, lr, maps.batchSize, performance.now() - started);
      if (await this.#afterStep(maps.steps)) return true;
    }
    return false;
  }

  /** @returns whether the run shall end early */
  async #afterStep(last: number): Promise<boolean> {
    const { config, validation } = this.#setting;
    const { step } = this.#state;
    const due = (step % config.validateEvery === 0 || step === last) && validation.pairs.length > 0;
    if (due) this.#state = { ...this.#state, validationDue: true };
    const early = await this.#catchUp();
    if (step % config.checkpointEvery === 0 || step === last || early) this.#save();
    return early;
  }

  /** The validation that is due, also after a resumption. @returns whether the run shall end early */
  async #catchUp(): Promise<boolean> {
    const { patience } = this.#setting.config;
    if (this.#state.validationDue && !this.#aborted()) {
      try {
        await this.#validate();
      } catch (error) {
        if (!this.#aborted()) throw error;
      }
    }
    return patience > 0 && this.#state.validationsSinceBest >= patience;
  }

  async #validate(): Promise<void> {
    const { config, model, form, validation } = this.#setting;
    const result = await validate(model, form, validation, this.#parameters, createAdapter('', this.#tensors()), config.microBatch, this.#options.signal);
    // Captions do not change while the retrieval maps alone are trained.
    const score = scoreOf(result, this.#state.phase === 'maps' && config.bestBy === 'captionLoss' ? 'meanRecall' : config.bestBy);
    const best = this.#state.bestScore === null || score > this.#state.bestScore;
    const step = this.#globalStep();
    this.#state = { ...this.#state, validationDue: false, ...(best ? { bestScore: score, bestStep: step, validationsSinceBest: 0 } : { validationsSinceBest: this.#state.validationsSinceBest + 1 }) };
    if (best) writeCheckpoint(this.#folder.best, { ...this.#checkpoint(), parameters: this.#unscaled() });
    this.#folder.appendMetric({
      type: 'validation', step, score, captionLoss: finite(result.captionLoss), pairs: result.pairs,
      t2iRecallAt1: result.textToImage.recallAt1, t2iRecallAt5: result.textToImage.recallAt5, t2iRecallAt10: result.textToImage.recallAt10, t2iMedianRank: finite(result.textToImage.medianRank),
      i2tRecallAt1: result.imageToText.recallAt1, i2tRecallAt5: result.imageToText.recallAt5, i2tRecallAt10: result.imageToText.recallAt10, i2tMedianRank: finite(result.imageToText.medianRank),
    });
    this.#options.onProgress?.({ stage: 'validation', result, score, best });
  }

  #report(stage: 'joint' | 'maps', parts: { captioning: number; retrieval: number; textToImage: number; imageToText: number }, total: number, norm: number, lr: number, examples: number, milliseconds: number): void {
    const step = this.#globalStep();
    const rate = examples / (milliseconds / 1000);
    const logitScale = parameterOf(this.#parameters, 'logit_scale').data[0] ?? Number.NaN;
    this.#folder.appendMetric({ type: 'step', step, stage, captioning: finite(parts.captioning), retrieval: finite(parts.retrieval), textToImage: finite(parts.textToImage), imageToText: finite(parts.imageToText), loss: finite(total), gradientNorm: finite(norm), lr, logitScale, examplesPerSecond: rate });
    const steps = this.#setting.config.steps + (this.#setting.config.retrievalMaps?.steps ?? 0);
    const left = (stage === 'joint' ? this.#setting.config.steps : steps) - step;
    this.#pace = { stage, milliseconds: this.#pace?.stage === stage ? 0.9 * this.#pace.milliseconds + 0.1 * milliseconds : milliseconds };
    this.#options.onProgress?.({ stage, done: step, total: steps, captioning: parts.captioning, retrieval: parts.retrieval, infoNce: (parts.textToImage + parts.imageToText) / 2, examplesPerSecond: rate, etaSeconds: (left * this.#pace.milliseconds) / 1000 });
  }

  #finish(early: boolean): TrainResult {
    const { config, frozen } = this.#setting;
    this.#takeBest();
    this.#state = { ...this.#state, finished: true };
    this.#save();
    const validation = this.#folder.metrics().filter((line) => line['type'] === 'validation' && line['step'] === this.#state.bestStep).at(-1);
    const facts = {
      ...frozen,
      ...(config.form === 'chat' ? { promptStyle: 'chat' as const } : {}),
      ...(this.#setting.retOdds === 1 ? {} : { retOdds: this.#setting.retOdds }),
      data: describeData(config),
      metrics: { ...(validation ?? {}), steps: this.#globalStep(), seconds: Math.round(this.#seconds()) },
      training: describeTraining(config),
      made: new Date().toISOString(),
    };
    const card = saveAdapter(this.#folder.adapter, foldNormalization(this.#tensors()), facts);
    this.#folder.writeText('adapter/README.md', adapterReadme(card, facts));
    return { ...resultOf(this.#state, this.#folder, config, this.#setting), seconds: this.#seconds(), status: early ? 'stopped early' : 'finished' };
  }

  #interrupted(): TrainResult {
    this.#save();
    return { ...resultOf(this.#state, this.#folder, this.#setting.config, this.#setting), seconds: this.#seconds(), status: 'interrupted', adapter: null };
  }

  /** The parameters that did best on the held-out pairs, where there were any. */
  #takeBest(): void {
    const best = this.#state.bestStep === null ? null : readCheckpoint(this.#folder.best);
    const taken = best?.parameters ?? this.#unscaled();
    for (const [name, { data }] of this.#parameters) data.set(parameterOf(taken, name).data);
    this.#state = { ...this.#state, scaledStates: false };
  }

  /** What the joint part taught the retrieval maps, by small batches of raw states, is a worse start than none. */
  #beginMapsAnew(): void {
    for (const [name, { data }] of this.#setting.initial(false)) {
      if (/^(visual_fc|text_hidden_fcs|logit_scale)/.test(name)) parameterOf(this.#parameters, name).data.set(data);
    }
  }

  /** The parameters for hidden states as the language model gives them. */
  #unscaled(): Parameters {
    if (!this.#state.scaledStates) return this.#parameters;
    const copies = new Map([...this.#parameters].map(([name, { shape, data }]) => [name, { shape, data: data.slice() }]));
    this.#eachTextMap(copies, foldScaleOutOf);
    return copies;
  }

  #eachTextMap(parameters: Parameters, change: typeof foldScaleInto): void {
    this.#setting.facts.textLayers.forEach((layer, i) => change(parameters, this.#stateScales.get(layer)!, [`text_hidden_fcs.${i}`]));
  }

  #tensors() {
    const { scale, facts } = this.#setting;
    const tensors = adapterTensors(this.#unscaled(), facts);
    // Validation works on scaled features; only what leaves the run is folded.
    return scale && this.#state.finished ? { ...tensors, featureMean: scale.mean, featureStd: scale.std } : tensors;
  }

  #checkpoint(): Checkpoint {
    const { scale } = this.#setting;
    return { parameters: this.#parameters, optimizer: this.#optimizer, state: { ...this.#state, seconds: this.#seconds() }, ...(scale ? { featureMean: scale.mean, featureStd: scale.std } : {}) };
  }

  #save(): void {
    writeCheckpoint(this.#folder.checkpoint, this.#checkpoint());
    this.#folder.writePlots();
  }

  #checkFinite(loss: number, gradients: ReadonlyMap<string, Float32Array>): void {
    if (Number.isFinite(loss) && [...gradients.values()].every((values) => values.every(Number.isFinite))) return;
    throw diverged(this.#globalStep() + 1);
  }

  #globalStep(): number {
    return this.#state.step + (this.#state.phase === 'maps' ? this.#setting.config.steps : 0);
  }

  #seconds(): number {
    return this.#secondsBefore + (performance.now() - this.#began) / 1000;
  }

  #aborted(): boolean {
    return this.#options.signal?.aborted ?? false;
  }
}

function resultOf(state: RunState, folder: RunFolder, config: TrainConfig, setting: Setting | null): TrainResult {
  return {
    status: 'finished',
    adapter: folder.adapter,
    steps: state.step + (state.phase === 'maps' ? config.steps : 0),
    best: state.bestScore === null || state.bestStep === null ? null : { step: state.bestStep, score: state.bestScore },
    skippedRows: setting?.skippedRows ?? 0,
    unreadablePictures: setting?.unreadablePictures.length ?? 0,
    seconds: state.seconds,
  };
}

function finite(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}

function diverged(step: number): FromageError {
  return new FromageError({ code: 'TRAINING_DIVERGED', what: `step ${step} gave a loss or gradient that is not a finite number`, why: 'the learning rate is too high, or a picture has features that are not numbers', todo: 'lower the learning rate and begin a new run, or resume from the last checkpoint with other data' });
}
