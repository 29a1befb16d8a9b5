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
  captioning: z.boolean().default(false),
  retrieval: z.boolean().default(true),
});
const talkSource = z.strictObject({
  kind: z.literal('talk'),
  /** JSON lines: {"user", "assistant"}. */
  file: z.string(),
  weight: z.number().positive().default(1),
});
export const dataSourceSchema = z.discriminatedUnion('kind', [captionsSource, namedSource, talkSource]);

const schedule = {
  lr: z.number().positive().default(3e-4),
  schedule: z.enum(['step', 'cosine', 'constant']).default('step'),
  warmupSteps: z.number().int().nonnegative().default(100),
  /** Schedule `step`: steps between two reductions, and their factor. */
  scheduleStepSize: whole.default(20_000),
  scheduleGamma: z.number().positive().default(0.1),
  /** Schedule `cosine`: what is left of the rate at the end. */
  scheduleFloor: fraction.default(0),
  betas: z.tuple([fraction, fraction]).default([0.9, 0.95]),
  eps: z.number().positive().default(1e-8),
  weightDecay: z.number().nonnegative().default(0),
  /** 0 does not clip. */
  clipNorm: z.number().nonnegative().default(1),
};

/** A second part of the run: the retrieval maps alone, on hidden states that are computed once. */
const retrievalMapsSchema = z.strictObject({
  steps: whole,
  batchSize: whole.default(1024),
  ...schedule,
  lr: z.number().positive().default(1e-3),
  schedule: z.enum(['step', 'cosine', 'constant']).default('cosine'),
  weightDecay: z.number().nonnegative().default(0.3),
  /** Of pooled features and hidden states. */
  dropout: fraction.default(0.3),
  /** Texts per example that are computed once: other words around the same caption. */
  formsPerExample: whole.default(1),
  /** At most this many texts of each source. */
  textsPerSource: whole.default(20_000),
});

export const trainConfigSchema = z.strictObject({
  /** Run folder: config, metrics, plots, checkpoints, the adapters that come out. */
  run: z.string().min(1),
  /** Preset or folder whose frozen models are used. */
  model: z.string().default('starter'),
  lm: z.string().optional(),
  vision: z.string().optional(),
  /** Adapter folder to start from; new maps when absent. */
  from: z.string().optional(),
  /** Converted weights and pooled features; may be thrown away. */
  cacheDir: z.string().default('.fromage'),
  threads: whole.optional(),
  seed: z.number().int().nonnegative().default(0),

  data: z.array(dataSourceSchema).default([]),
  /** Held-out pairs; pictures of the data itself are held out when only `count` is given. */
  validation: z
    .strictObject({ tsv: z.string().optional(), images: z.string().optional(), count: z.number().int().nonnegative().default(1000), captions: z.number().int().nonnegative().default(128) })
    .prefault({}),

  /** `plain`: the paper's bare captions. `chat`: questions and requests in the model's chat template. */
  form: z.enum(['plain', 'chat']).default('plain'),
  questions: z.array(z.string()).min(1).optional(),
  /** `{}` stands for the caption. */
  requests: z.array(z.string().includes('{}')).min(1).optional(),
  /** "A dog runs ." -> "A dog runs." */
  tidyCaptions: z.boolean().default(false),
  maxLength: whole.default(24),
  visualTokens: whole.default(1),
  retrievalDim: whole.default(256),
  textLayers: z.array(z.number().int()).min(1).default([-1]),
  /** Pooled features are brought to mean 0 and variance 1 first; folded into the maps afterwards. */
  normalizeFeatures: z.boolean().default(false),

  steps: whole.default(18_000),
  batchSize: whole.default(180),
  /** Pairs for InfoNCE in a step; as many as captions, and the same ones, when absent. */
  retrievalBatchSize: whole.optional(),
  /** Sequences of one run through the language model: bounds memory. */
  microBatch: whole.default(16),
  concatProbability: fraction.default(0.5),
  captionLossScale: z.number().nonnegative().default(1),
  retrievalLossScale: z.number().nonnegative().default(1),
  /** Texts of one picture in one batch do not count as each other's negatives. */
  maskSamePicture: z.boolean().default(true),
  rescaleRet: z.boolean().default(true),
  ...schedule,
  retrievalMaps: retrievalMapsSchema.optional(),

  validateEvery: whole.default(2000),
  /** Validations without a better score before the run ends; 0 never ends early. */
  patience: z.number().int().nonnegative().default(0),
  /** What the best checkpoint is chosen by: recall@1 both ways (the reference's), recall@10 both ways, or caption loss. */
  bestBy: z.enum(['recall1', 'recall10', 'captionLoss']).default('recall1'),
  checkpointEvery: whole.default(100),
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
