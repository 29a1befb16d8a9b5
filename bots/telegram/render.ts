// Lays a reply out in Telegram's forms and limits: texts of 4,096 units with entities instead of markup,
// photos of sides up to 20:1 with captions of 1,024, albums of 2 to 10, buttons with 64 bytes of data.
import type { JsonObject, JsonValue } from '../../src/chat/contracts.ts';
import { type AnswerPicture, type ButtonAction, creditLine, findFences, type OutUnit, type Reply, type ReplyButton, say, splitText } from '../../src/chat/index.ts';

export const telegramLimits = { text: 4_096, caption: 1_024, album: 10, callbackData: 64, sides: 10_000, ratio: 20, entities: 100, buttonsPerRow: 5 } as const;

const codes: Readonly<Record<ButtonAction, string>> = { up: 'u', down: 'd', again: 'a', more: 'm', wrong: 'w', confirm: 'y', cancel: 'n' };
const icons: Readonly<Record<ButtonAction, string>> = { up: '👍', down: '👎', again: '🔁', more: '➕', wrong: '🚫', confirm: '✅', cancel: '✖️' };

/** `u:<subject>`; an id that does not fit is refused when the button is made, not when it is pressed. */
export function callbackData(button: ReplyButton): string {
  const data = `${codes[button.action]}:${button.subject}`;
  if (Buffer.byteLength(data) > telegramLimits.callbackData) throw new RangeError(`callback data of ${Buffer.byteLength(data)} bytes, at most 64`);
  return data;
}

export function readCallbackData(data: string): { action: ButtonAction; subject: string } | null {
  const action = (Object.keys(codes) as ButtonAction[]).find((name) => data.startsWith(`${codes[name]}:`));
  const subject = data.slice(2);
  return action && /^[\w-]{1,62}$/.test(subject) ? { action, subject } : null;
}

export function renderTelegram(reply: Reply): OutUnit[] {
  const preview = reply.complete ? {} : { preview: true };
  const units: OutUnit[] = [];
  for (const part of reply.parts) {
    if (part.type === 'text') units.push(...textUnits(part.text).map((body) => ({ form: 'text', count: 1, ...preview, body })));
    else if (part.type === 'pictures') units.push(...pictureUnits(part.pictures, reply));
    else units.push({ form: 'file', count: 1, body: { name: part.file.name, mimeType: part.file.mimeType, exportOf: part.file.exportOf, tooBig: say(reply.locale, 'mydata.tooBig') } });
  }
  if (reply.buttons.length === 0) return units;
  const markup: JsonObject = { inline_keyboard: rowsOf(reply.buttons) };
  const last = units.at(-1);
  // Albums take no buttons: these get a message of their own.
  if (!last || last.form === 'album' || last.form === 'file') {
    units.push({ form: 'text', count: 1, body: { text: say(reply.locale, 'answer.rate'), entities: [], reply_markup: markup } });
  } else units[units.length - 1] = { ...last, body: { ...last.body, reply_markup: markup } };
  return units;
}

function buttonOf(button: ReplyButton): JsonObject {
  const { action, label, number } = button;
  const words = action === 'confirm' || action === 'cancel' ? label : (number ?? '');
  return { text: `${icons[action]} ${words}`.trim(), callback_data: callbackData(button) };
}

/** What is about one of several pictures stands in rows of its own. */
function rowsOf(buttons: readonly ReplyButton[]): JsonValue[] {
  const rows: JsonValue[] = [];
  for (const group of [buttons.filter(({ number }) => number === undefined), buttons.filter(({ number }) => number !== undefined)]) {
    for (let from = 0; from < group.length; from += telegramLimits.buttonsPerRow) rows.push(group.slice(from, from + telegramLimits.buttonsPerRow).map(buttonOf));
  }
  return rows;
}

