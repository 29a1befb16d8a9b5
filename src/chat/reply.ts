// Builds replies: an answer's parts with the bot's own words where there is no picture, and the buttons.
import type { TurnPart } from './contracts.ts';
import { type MessageKey, say } from './i18n/index.ts';
import type { AnswerPart, AnswerPicture, ButtonAction, ComposedAnswer, Locale, Reply, ReplyButton, ReplyPart } from './types.ts';

/** A reply of the bot's own words. */
export function sentence(locale: Locale, text: string, options: { readonly quiet?: boolean; readonly buttons?: readonly ReplyButton[] } = {}): Reply {
  return {
    parts: [{ type: 'text', text }],
    buttons: options.buttons ?? [],
    locale,
    complete: true,
    ...(options.quiet === undefined ? {} : { quiet: options.quiet }),
  };
}

/** Parts as they are shown: the honest sentence stands where a picture is missing. */
export function replyParts(parts: readonly AnswerPart[], locale: Locale): ReplyPart[] {
  const out: ReplyPart[] = [];
  const addText = (text: string): void => {
    const last = out.at(-1);
    if (last?.type === 'text') out[out.length - 1] = { type: 'text', text: `${last.text}\n${text}` };
    else out.push({ type: 'text', text });
  };
  let missing: MessageKey | null = null;
  for (const part of parts) {
    if (part.type === 'text') {
      if (part.text.trim() === '') continue;
      addText(part.text);
    } else if (part.type === 'pictures') {
      const last = out.at(-1);
      if (last?.type === 'pictures') out[out.length - 1] = { type: 'pictures', pictures: [...last.pictures, ...part.pictures] };
      else out.push({ type: 'pictures', pictures: part.pictures });
    } else {
      const key: MessageKey = part.reason === 'gallery_unavailable' ? 'answer.galleryDown' : 'answer.noPicture';
      // Said once in a row, however many [RET]s found nothing.
      if (missing !== key) addText(say(locale, key));
      missing = key;
      continue;
    }
    missing = null;
  }
  return out;
}

/** The finished reply with its buttons; never empty. */
export function answerReply(answer: ComposedAnswer, answerId: string, locale: Locale): Reply {
  const parts = replyParts(answer.parts, locale);
  if (parts.length === 0 && answer.reason !== 'cancelled') parts.push({ type: 'text', text: say(locale, 'answer.empty') });
  if (answer.reason === 'cancelled' || answer.reason === 'deadline') {
    const note = say(locale, answer.reason === 'cancelled' ? 'answer.stopped' : 'answer.deadline');
    const last = parts.at(-1);
    if (last?.type === 'text') parts[parts.length - 1] = { type: 'text', text: `${last.text} ${note}` };
    else parts.push({ type: 'text', text: note });
  }
  const count = answer.parts.reduce((sum, part) => sum + (part.type === 'pictures' ? part.pictures.length : 0), 0);
  return { parts, buttons: answerButtons(answerId, answer.rets.length > 0, locale, { from: 0, count }), locale, complete: true };
}

/** Pictures that get a button each; the others are named by number in a command. */
const mostWrongButtons = 10;

/**
 * 👍 👎 🔁, where the answer had a [RET] ➕, and 🚫 for each picture.
 *
 * @param pictures those that this message shows, by their places among the answer's
 */
export function answerButtons(answerId: string, hasRet: boolean, locale: Locale, pictures: { readonly from: number; readonly count: number } = { from: 0, count: 0 }): ReplyButton[] {
  const actions: ButtonAction[] = hasRet ? ['up', 'down', 'again', 'more'] : ['up', 'down', 'again'];
  const wrong = Array.from({ length: Math.min(pictures.count, mostWrongButtons) }, (_, i): ReplyButton => ({
    ...button('wrong', pictureSubject(answerId, pictures.from + i), locale),
    ...(pictures.from + pictures.count > 1 ? { number: pictures.from + i + 1 } : {}),
  }));
  return [...actions.map((action) => button(action, answerId, locale)), ...wrong];
}

/** Names one picture of an answer by its place among those that were shown, from 0. */
export function pictureSubject(answerId: string, place: number): string {
  return `${answerId}_${place}`;
}

/** Null for what is no such name. */
export function readPictureSubject(subject: string): { readonly answerId: string; readonly place: number } | null {
  const [, answerId, place] = /^(.+)_(\d{1,3})$/.exec(subject) ?? [];
  return answerId === undefined || place === undefined ? null : { answerId, place: Number(place) };
}

export function button(action: ButtonAction, subject: string, locale: Locale): ReplyButton {
  return { action, subject, label: say(locale, `button.${action}`) };
}

/** What is stored of an answer: text and shown pictures in their order. */
export function turnPartsOf(answer: ComposedAnswer): TurnPart[] {
  return answer.parts.flatMap((part): TurnPart[] => {
    if (part.type === 'text') return [{ type: 'text', text: part.text }];
    if (part.type === 'no_picture') return [];
    return part.pictures.map(({ id, hash, alt }) => ({ type: 'image', hash, pictureId: id, alt }));
  });
}

/** The words under a picture: what it shows, where it comes from, its licence. */
export function creditLine(picture: AnswerPicture, locale: Locale): string {
  const lines = [picture.alt];
  if (picture.source) lines.push(say(locale, 'answer.credit', { source: picture.source }));
  if (picture.licence) lines.push(say(locale, 'answer.licence', { licence: picture.licence }));
  return lines.join('\n');
}
