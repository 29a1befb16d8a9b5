// Lays a reply out in Discord's forms and limits: messages of 2,000 units and 10 files, alt text of 1,024,
// rows of 5 buttons. Text is escaped so that nothing in it becomes markup or a mention.
import type { JsonObject, JsonValue } from '../../src/chat/contracts.ts';
import { type AnswerPicture, type ButtonAction, creditLine, findFences, type OutUnit, type Reply, type ReplyButton, say, splitText } from '../../src/chat/index.ts';

export const discordLimits = { content: 2_000, files: 10, description: 1_024, customId: 100, buttonsPerRow: 5 } as const;

const codes: Readonly<Record<ButtonAction, string>> = { up: 'u', down: 'd', again: 'a', more: 'm', wrong: 'w', confirm: 'y', cancel: 'n' };
const icons: Readonly<Record<ButtonAction, string>> = { up: '👍', down: '👎', again: '🔁', more: '➕', wrong: '🚫', confirm: '✅', cancel: '✖️' };
const mostCredits = 400;

export function customId(button: ReplyButton): string {
  const id = `${codes[button.action]}:${button.subject}`;
  if (id.length > discordLimits.customId) throw new RangeError(`custom id of ${id.length} characters, at most 100`);
  return id;
}

export function readCustomId(id: string): { action: ButtonAction; subject: string } | null {
  const action = (Object.keys(codes) as ButtonAction[]).find((name) => id.startsWith(`${codes[name]}:`));
  const subject = id.slice(2);
  return action && /^[\w-]{1,98}$/.test(subject) ? { action, subject } : null;
}

const special = /[\\`*_~|<>#[\]]/g;

/** Escapes markdown, mentions, masked links, headings and quotes; code blocks stay code blocks. */
export function escapeText(text: string): string {
  let out = '';
  let at = 0;
  for (const fence of findFences(text)) {
    out += text.slice(at, fence.start).replace(special, '\\$&') + text.slice(fence.start, fence.stop);
    at = fence.stop;
  }
  return out + text.slice(at).replace(special, '\\$&');
}

const cost = (unit: string): number => (unit.search(special) === 0 ? 2 : 1);

interface Draft {
  content: string;
  pictures: AnswerPicture[];
  file: JsonObject | null;
}

export function renderDiscord(reply: Reply): OutUnit[] {
  const drafts: Draft[] = [];
  const add = (part: Partial<Draft>): Draft => {
    const draft = { content: '', pictures: [], file: null, ...part };
    drafts.push(draft);
    return draft;
  };
  // The last words of the part before, if it had any: only they left room for credits.
  let above: Draft | null = null;
  for (const [i, part] of reply.parts.entries()) {
    const before = above;
    above = null;
    if (part.type === 'text') {
      const credits = reply.parts[i + 1]?.type === 'pictures' ? mostCredits + 1 : 0;
      for (const { open, body, close } of splitText(clean(part.text), { limit: discordLimits.content - credits, cost })) {
        const content = escapeText(open + body + close).trim();
        if (isVisible(content)) above = add({ content });
      }
    } else if (part.type === 'pictures') {
      for (let from = 0; from < part.pictures.length; from += discordLimits.files) {
        const pictures = part.pictures.slice(from, from + discordLimits.files);
        // Words before pictures stand above them in one message.
        if (from === 0 && before) before.pictures = pictures;
        else add({ pictures });
      }
    } else add({ file: { name: part.file.name, mimeType: part.file.mimeType, exportOf: part.file.exportOf, tooBig: say(reply.locale, 'mydata.tooBig') } });
  }
  const last = drafts.at(-1);
  return drafts.map((draft) => unitOf(draft, draft === last ? reply.buttons : [], reply));
}

function unitOf(draft: Draft, buttons: readonly ReplyButton[], reply: Reply): OutUnit {
  const credits = creditsOf(draft.pictures, reply);
  const content = [draft.content, credits].filter((text) => text !== '').join('\n');
  const pictures = draft.pictures.map((picture, i): JsonObject => ({
    id: picture.id,
    name: `picture-${i + 1}.${picture.mimeType.split('/')[1]?.replace(/[^a-z]/g, '').slice(0, 5) || 'png'}`,
    mimeType: picture.mimeType,
    description: shorten(creditLine(picture, reply.locale), discordLimits.description),
  }));
  return {
    form: 'message',
    count: 1,
    ...(pictures.length > 0 ? { pictures: pictures.length } : {}),
    ...(reply.complete ? {} : { preview: true }),
    body: { content, pictures, components: rowsOf(buttons), quiet: reply.quiet ?? false, ...(draft.file ? { file: draft.file } : {}) },
  };
}

/** Sources and licences in small print; the descriptions of the files have them too. */
function creditsOf(pictures: readonly AnswerPicture[], reply: Reply): string {
  const lines = new Set<string>();
  for (const picture of pictures) {
    const line = creditLine({ ...picture, alt: '' }, reply.locale).trim().replace(/\s*\n\s*/g, ' · ').replace(/\s+/g, ' ');
    if (line !== '') lines.add(`-# ${escapeText(shorten(line, 150)).replaceAll('`', '')}`);
  }
  let out = '';
  for (const line of lines) {
    const longer = out === '' ? line : `${out}\n${line}`;
    if (longer.length > mostCredits) break;
    out = longer;
  }
  return out;
}

function rowsOf(buttons: readonly ReplyButton[]): JsonValue[] {
  const rows: JsonValue[] = [];
  for (let from = 0; from < buttons.length; from += discordLimits.buttonsPerRow) {
    rows.push({ type: 1, components: buttons.slice(from, from + discordLimits.buttonsPerRow).map(buttonOf) });
  }
  return rows;
}

function buttonOf(button: ReplyButton): JsonObject {
  const { action, number } = button;
  const label = action === 'confirm' || action === 'cancel' ? button.label.slice(0, 80) : number === undefined ? null : String(number);
  return { type: 2, style: action === 'confirm' ? 4 : 2, custom_id: customId(button), emoji: { name: icons[action] }, ...(label === null ? {} : { label }) };
}

function shorten(text: string, limit: number): string {
  const wellFormed = clean(text).trim();
  if (wellFormed.length <= limit) return wellFormed;
  const [first] = splitText(wellFormed, { limit: limit - 1 });
  return `${first?.body.trimEnd() ?? ''}…`;
}

/** Half surrogates and control characters other than tab and line break make a request fail or vanish. */
function clean(text: string): string {
  return text.toWellFormed().replace(/[\u0000-\u0008\u000b-\u001f\u007f]/g, '');
}

function isVisible(text: string): boolean {
  return /[\p{L}\p{N}\p{P}\p{S}]/u.test(text);
}
