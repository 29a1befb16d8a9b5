// The policy of one step as pure arithmetic: who is admitted, who decodes, whose prompt is read on and by
// how many tokens. Decoding comes first; prompts get what is left of the budget, so that a long prompt
// never makes those who are talking wait for more than one chunk.

export interface SchedulerLimits {
  /** Sequences that hold a slot at once. */
  readonly maxRows: number;
  /** New positions in a step while somebody decodes. */
  readonly busyTokens: number;
  /** New positions in a step while nobody does; bounds how late a cancel is noticed. */
  readonly idleTokens: number;
  /** Steps after which a passed-over prompt is read before shorter ones. */
  readonly patienceSteps: number;
}

export const defaultLimits: SchedulerLimits = { maxRows: 8, busyTokens: 128, idleTokens: 512, patienceSteps: 8 };

export interface PrefillState<Id> {
  readonly id: Id;
  /** Prompt positions not yet in the cache, at least 1. */
  readonly remaining: number;
  /** Steps in which it held a slot and was passed over. */
  readonly passedOver: number;
}

export interface StepPlan<Id> {
  readonly decode: readonly Id[];
  readonly prefill: readonly { readonly id: Id; readonly tokens: number }[];
}

/** The first of the waiting (in fair order) that are ready, as many as there are free rows. */
export function planAdmission<Id>(waiting: readonly { readonly id: Id; readonly ready: boolean }[], running: number, limits: SchedulerLimits): readonly Id[] {
  const free = Math.max(0, limits.maxRows - running);
  return waiting.filter((request) => request.ready).slice(0, free).map((request) => request.id);
}

/**
 * Plans one step. All who decode take one position each. What is left of the budget (at least one
 * position, so that prompts move on) goes to prompts that ran out of patience, then to the shortest,
 * in the order of admission where equal.
 */
export function planStep<Id>(decoding: readonly Id[], prefilling: readonly PrefillState<Id>[], limits: SchedulerLimits): StepPlan<Id> {
  const budget = decoding.length > 0 ? limits.busyTokens : limits.idleTokens;
  let left = Math.max(prefilling.length > 0 ? 1 : 0, budget - decoding.length);
  const impatient = (state: PrefillState<Id>): boolean => state.passedOver >= limits.patienceSteps;
  const order = prefilling
    .map((state, place) => ({ state, place }))
    .sort((a, b) => Number(impatient(b.state)) - Number(impatient(a.state)) || (impatient(a.state) ? b.state.passedOver - a.state.passedOver : a.state.remaining - b.state.remaining) || a.place - b.place);
  const prefill: { id: Id; tokens: number }[] = [];
  for (const { state } of order) {
    if (left === 0) break;
    const tokens = Math.min(left, state.remaining);
    prefill.push({ id: state.id, tokens });
    left -= tokens;
  }
  return { decode: decoding, prefill };
}
