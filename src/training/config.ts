// Everything a training run may be told, with the paper's recipe as the default. One schema for the
// command line, the run folder and the learning loop.
import { z } from 'zod';
import { FromageError } from '../errors.ts';

const whole = z.number().int().positive();
const fraction = z.number().min(0).max(1);

const captionsSource = z.strictObject({
  kind: z.literal('captions'),
  /** TSV with the header caption<TAB>image. */
  tsv: z.string(),
  /** Folder or tar archive of the pictures. */
  images: z.string(),
  weight: z.number().positive().default(1),
  captioning: z.boolean().default(true),
  retrieval: z.boolean().default(true),
});
const namedSource = z.strictObject({
  kind: z.literal('named'),
  /** JSON: a list of {"file", "name", "keywords"?}. */
  names: z.string(),
  images: z.string(),
  weight: z.number().positive().default(1),
  /** While the retrieval maps alone are trained; `weight` when absent. */
  mapsWeight: z.number().positive().optional(),
  /** Texts per example then; `formsPerExample` when absent. */
  mapsForms: whole.optional(),
  captioning: z.boolean().default(false),
  retrieval: z.boolean().default(true),
});
const talkSource = z.strictObject({
  kind: z.literal('talk'),
  /** JSON lines: {"user", "assistant", "before"?}. `[RET]` among the answers of `before` is the picture of the line's name. */
  file: z.string(),
  /** What `{}` in a line stands for: JSON as of `named`. */
  names: z.string().optional(),
  /** Folder or tar archive of the names' pictures. */
  images: z.string().optional(),
  weight: z.number().positive().default(1),
});
export const dataSourceSchema = z.discriminatedUnion('kind', [captionsSource, namedSource, talkSource]);

const schedule = {
  lr: z.number().positive().default(3e-4).describe('learning rate of AdamW'),
  schedule: z.enum(['step', 'cosine', 'constant']).default('step').describe('how the rate falls'),
  warmupSteps: z.number().int().nonnegative().default(100).describe('steps until the rate is reached'),
  scheduleStepSize: whole.default(20_000).describe('schedule step: steps between two reductions'),
  scheduleGamma: z.number().positive().default(0.1).describe('schedule step: factor of a reduction'),
  scheduleFloor: fraction.default(0).describe('schedule cosine: what is left of the rate at the end'),
  betas: z.tuple([fraction, fraction]).default([0.9, 0.95]).describe('of AdamW'),
  eps: z.number().positive().default(1e-8).describe('of AdamW'),
  weightDecay: z.number().nonnegative().default(0).describe('of AdamW, on matrices'),
  clipNorm: z.number().nonnegative().default(1).describe('largest norm of all gradients together; 0 does not clip'),
};

/** A second part of the run: the retrieval maps alone, on hidden states that are computed once. */
const retrievalMapsSchema = z.strictObject({
  steps: whole.describe('steps of the retrieval maps alone, on hidden states that are computed once'),
  batchSize: whole.default(1024).describe('pairs in a step'),
  ...schedule,
  lr: z.number().positive().default(1e-3).describe('learning rate of AdamW'),
  schedule: z.enum(['step', 'cosine', 'constant']).default('cosine').describe('how the rate falls'),
  weightDecay: z.number().nonnegative().default(0.3).describe('of AdamW, on matrices'),
  dropout: fraction.default(0.3).describe('of hidden states, and of pooled features where nothing else is said'),
  pictureDropout: fraction.optional().describe('of pooled features'),
  formsPerExample: whole.default(1).describe('texts per example that are computed once: other words around the same caption'),
  textsPerSource: whole.default(20_000).describe('at most this many texts of each source'),
  followUpsPerSource: z.number().int().nonnegative().default(0).describe('texts of each source beside those that come after a request and its picture; form chat'),
});

