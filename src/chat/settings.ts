// Settings of one chat: what may be set, between which bounds, and how typed values are read. The rows
// lie in the settings store as JSON; whatever is found there is checked again.
import type { JsonObject, JsonValue } from './contracts.ts';
import type { Locale } from './types.ts';

export interface ChatSettings {
  /** `auto` follows each person's own language. */
  readonly language: 'auto' | Locale;
  /** How eager [RET] is; 1 is neutral. */
  readonly eagerness: number;
  readonly pictures: number;
  readonly temperature: number;
  readonly streaming: boolean;
  /** Who may talk to the bot here. */
  readonly who: 'everyone' | 'admins';
  /** In groups: only when spoken to, or every message. */
  readonly answers: 'mentions' | 'all';
  /** What becomes of a message that comes while one is being answered. */
  readonly overlap: 'queue' | 'supersede' | 'drop';
  /** What the model reads: the whole conversation or the last turn alone. */
  readonly context: 'conversation' | 'last';
  readonly maxWords: number;
}

export const defaultSettings: ChatSettings = {
  language: 'auto',
  eagerness: 1,
  pictures: 1,
  temperature: 0,
  streaming: true,
  who: 'everyone',
  answers: 'mentions',
  overlap: 'queue',
  context: 'conversation',
  maxWords: 64,
};

type Rule =
  | { readonly kind: 'choice'; readonly values: readonly string[] }
  | { readonly kind: 'number'; readonly min: number; readonly max: number; readonly whole: boolean }
  | { readonly kind: 'switch' };

export const settingRules: Readonly<Record<keyof ChatSettings, Rule>> = {
  language: { kind: 'choice', values: ['auto', 'en', 'ru'] },
  eagerness: { kind: 'number', min: 0, max: 10, whole: false },
  pictures: { kind: 'number', min: 0, max: 5, whole: true },
  temperature: { kind: 'number', min: 0, max: 2, whole: false },
  streaming: { kind: 'switch' },
  who: { kind: 'choice', values: ['everyone', 'admins'] },
  answers: { kind: 'choice', values: ['mentions', 'all'] },
  overlap: { kind: 'choice', values: ['queue', 'supersede', 'drop'] },
  context: { kind: 'choice', values: ['conversation', 'last'] },
  maxWords: { kind: 'number', min: 8, max: 512, whole: true },
};

export const settingNames = Object.keys(settingRules) as readonly (keyof ChatSettings)[];

export function isSettingName(name: string): name is keyof ChatSettings {
  return Object.hasOwn(settingRules, name);
}

/** What is kept, with the default wherever a value is missing or not allowed. Later layers win. */
export function readSettings(...layers: readonly JsonObject[]): ChatSettings {
  const out: Record<string, JsonValue> = { ...defaultSettings };
  for (const layer of layers) {
    for (const name of settingNames) {
      const value = layer[name];
      if (value !== undefined && isAllowed(settingRules[name], value)) out[name] = value;
    }
  }
  return out as unknown as ChatSettings;
}

/** Reads what a person typed; null when it is not allowed. */
export function parseSetting(name: keyof ChatSettings, typed: string): JsonValue | null {
  const rule = settingRules[name];
  const text = typed.trim().toLowerCase();
  let value: JsonValue = text;
  if (rule.kind === 'number') value = text === '' ? Number.NaN : Number(text.replace(',', '.'));
  if (rule.kind === 'switch') {
    if (['on', 'yes', 'true', '1', 'вкл', 'да'].includes(text)) value = true;
    else if (['off', 'no', 'false', '0', 'выкл', 'нет'].includes(text)) value = false;
  }
  return isAllowed(rule, value) ? value : null;
}

/** The allowed values in words that need no translation: `0–10`, `on | off`. */
export function describeRule(name: keyof ChatSettings): string {
  const rule = settingRules[name];
  if (rule.kind === 'number') return `${rule.min}–${rule.max}`;
  return rule.kind === 'switch' ? 'on | off' : rule.values.join(' | ');
}

function isAllowed(rule: Rule, value: JsonValue): boolean {
  if (rule.kind === 'switch') return typeof value === 'boolean';
  if (rule.kind === 'choice') return typeof value === 'string' && rule.values.includes(value);
  return typeof value === 'number' && value >= rule.min && value <= rule.max && (!rule.whole || Number.isInteger(value));
}
