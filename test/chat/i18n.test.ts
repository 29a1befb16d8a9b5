// The bot's words: complete in every language, with the same arguments, all of them used.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { IntlMessageFormat } from 'intl-messageformat';
import { catalogues, chooseLocale, locales, say } from '../../src/chat/i18n/index.ts';
import { handledCommands } from '../../src/chat/handle-command.ts';
import { commandTable, findCommand, mayUse, parseOptions } from '../../src/chat/commands.ts';
import { describeRule, isSettingName, parseSetting, readSettings, settingNames } from '../../src/chat/settings.ts';

const root = join(import.meta.dirname, '../..');

function sources(folder: string): string {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.includes('i18n'))
    .map((name) => readFileSync(join(folder, name), 'utf8'))
    .join('\n');
}

interface Element { type: number; value?: string; options?: Record<string, { value: Element[] }> }

/** Names of the arguments, from the parsed message. */
function placeholders(text: string): string[] {
  const names = new Set<string>();
  const walk = (elements: readonly Element[]): void => {
    for (const { type, value, options } of elements) {
      // 0 is plain text, 7 the number sign.
      if (type !== 0 && type !== 7 && value !== undefined) names.add(value);
      for (const branch of Object.values(options ?? {})) walk(branch.value);
    }
  };
  walk(new IntlMessageFormat(text, 'en', undefined, { ignoreTag: true }).getAst() as Element[]);
  return [...names].sort();
}

describe('the catalogues', () => {
  const keys = Object.keys(catalogues.en).sort();

  test.each(locales)('%s has every key, none empty, and the same arguments', (locale) => {
    expect(Object.keys(catalogues[locale]).sort()).toEqual(keys);
    for (const [key, text] of Object.entries(catalogues[locale])) {
      expect(text.trim()).not.toBe('');
      expect([key, placeholders(text)]).toEqual([key, placeholders(catalogues.en[key as keyof typeof catalogues.en])]);
    }
  });

  test('every sentence can be said', () => {
    for (const locale of locales) {
      for (const [key, text] of Object.entries(catalogues[locale])) {
        const values = Object.fromEntries(placeholders(text).map((name) => [name, /plural|selectordinal/.test(text) ? 3 : 'x']));
        expect(say(locale, key as keyof typeof catalogues.en, values)).not.toMatch(/[{}]/);
      }
    }
  });

  test('every key is used and Russian is Russian', () => {
    const text = sources(join(root, 'src/chat')) + sources(join(root, 'src/learning')) + sources(join(root, 'bots'));
    const built = [/^settings\./, /^button\./];
    expect(keys.filter((key) => !text.includes(`'${key}'`) && !built.some((pattern) => pattern.test(key)))).toEqual([]);
    for (const key of settingNames) expect(keys).toContain(`settings.${key}`);
    for (const [key, words] of Object.entries(catalogues.ru)) if (!/^((help|settings)\.line|job\.reason)$/.test(key)) expect([key, /[а-яё]/i.test(words)]).toEqual([key, true]);
  });

  test('plurals follow each language', () => {
    expect(say('en', 'busy.position', { position: 2 })).toContain('2nd');
    expect(say('ru', 'busy.limitUser', { seconds: 21 })).toContain('21 секунду');
    expect(say('ru', 'busy.limitUser', { seconds: 5 })).toContain('5 секунд.');
  });

  test('markup in values stays text', () => {
    expect(say('en', 'refuse.unknownCommand', { command: '<b>{x}</b>' })).toContain('<b>{x}</b>');
  });

  test('the person’s locale chooses unless the chat has one', () => {
    expect(chooseLocale('auto', 'ru-RU')).toBe('ru');
    expect(chooseLocale('auto', 'de')).toBe('en');
    expect(chooseLocale('auto', undefined)).toBe('en');
    expect(chooseLocale('en', 'ru')).toBe('en');
  });
});

describe('the command table', () => {
  test('every command has a handler and the other way round', () => {
    expect(commandTable.map(({ name }) => name).sort()).toEqual([...handledCommands].sort());
  });

  test('who may', () => {
    const spec = (name: string) => findCommand(name)!;
    const nobody = { chatAdmin: false, operator: false };
    const admin = { chatAdmin: true, operator: false };
    expect(mayUse(spec('ask'), nobody)).toBe(true);
    expect(mayUse(spec('ban'), nobody)).toBe(false);
    expect(mayUse(spec('ban'), admin)).toBe(true);
    expect(mayUse(spec('retrain'), admin)).toBe(false);
    expect(mayUse(spec('retrain'), { chatAdmin: false, operator: true })).toBe(true);
  });

  test('typed options', () => {
    const parse = (name: string, text: string) => parseOptions(findCommand(name)!, text);
    expect(parse('ask', ' what is  this? ')).toEqual({ text: 'what is  this?' });
    expect(parse('adapter', 'PROMOTE a1')).toEqual({ action: 'promote', id: 'a1' });
    expect(parse('retrain', 'start because of the cats')).toEqual({ action: 'start', reason: 'because of the cats' });
    expect(parse('settings', 'temperature 0.7')).toEqual({ name: 'temperature', value: '0.7' });
    expect(parse('retrain', 'explode now')).toMatchObject({ action: 'explode' });
    expect(parse('ban', '@x lift for good')).toEqual({ user: '@x', action: 'lift', reason: 'for good' });
    expect(parse('gallery', 'add a red bike')).toEqual({ action: 'add', text: 'a red bike' });
    expect(parse('help', 'me')).toEqual({});
  });
});

describe('settings', () => {
  test('only what is allowed is read, later layers win', () => {
    const read = readSettings({ temperature: 0.5, pictures: 2 }, { temperature: 99, pictures: 3, language: 'klingon', nonsense: 1 });
    expect(read).toMatchObject({ temperature: 0.5, pictures: 3, language: 'auto' });
    expect(read).not.toHaveProperty('nonsense');
  });

  test('typed values', () => {
    expect(parseSetting('temperature', '0,7')).toBe(0.7);
    expect(parseSetting('temperature', '')).toBeNull();
    expect(parseSetting('pictures', '1.5')).toBeNull();
    expect(parseSetting('streaming', 'вкл')).toBe(true);
    expect(parseSetting('overlap', 'Supersede')).toBe('supersede');
    expect(isSettingName('toString')).toBe(false);
    for (const name of settingNames) expect(describeRule(name)).not.toBe('');
  });
});