/** Text as it is, formatted by entities: nothing in it can become markup. */
function textUnits(text: string): JsonObject[] {
  return splitText(clean(text), { limit: telegramLimits.text }).flatMap(({ open, body, close }) => {
    const laidOut = withEntities(open + body + close);
    return isVisible(laidOut.text) ? [laidOut] : [];
  });
}

/** Telegram refuses a text in which nothing can be seen. */
function isVisible(text: string): boolean {
  return /[\p{L}\p{N}\p{P}\p{S}]/u.test(text);
}

/** Code blocks become `pre` entities without their marks; a name that would notify somebody becomes `code`. */
function withEntities(source: string): { text: string; entities: JsonValue[] } {
  let text = '';
  const entities: JsonObject[] = [];
  let at = 0;
  const plain = (to: number): void => {
    const piece = clean(source.slice(at, to));
    for (const match of piece.matchAll(/@[A-Za-z]\w{2,}/g)) entities.push({ type: 'code', offset: text.length + match.index, length: match[0].length });
    text += piece;
  };
  for (const fence of findFences(source)) {
    plain(fence.start);
    const code = clean(source.slice(fence.inner, fence.end)).replace(/\n$/, '');
    if (code.trim() !== '') {
      const language = fence.marker.replace(/^`+/, '').trim();
      entities.push({ type: 'pre', offset: text.length, length: code.length, ...(language === '' ? {} : { language }) });
    }
    text += code;
    at = fence.stop;
  }
  plain(source.length);
  // Telegram trims the text itself, which would shift every entity.
  const lead = text.length - text.trimStart().length;
  const trimmed = text.trim();
  const placed = entities.flatMap((entity) => {
    const start = Math.max(0, (entity.offset as number) - lead);
    const end = Math.min(trimmed.length, (entity.offset as number) + (entity.length as number) - lead);
    return end > start ? [{ ...entity, offset: start, length: end - start }] : [];
  });
  return { text: trimmed, entities: placed.slice(0, telegramLimits.entities) };
}

/** Control characters other than tab and line break are refused or dropped by the server. */
function clean(text: string): string {
  return text.toWellFormed().replace(/[\u0000-\u0008\u000b-\u001f\u007f]/g, '');
}

/** Photos together, as far as they stand in a row; what Telegram takes as no photo goes as a file. */
function pictureUnits(pictures: readonly AnswerPicture[], reply: Reply): OutUnit[] {
  const units: OutUnit[] = [];
  let group: JsonObject[] = [];
  const close = (form: string): void => {
    if (group.length > 0) units.push({ form, count: group.length, pictures: group.length, body: { pictures: group } });
    group = [];
  };
  const closePhotos = (): void => close(group.length === 1 ? 'photo' : 'album');
  for (const picture of pictures) {
    const isPhoto = mayBePhoto(picture);
    if (!isPhoto || group.length === telegramLimits.album) closePhotos();
    group.push(pictureOf(picture, reply));
    if (!isPhoto) close('document');
  }
  closePhotos();
  return units;
}

/** Very long and narrow pictures are refused as photos. */
function mayBePhoto({ width, height }: AnswerPicture): boolean {
  return width + height <= telegramLimits.sides && Math.max(width, height) <= telegramLimits.ratio * Math.max(1, Math.min(width, height));
}

function pictureOf(picture: AnswerPicture, reply: Reply): JsonObject {
  return { id: picture.id, mimeType: picture.mimeType, caption: caption(creditLine(picture, reply.locale)) };
}

/** Cut at a grapheme where it is too long; entities keep names from notifying anybody. */
function caption(text: string): JsonObject {
  const [first] = splitText(clean(text).trim(), { limit: telegramLimits.caption - 1 });
  const body = first?.body.trim() ?? '';
  const cut = body.length < clean(text).trim().length ? `${body}…` : body;
  const entities = [...cut.matchAll(/@[A-Za-z]\w{2,}/g)].map((match) => ({ type: 'code', offset: match.index, length: match[0].length }));
  return { text: cut, entities: entities.slice(0, telegramLimits.entities) };
}
