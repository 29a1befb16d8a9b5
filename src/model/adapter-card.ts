// `adapter.json`, what an adapter folder says of itself beside its tensors: between which frozen models it
// stands, how it was made, what it came from.
import { z } from 'zod';
import { FromageError } from '../errors.ts';

const frozenModel = z.looseObject({ id: z.string(), hash: z.string().optional() });

const cardSchema = z.looseObject({
  format: z.literal('fromage-adapter'),
  version: z.literal(1),
  visualTokens: z.number().int().positive().max(1024),
  retrievalDim: z.number().int().positive().max(65_536),
  textLayers: z.array(z.number().int()).min(1),
  retTokenId: z.number().int().nonnegative(),
  languageModel: frozenModel.optional(),
  visionEncoder: frozenModel.optional(),
  promptStyle: z.enum(['qa', 'chat', 'plain']).optional(),
  /** Factor on the odds of [RET] in conversations, where training asked for pictures more often than people do. */
  retOdds: z.number().positive().optional(),
  /** Hash of the adapter that training began with. */
  parent: z.string().nullable().optional(),
  data: z.unknown().optional(),
  metrics: z.record(z.string(), z.unknown()).optional(),
});

export type AdapterCard = z.infer<typeof cardSchema>;

/** @throws FromageError `ADAPTER_FILE` naming the entry that is wrong */
export function parseAdapterCard(value: unknown, file: string): AdapterCard {
  const result = cardSchema.safeParse(value);
  if (result.success) return result.data;
  throw new FromageError({ code: 'ADAPTER_FILE', what: `${file} does not describe an adapter`, why: z.prettifyError(result.error).slice(0, 300), todo: 'take the folder as it was written' });
}

const modelArgsSchema = z.looseObject({
  opt_version: z.string(),
  visual_encoder: z.string(),
  n_visual_tokens: z.number().int().positive().max(1024),
  shared_emb_dim: z.number().int().positive().max(65_536),
  text_emb_layers: z.array(z.number().int()).min(1),
  retrieval_token_idx: z.union([z.number().int().nonnegative(), z.tuple([z.number().int().nonnegative()]).transform(([id]) => id)]),
});

/** The authors' `model_args.json`. */
export type ModelArgs = z.infer<typeof modelArgsSchema>;

/** @throws FromageError `ADAPTER_FILE` naming the entry that is wrong */
export function parseModelArgs(value: unknown, file: string): ModelArgs {
  const result = modelArgsSchema.safeParse(value);
  if (result.success) return result.data;
  throw new FromageError({ code: 'ADAPTER_FILE', what: `${file} is not a model_args.json of FROMAGe`, why: z.prettifyError(result.error).slice(0, 300), todo: 'take the file that belongs to the checkpoint' });
}
