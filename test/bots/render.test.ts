// The renderers: whatever an answer holds, nothing that leaves is over a limit, nothing is lost, nothing
// becomes markup or a mention.
import { describe, expect, test } from '@jest/globals';
import fc from '../setup/seeded.ts';
import { customId, discordLimits, escapeText, readCustomId, renderDiscord } from '../../bots/discord/render.ts';
import { callbackData, readCallbackData, renderTelegram, telegramLimits } from '../../bots/telegram/render.ts';
import { type AnswerPicture, findFences, type Reply, type ReplyPart } from '../../src/chat/index.ts';

const words = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 60 }),
  fc.string({ unit: 'binary', maxLength: 30 }),
  fc.constantFrom('@everyone ', '<@123456789012345678>', '[x](http://evil.example)', '```js\nlet a = 1;\n```', '\n```\ncode', '# big', '> quote', '||spoiler||', '@somebody hi', '<b>bold</b>', '&amp;', '\u0000', '\ud83d', '👩‍👩‍👧‍👦', '_a_*b*~c~`d`'),
  fc.integer({ min: 1, max: 300 }).map((n) => 'lorem ipsum '.repeat(n)),
);
const text = fc.array(words, { maxLength: 12 }).map((all) => all.join(''));
const picture: fc.Arbitrary<AnswerPicture> = fc.record({
  id: fc.uuid(), hash: fc.constant('h'), alt: fc.oneof(text, fc.constant('a cat')), caption: fc.constant(null), source: fc.option(text), licence: fc.option(fc.string()),
  mimeType: fc.constantFrom('image/png', 'image/jpeg'), score: fc.constant(0.5),
  width: fc.oneof(fc.constant(640), fc.integer({ min: 0, max: 12_000 })), height: fc.oneof(fc.constant(480), fc.integer({ min: 0, max: 12_000 })),
});
const part: fc.Arbitrary<ReplyPart> = fc.oneof(
  text.map((value): ReplyPart => ({ type: 'text', text: value })),
  fc.array(picture, { minLength: 1, maxLength: 25 }).map((pictures): ReplyPart => ({ type: 'pictures', pictures })),
);
const buttons = fc.array(fc.constantFrom('up' as const, 'down' as const, 'again' as const, 'more' as const), { maxLength: 4 }).map((all) => all.map((action) => ({ action, subject: '01234567-89ab-cdef-0123-456789abcdef', label: 'label' })));
const reply: fc.Arbitrary<Reply> = fc.record({ parts: fc.array(part, { maxLength: 6 }), buttons, locale: fc.constantFrom('en' as const, 'ru' as const), complete: fc.boolean() });

const squeeze = (value: string): string => value.toWellFormed().replace(/[\u0000-\u001f\u007f\s]+/g, '').replaceAll('`', '').replace(/[^\p{L}\p{N}]/gu, '');
const textOf = ({ parts }: Reply): string => parts.map((one) => (one.type === 'text' ? one.text : '')).join('\n');
const runs = { numRuns: 120 };

