// The whole state of a run in one file that appears whole or not at all: parameters, moments, and where
// the run stands. Going on from it gives the same numbers as never having stopped.
import { existsSync } from 'node:fs';
import { z } from 'zod';
import { FromageError } from '../errors.ts';
import { openSafetensors, type WritableTensor, writeSafetensors } from '../formats/index.ts';
import type { AdamWState } from './adamw.ts';
import type { Parameter, Parameters } from './parameters.ts';

const stateSchema = z.strictObject({
  /** Which part of the run: both losses, or the retrieval maps alone. */
  phase: z.enum(['joint', 'maps']),
  /** Steps taken in this phase. */
  step: z.number().int().nonnegative(),
  /** By stream, how many examples were drawn from each source. */
  drawn: z.record(z.string(), z.array(z.number().int().nonnegative())),
  bestScore: z.number().nullable(),
  /** In steps of the whole run. */
  bestStep: z.number().int().nullable(),
  validationsSinceBest: z.number().int().nonnegative(),
  /** The last step's validation was interrupted. */
  validationDue: z.boolean(),
  /** The text maps are those of hidden states at mean 0 and variance 1. */
  scaledStates: z.boolean().default(false),
  finished: z.boolean(),
  seconds: z.number().nonnegative(),
});

export type RunState = z.output<typeof stateSchema>;

export interface Checkpoint {
  readonly parameters: Parameters;
  readonly optimizer: AdamWState;
  readonly state: RunState;
  /** `[V]` each, where features are normalised. */
  readonly featureMean?: Float32Array;
  readonly featureStd?: Float32Array;
}

export function writeCheckpoint(file: string, { parameters, optimizer, state, featureMean, featureStd }: Checkpoint): void {
  const tensors = new Map<string, WritableTensor>();
  for (const [name, { shape, data }] of parameters) tensors.set(`parameter.${name}`, { shape, data });
  for (const [name, { shape }] of parameters) {
    tensors.set(`first.${name}`, { shape, data: optimizer.first.get(name)! });
    tensors.set(`second.${name}`, { shape, data: optimizer.second.get(name)! });
  }
  if (featureMean && featureStd) {
    tensors.set('feature_mean', { shape: [featureMean.length], data: featureMean });
    tensors.set('feature_std', { shape: [featureStd.length], data: featureStd });
  }
  writeSafetensors(file, tensors, { state: JSON.stringify(state), optimizer_step: String(optimizer.step) });
}

/**
 * @returns null when there is none yet
 * @throws FromageError `TRAINING_CHECKPOINT` when it is damaged
 */
export function readCheckpoint(file: string): Checkpoint | null {
  if (!existsSync(file)) return null;
  const store = openSafetensors(file);
  try {
    const metadata = store.metadata as Readonly<Record<string, string | undefined>>;
    const state = stateSchema.safeParse(JSON.parse(metadata['state'] ?? 'null'));
    if (!state.success) throw new FromageError({ code: 'TRAINING_CHECKPOINT', what: `${file} does not say where the run stands`, todo: 'remove it to begin the run again' });
    const parameters = new Map<string, Parameter>();
    const optimizer: AdamWState = { step: Number(metadata['optimizer_step']), first: new Map(), second: new Map() };
    for (const [key, { shape }] of store.tensors) {
      const [kind = '', ...rest] = key.split('.');
      const name = rest.join('.');
      if (kind === 'parameter') parameters.set(name, { shape, data: store.readFloat32(key) });
      else if (kind === 'first') optimizer.first.set(name, store.readFloat32(key));
      else if (kind === 'second') optimizer.second.set(name, store.readFloat32(key));
    }
    const features = store.tensors.has('feature_mean') ? { featureMean: store.readFloat32('feature_mean'), featureStd: store.readFloat32('feature_std') } : {};
    return { parameters, optimizer, state: state.data, ...features };
  } catch (cause) {
    if (cause instanceof FromageError) throw cause;
    throw new FromageError({ code: 'TRAINING_CHECKPOINT', what: `${file} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`, todo: 'remove it to begin the run again', cause });
  } finally {
    store.close();
  }
}
