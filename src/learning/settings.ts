// What an operator may set about learning: thresholds, the gate, the schedule, what Discord may give. The
// composition root hands in a part of it; the rest has defaults.
import { z } from 'zod';
import { FromageError } from '../errors.ts';
import { dataSourceSchema } from '../training/contracts.ts';

const whole = z.number().int().nonnegative();
const fraction = z.number().min(0).max(1);

export const learningSettingsSchema = z.strictObject({
  /** Discord's developer policy, rule 21: message text never enters, whatever stands here. */
  discord: z
    .strictObject({
      captions: z.boolean().default(false).describe('captions that Discord users gave to /learn, with their pictures'),
      votes: z.boolean().default(false).describe('votes of Discord users on gallery pictures'),
    })
    .prefault({}),
  minNewExamples: whole.default(20).describe('examples that no run has seen yet, before a run starts'),
  minPeople: whole.default(3).describe('people that the examples come from'),
  minHeldOut: whole.default(3).describe('held-out examples that the gate can judge by'),
  heldOutShare: fraction.default(0.2).describe('share of the answers whose feedback is only judged by, never trained on'),
  personWeight: z.number().positive().default(10).describe('all examples of one person together weigh at most as much as this many'),
  replay: z
    .strictObject({
      pictures: whole.default(256).describe('gallery pictures with their captions that are trained along, against forgetting'),
      dev: whole.default(96).describe('gallery pictures that the gate looks for by their captions'),
      share: z.number().min(0).max(0.95).default(0.5).describe('share of replay in what is trained'),
      data: z.array(dataSourceSchema).default([]).describe('captioned pictures to replay beside the gallery’s'),
    })
    .prefault({}),
  gate: z
    .strictObject({
      minApprovalGain: z.number().default(0.02).describe('mean gain in approved answers on held-out feedback that a candidate must have'),
      approvalLoss: fraction.default(0.1).describe('what the lower end of that interval may lose'),
      recallLoss: fraction.default(0.05).describe('what the lower end of the interval of reciprocal ranks on the dev pictures may lose'),
      captionLoss: z.number().nonnegative().default(0.15).describe('what the upper end of the interval of caption loss may gain, in nats'),
    })
    .prefault({}),
  promote: z.enum(['auto', 'ask']).default('auto').describe('auto: a candidate that passes the gate serves at once. ask: an admin promotes it'),
  schedule: z
    .strictObject({ everyHours: z.number().nonnegative().default(0).describe('a run starts by itself this long after the last one when there are enough new examples; 0 never') })
    .prefault({}),
  /** Settings of `fromage train` that stand above the loop's own. */
  training: z.record(z.string(), z.unknown()).default({}).describe('settings of "fromage train" that stand above the loop’s own, e.g. training.steps'),
});

export type LearningSettings = z.output<typeof learningSettingsSchema>;
export type LearningSettingsInput = z.input<typeof learningSettingsSchema>;

/** @throws FromageError `LEARNING_SETTINGS` naming each entry that is wrong */
export function parseLearningSettings(value: unknown): LearningSettings {
  const result = learningSettingsSchema.safeParse(value ?? {});
  if (result.success) return result.data;
  throw new FromageError({ code: 'LEARNING_SETTINGS', what: 'the settings of learning are not valid', why: z.prettifyError(result.error).slice(0, 500), todo: 'mend them; every one of them has a default' });
}