describe('Discord', () => {
  const body = (unit: { body: unknown }) => unit.body as { content: string; pictures: { description: string; name: string }[]; components: { components: unknown[] }[] };

  test('nothing is over a limit', () => {
    fc.assert(fc.property(reply, (one) => {
      for (const unit of renderDiscord(one)) {
        const { content, pictures, components } = body(unit);
        expect(content.length).toBeLessThanOrEqual(discordLimits.content);
        expect(content.isWellFormed()).toBe(true);
        expect(pictures.length).toBeLessThanOrEqual(discordLimits.files);
        for (const { description } of pictures) expect(description.length).toBeLessThanOrEqual(discordLimits.description);
        expect(components.length).toBeLessThanOrEqual(5);
        expect(content !== '' || pictures.length > 0).toBe(true);
        for (const row of components) expect(row.components.length).toBeLessThanOrEqual(5);
      }
    }), runs);
  });

  test('the words rejoined are the words, every picture is there, code blocks are closed', () => {
    fc.assert(fc.property(reply, (one) => {
      const units = renderDiscord(one).map(body);
      const said = units.map(({ content }) => content.replace(/^-# .*$/gm, '')).join('\n');
      const unescaped = said.replace(/\\([\\`*_~|<>#[\]])/g, '$1');
      const markers = (value: string) => value.replace(/^ {0,3}`{3,}[^`\n]{0,24}$/gm, '');
      expect(squeeze(markers(unescaped))).toBe(squeeze(markers(textOf(one).replace(/[\u0000-\u0008\u000b-\u001f\u007f]/g, ''))));
      expect(units.flatMap(({ pictures }) => pictures)).toHaveLength(one.parts.flatMap((p) => (p.type === 'pictures' ? p.pictures : [])).length);
      for (const { content } of units) for (const fence of findFences(content)) expect(fence.stop).toBeGreaterThan(fence.end);
    }), runs);
  });

  test('nothing becomes a mention, a link or a heading outside a code block', () => {
    expect(escapeText('<@1> [x](y) # a\n> b *c* _d_ ||e|| `f`')).toBe('\\<@1\\> \\[x\\](y) \\# a\n\\> b \\*c\\* \\_d\\_ \\|\\|e\\|\\| \\`f\\`');
    expect(escapeText('```js\na*b\n```')).toBe('```js\na*b\n```');
  });

  test('alt text is never empty, words stand above their picture in one message', () => {
    const one: Reply = { parts: [{ type: 'text', text: 'Here:' }, { type: 'pictures', pictures: [{ id: 'a', hash: 'h', alt: 'a cat', caption: null, source: 'https://x.org/a_b', licence: 'MIT', mimeType: 'image/png', width: 1, height: 1, score: 1 }] }], buttons: [], locale: 'en', complete: true };
    const units = renderDiscord(one).map(body);
    expect(units).toHaveLength(1);
    expect(units[0]).toMatchObject({ content: 'Here:\n-# Source: https://x.org/a\\_b · Licence: MIT', pictures: [{ description: 'a cat\nSource: https://x.org/a_b\nLicence: MIT' }] });
  });

  test('credits never make words longer that were not laid out above their pictures', () => {
    const shown: AnswerPicture = { id: 'a', hash: 'h', alt: 'a cat', caption: null, source: 'https://x.org', licence: 'MIT', mimeType: 'image/png', width: 1, height: 1, score: 1 };
    const one: Reply = { parts: [{ type: 'text', text: 'a'.repeat(2_000) }, { type: 'text', text: '' }, { type: 'pictures', pictures: [shown] }], buttons: [], locale: 'en', complete: true };
    expect(renderDiscord(one).map((unit) => body(unit).content.length)).toEqual([2_000, '-# Source: https://x.org · Licence: MIT'.length]);
  });

  test('custom ids survive the way there and back; made-up ones are refused', () => {
    const button = { action: 'more' as const, subject: '01234567-89ab-cdef', label: '' };
    expect(readCustomId(customId(button))).toEqual({ action: 'more', subject: button.subject });
    expect(readCustomId('x:1')).toBeNull();
    expect(readCustomId('u:')).toBeNull();
    expect(readCustomId("u:' OR 1=1")).toBeNull();
  });
});

describe('Telegram', () => {
  interface Body { text: string; entities: { type: string; offset: number; length: number }[]; pictures: { caption: { text: string; entities: { offset: number; length: number }[] } }[]; reply_markup?: { inline_keyboard: { callback_data: string }[][] } }
  const body = (unit: { body: unknown }) => unit.body as Body;

  test('nothing is over a limit, entities lie inside the text', () => {
    fc.assert(fc.property(reply, (one) => {
      for (const unit of renderTelegram(one)) {
        const { text: said, entities, pictures, reply_markup: markup } = body(unit);
        if (unit.form === 'text') {
          expect(said.length).toBeLessThanOrEqual(telegramLimits.text);
          expect(said.isWellFormed()).toBe(true);
          expect(said).toBe(said.trim());
          expect(said).not.toBe('');
          expect(entities.length).toBeLessThanOrEqual(100);
          for (const { offset, length } of entities) expect(offset >= 0 && length > 0 && offset + length <= said.length).toBe(true);
        } else {
          expect(pictures.length).toBe(unit.count);
          expect(pictures.length === 1 ? ['photo', 'document'] : ['album']).toContain(unit.form);
          expect(pictures.length).toBeLessThanOrEqual(10);
          for (const { caption } of pictures) {
            expect(caption.text.length).toBeLessThanOrEqual(telegramLimits.caption);
            for (const { offset, length } of caption.entities) expect(offset + length).toBeLessThanOrEqual(caption.text.length);
          }
          // An album takes no buttons.
          if (unit.form === 'album') expect(markup).toBeUndefined();
        }
        for (const { callback_data: data } of markup?.inline_keyboard.flat() ?? []) expect(Buffer.byteLength(data)).toBeLessThanOrEqual(64);
      }
    }), runs);
  });

  test('the words rejoined are the words, the buttons are at the end', () => {
    fc.assert(fc.property(reply, (one) => {
      const units = renderTelegram(one);
      const own = one.buttons.length > 0 && ['album', undefined].includes(units.at(-2)?.form) ? units.slice(0, -1) : units;
      const said = (list: readonly { form: string; body: unknown }[]) => list.map((unit) => (unit.form === 'text' ? body(unit).text : '')).join('\n');
      const markers = (value: string) => value.replace(/^ {0,3}`{3,}[^`\n]{0,24}$/gm, '');
      const clean = squeeze(markers(textOf(one).replace(/[\u0000-\u0008\u000b-\u001f\u007f]/g, '')));
      expect([squeeze(markers(said(units))), squeeze(markers(said(own)))]).toContain(clean);
      if (one.buttons.length > 0) expect(body(units.at(-1)!).reply_markup).toBeDefined();
    }), runs);
  });

  test('what is no photo to Telegram goes as a file, the others stay together', () => {
    fc.assert(fc.property(fc.array(picture, { minLength: 1, maxLength: 25 }), (pictures) => {
      const units = renderTelegram({ parts: [{ type: 'pictures', pictures }], buttons: [], locale: 'en', complete: true });
      const sent = units.flatMap((unit) => (unit.body as unknown as { pictures: { id: string }[] }).pictures.map(({ id }) => ({ id, form: unit.form })));
      expect(sent.map(({ id }) => id)).toEqual(pictures.map(({ id }) => id));
      for (const [i, { width, height }] of pictures.entries()) {
        const [short, long] = [Math.min(width, height), Math.max(width, height)];
        expect(sent[i]!.form === 'document').toBe(short + long > 10_000 || (short === 0 ? long > 20 : long / short > 20));
      }
      expect(units.length).toBeLessThanOrEqual(Math.ceil(pictures.length / 10) + 2 * sent.filter(({ form }) => form === 'document').length);
    }), runs);
  });

  test('code becomes an entity, a name that would notify somebody too', () => {
    const [unit] = renderTelegram({ parts: [{ type: 'text', text: 'Hi @durov:\n```js\na < b\n```\nend' }], buttons: [], locale: 'en', complete: true });
    const { text: said, entities } = body(unit!);
    expect(said).toBe('Hi @durov:\na < b\nend');
    expect(entities.map(({ type, offset, length }) => [type, said.slice(offset, offset + length)])).toEqual([['code', '@durov'], ['pre', 'a < b']]);
  });

  test('callback data survives the way there and back; too long ones are refused', () => {
    const button = { action: 'confirm' as const, subject: 'forget-01234567-89ab-cdef-0123-456789abcdef', label: '' };
    expect(readCallbackData(callbackData(button))).toEqual({ action: 'confirm', subject: button.subject });
    expect(() => callbackData({ ...button, subject: 'ы'.repeat(40) })).toThrow(RangeError);
    expect(readCallbackData('u:'.padEnd(64, 'я'))).toBeNull();
  });
});
