// Decoding options with their defaults filled in and their ranges checked: the door for whatever a
// caller (a person's settings, an HTTP request) wishes.
import { FromageError } from '../../errors.ts';
import type { DecodingOptions } from '../types.ts';

export type ResolvedDecoding = Required<DecodingOptions>;

export const defaultDecoding: ResolvedDecoding = {
  maxNewTokens: 64,
  minWordTokens: 0,
  temperature: 0,
  topP: 1,
  topK: 0,
  repetitionPenalty: 1,
  stopLoops: true,
  retScaleFactor: 1,
  retScaleMode: 'reference',
  maxNumRets: 1,
  forceRet: false,
  stop: [],
};

const maxStops = 16;
const maxStopLength = 256;

/**
 * @throws FromageError `ENGINE_OPTION` naming the option, its value and its range
 */
export function resolveDecoding(options: DecodingOptions = {}): ResolvedDecoding {
  const resolved = { ...defaultDecoding, ...defined(options) };
  integer('maxNewTokens', resolved.maxNewTokens, 0);
  integer('minWordTokens', resolved.minWordTokens, 0);
  integer('topK', resolved.topK, 0);
  integer('maxNumRets', resolved.maxNumRets, 0);
  finite('temperature', resolved.temperature, (value) => value >= 0, '0 or more');
  finite('topP', resolved.topP, (value) => value > 0 && value <= 1, 'above 0 and at most 1');
  finite('repetitionPenalty', resolved.repetitionPenalty, (value) => value > 0, 'above 0');
  finite('retScaleFactor', resolved.retScaleFactor, (value) => value >= 0, '0 or more');
  if (!['reference', 'signed', 'odds'].includes(resolved.retScaleMode)) throw bad('retScaleMode', resolved.retScaleMode, '"reference", "signed" or "odds"');
  if (typeof resolved.stopLoops !== 'boolean') throw bad('stopLoops', resolved.stopLoops, 'true or false');
  if (typeof resolved.forceRet !== 'boolean') throw bad('forceRet', resolved.forceRet, 'true or false');
  const { stop } = resolved;
  if (!Array.isArray(stop) || stop.length > maxStops || !stop.every((text) => typeof text === 'string' && text.length > 0 && text.length <= maxStopLength)) {
    throw bad('stop', Array.isArray(stop) ? `${stop.length} texts` : stop, `at most ${maxStops} texts of 1 to ${maxStopLength} characters`);
  }
  return resolved;
}

function defined<T extends object>(options: T): T {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T;
}

function integer(name: string, value: unknown, least: number): void {
  if (!Number.isSafeInteger(value) || (value as number) < least) throw bad(name, value, `a whole number, ${least} or more`);
}

function finite(name: string, value: unknown, inRange: (value: number) => boolean, range: string): void {
  if (typeof value !== 'number' || !Number.isFinite(value) || !inRange(value)) throw bad(name, value, range);
}

function bad(name: string, value: unknown, range: string): FromageError {
  return new FromageError({ code: 'ENGINE_OPTION', what: `${name} is ${String(value).slice(0, 40)}`, why: `it must be ${range}`, todo: 'correct the option' });
}
