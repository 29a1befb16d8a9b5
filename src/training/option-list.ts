// Every setting of a run as a flat list, so that the command line can offer each constant as an option
// without knowing any of them.
import { z } from 'zod';
import { trainConfigSchema } from './config.ts';

export interface TrainSetting {
  /** Path in the configuration: `['retrievalMaps', 'lr']`. */
  readonly path: readonly string[];
  /** `retrieval-maps-lr` */
  readonly flag: string;
  readonly description: string;
  /** As text; null without one. */
  readonly fallback: string | null;
  /** A text is taken as it is, everything else is read as JSON. */
  readonly isText: boolean;
  /** May be typed without brackets, and without quotes where it holds texts: `0.9,0.95`, or one value alone. */
  readonly list: 'texts' | 'numbers' | null;
}

/** All settings but those that name data. */
export function trainSettings(): readonly TrainSetting[] {
  return settingsOf(trainConfigSchema.shape, []).filter(({ path }) => path[0] !== 'data');
}

/** @param given values by flag, as typed */
export function settingsFrom(given: Readonly<Record<string, string | undefined>>): Record<string, unknown> {
  const config: Record<string, unknown> = {};
  for (const { path, flag, isText, list } of trainSettings()) {
    const text = given[flag];
    if (text === undefined) continue;
    let target = config;
    for (const key of path.slice(0, -1)) target = (target[key] ??= {}) as Record<string, unknown>;
    target[path.at(-1)!] = isText ? text : list === null || text.trimStart().startsWith('[') ? parsed(text) : list === 'texts' ? [text] : parsed(`[${text}]`);
  }
  return config;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The schema says what it should have been.
    return text;
  }
}

function settingsOf(shape: Readonly<Record<string, unknown>>, above: readonly string[]): TrainSetting[] {
  return Object.entries(shape).flatMap(([key, value]) => {
    const path = [...above, key];
    const { inner, fallback, description } = unwrapped(value as z.ZodType);
    if (inner instanceof z.ZodObject) return settingsOf(inner.shape as Record<string, unknown>, path);
    return [{ path, flag: path.join('-').replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`), description: `${description}${inner instanceof z.ZodEnum ? ` (${inner.options.join(', ')})` : ''}`, fallback: fallback === undefined ? null : typeof fallback === 'string' ? fallback : JSON.stringify(fallback), isText: inner instanceof z.ZodString || inner instanceof z.ZodEnum, list: listOf(inner) }];
  });
}

function listOf(schema: z.ZodType): TrainSetting['list'] {
  if (schema instanceof z.ZodArray) return schema.element instanceof z.ZodString ? 'texts' : 'numbers';
  return schema instanceof z.ZodTuple ? 'numbers' : null;
}

function unwrapped(schema: z.ZodType): { inner: z.ZodType; fallback: unknown; description: string } {
  let inner = schema;
  let fallback: unknown;
  let description = schema.description ?? '';
  while (inner instanceof z.ZodOptional || inner instanceof z.ZodDefault || inner instanceof z.ZodPrefault) {
    if (inner instanceof z.ZodDefault) fallback = inner.def.defaultValue;
    inner = inner.unwrap() as z.ZodType;
    description ||= inner.description ?? '';
  }
  return { inner, fallback, description };
}