/** Descriptions become the help of the command line. */
export const trainConfigSchema = z.strictObject({
  run: z.string().min(1).describe('run folder: config, metrics, plots, checkpoints, the adapters that come out'),
  model: z.string().default('starter').describe('preset or folder whose frozen models are used'),
  lm: z.string().optional().describe('another language model: folder or GGUF file'),
  vision: z.string().optional().describe('another visual encoder: folder or file'),
  from: z.string().optional().describe('adapter folder to start from; new maps when absent'),
  cacheDir: z.string().default('.fromage').describe('converted weights and pooled features; may be thrown away'),
  threads: whole.optional().describe('threads of the model'),
  seed: z.number().int().nonnegative().default(0).describe('of everything that is random'),

  data: z.array(dataSourceSchema).default([]),
  dataTerms: z.string().optional().describe('terms of the data, for the adapter’s card'),
  validation: z
    .strictObject({ tsv: z.string().optional().describe('held-out captions (caption<TAB>image); pictures of the data are held out when absent'), images: z.string().optional().describe('their folder or tar archive'), count: z.number().int().nonnegative().default(1000).describe('held-out pairs for recall'), captions: z.number().int().nonnegative().default(128).describe('held-out pairs for the caption loss') })
    .prefault({}),

  form: z.enum(['plain', 'chat']).default('plain').describe('plain: the paper’s bare captions. chat: questions and requests in the model’s chat template'),
  questions: z.array(z.string()).min(1).optional().describe('form chat: what is asked about a picture'),
  requests: z.array(z.string().includes('{}')).min(1).optional().describe('form chat: how a picture is asked for; {} stands for the caption'),
  tidyCaptions: z.boolean().default(false).describe('"A dog runs ." -> "A dog runs."'),
  maxLength: whole.default(24).describe('tokens of a caption'),
  visualTokens: whole.default(1).describe('the paper’s k'),
  retrievalDim: whole.default(256).describe('width of the retrieval space'),
  textLayers: z.array(z.number().int()).min(1).default([-1]).describe('hidden layers that text is read from'),
  warmStart: z.boolean().default(false).describe('visual tokens start near the embeddings of the words that captions say of a picture, not at random'),
  normalizeFeatures: z.boolean().default(false).describe('pooled features are brought to mean 0 and variance 1 first; folded into the maps afterwards'),

  steps: whole.default(18_000).describe('optimiser steps with both losses'),
  batchSize: whole.default(180).describe('examples in a step'),
  retrievalBatchSize: whole.optional().describe('pairs for InfoNCE in a step; as many as captions, and the same ones, when absent'),
  microBatch: whole.default(16).describe('sequences of one run through the language model: bounds memory'),
  recomputeLayers: z.number().int().nonnegative().default(0).describe('layers of the language model between two kept states; what lies between is computed again for the gradients: less memory, more time. 0 keeps everything'),
  concatProbability: fraction.default(0.5).describe('form plain: how often a batch is joined in pairs'),
  captionLossScale: z.number().nonnegative().default(1).describe('weight of the captioning loss'),
  retrievalLossScale: z.number().nonnegative().default(1).describe('weight of the retrieval losses'),
  maskSamePicture: z.boolean().default(true).describe('texts of one picture in one batch do not count as each other’s negatives'),
  retLrScale: z.number().positive().default(1).describe('learning rate of the [RET] row, as a multiple of the others’'),
  rescaleRet: z.boolean().default(true).describe('hold the [RET] row at the mean norm of the frozen rows'),
  ...schedule,
  retrievalMaps: retrievalMapsSchema.optional(),

  validateEvery: whole.default(2000).describe('steps between two validations'),
  patience: z.number().int().nonnegative().default(0).describe('validations without a better score before the run ends; 0 never ends early'),
  retOdds: z.number().positive().optional().describe('factor on the odds of [RET] in conversations, kept in the adapter: training asks for pictures more often than people do; that of --from when absent'),
  bestBy: z.enum(['recall1', 'recall10', 'meanRecall', 'captionLoss']).default('recall1').describe('what the best checkpoint is chosen by: recall@1 both ways (the reference’s), recall@10 both ways, the mean of recall@1, 5 and 10 both ways, or caption loss'),
  checkpointEvery: whole.default(100).describe('steps between two checkpoints'),
});

/** What may be written; everything but `run` has a default. */
export type TrainInput = z.input<typeof trainConfigSchema>;
export type TrainConfig = z.output<typeof trainConfigSchema>;
export type DataSource = z.output<typeof dataSourceSchema>;
export type RetrievalMapsConfig = z.output<typeof retrievalMapsSchema>;

/** @throws FromageError `TRAINING_CONFIG` naming each entry that is wrong */
export function parseTrainConfig(value: unknown): TrainConfig {
  const result = trainConfigSchema.safeParse(value);
  if (result.success) return result.data;
  throw new FromageError({ code: 'TRAINING_CONFIG', what: 'the training configuration is not valid', why: z.prettifyError(result.error).slice(0, 500), todo: '"fromage train --help" lists what may be set' });
}
