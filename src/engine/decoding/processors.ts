// Decoding as a list of small processors. Each changes the logits of one position in place; which ones
// apply, and in which order, is the list that `createProcessors` makes of the options.
import type { ResolvedDecoding } from './options.ts';
import { keepNucleus, keepTopK } from './nucleus.ts';

/** What a processor may know of the sequence whose next token is chosen. */
export interface DecodingState {
  /** Tokens generated so far; 0 at the first choice. */
  readonly step: number;
  /** Ids of the answer so far. */
  readonly tokenIds: Iterable<number>;
  /** [RET] tokens generated so far. */
  readonly rets: number;
}

/** Changes `logits` `[vocabulary]` in place; −Infinity bans a token. */
export type LogitsProcessor = (logits: Float32Array, state: DecodingState) => void;

/**
 * Multiplies the logit of [RET].
 *
 * `reference` multiplies whatever the sign is, as the authors' code: a negative logit times a larger
 * factor makes [RET] less likely. `signed` divides a negative logit, so above 1 always favours [RET].
 * `odds` adds the factor's logarithm, which multiplies the odds of [RET] against everything else.
 */
export function scaleRet(retTokenId: number, factor: number, mode: 'reference' | 'signed' | 'odds'): LogitsProcessor {
  return (logits) => {
    const logit = logits[retTokenId];
    if (logit === undefined || logit === Number.NEGATIVE_INFINITY) return;
    if (mode === 'odds') logits[retTokenId] = logit + Math.log(factor);
    else if (mode === 'reference' || logit >= 0) logits[retTokenId] = logit * factor;
    else logits[retTokenId] = factor === 0 ? Number.NEGATIVE_INFINITY : logit / factor;
  };
}

/** Bans [RET] before `minWordTokens` tokens and once `maxNumRets` of it have come. */
export function banRet(retTokenId: number, minWordTokens: number, maxNumRets: number): LogitsProcessor {
  return (logits, { step, rets }) => {
    if (retTokenId < logits.length && (step < minWordTokens || rets >= maxNumRets)) logits[retTokenId] = Number.NEGATIVE_INFINITY;
  };
}

/** Makes tokens that already stand in the answer less likely (those of the prompt hold its markup and the very words asked about): positive logits are divided, negative ones multiplied (Keskar et al. 2019). */
export function penaliseRepetition(penalty: number): LogitsProcessor {
  return (logits, { tokenIds }) => {
    for (const id of new Set(tokenIds)) {
      const logit = logits[id];
      if (logit !== undefined) logits[id] = logit > 0 ? logit / penalty : logit * penalty;
    }
  };
}

export function divideByTemperature(temperature: number): LogitsProcessor {
  return (logits) => {
    for (let i = 0; i < logits.length; i++) logits[i]! /= temperature;
  };
}

export function limitToTopK(k: number): LogitsProcessor {
  return (logits) => keepTopK(logits, k);
}

export function limitToNucleus(topP: number): LogitsProcessor {
  return (logits) => keepNucleus(logits, topP);
}

/**
 * The processors that the options ask for, in the order of the reference: [RET] first, then ours
 * (repetition), then temperature, top-k, top-p. Greedy decoding (temperature 0) needs no filters.
 */
export function createProcessors(options: ResolvedDecoding, retTokenId: number): readonly LogitsProcessor[] {
  const list: LogitsProcessor[] = [];
  if (options.retScaleFactor !== 1) list.push(scaleRet(retTokenId, options.retScaleFactor, options.retScaleMode));
  list.push(banRet(retTokenId, options.minWordTokens, options.maxNumRets));
  if (options.repetitionPenalty !== 1) list.push(penaliseRepetition(options.repetitionPenalty));
  if (options.temperature > 0) {
    if (options.temperature !== 1) list.push(divideByTemperature(options.temperature));
    if (options.topK > 0) list.push(limitToTopK(options.topK));
    if (options.topP < 1) list.push(limitToNucleus(options.topP));
  }
  return list;
}
