// The bot's own words: looks a message up in the catalogue of a language and fills its arguments in.
import { IntlMessageFormat } from 'intl-messageformat';
import type { Locale } from '../types.ts';
import { en } from './en.ts';
import { ru } from './ru.ts';

export type MessageKey = keyof typeof en;
export type Messages = Readonly<Record<MessageKey, string>>;
export type MessageArguments = Readonly<Record<string, string | number>>;

export const locales: readonly Locale[] = ['en', 'ru'];
export const catalogues: Readonly<Record<Locale, Messages>> = { en, ru };

const formats = new Map<string, IntlMessageFormat>();

/** The sentence `key` in `locale`. Values are put in as plain text; markup in them stays text. */
export function say(locale: Locale, key: MessageKey, values: MessageArguments = {}): string {
  const id = `${locale} ${key}`;
  let format = formats.get(id);
  if (!format) {
    format = new IntlMessageFormat(catalogues[locale][key], locale, undefined, { ignoreTag: true });
    formats.set(id, format);
  }
  return String(format.format({ ...values }));
}

/** A sentence whose language is not known yet: kept as it is, said when somebody reads it. */
export interface Phrase {
  readonly key: MessageKey;
  readonly values?: MessageArguments;
}

/** Phrases one after the other; of what is no phrase of this catalogue nothing is said. */
export function sayAll(locale: Locale, phrases: readonly Phrase[]): string {
  return phrases.filter(({ key }) => Object.hasOwn(en, key)).map(({ key, values }) => say(locale, key, values)).join(' ');
}

/** The language for a person: the chat's if it is fixed, else the person's own, else English. */
export function chooseLocale(chat: 'auto' | Locale, person: string | undefined): Locale {
  if (chat !== 'auto') return chat;
  const language = person?.toLowerCase().split(/[-_]/, 1)[0];
  return locales.find((locale) => locale === language) ?? 'en';
}
