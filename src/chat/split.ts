// Cuts a long text into pieces that fit a platform's limit: at paragraphs, lines, sentences or words,
// never inside a grapheme, with a code block closed before a cut and opened again after it.

/** One piece. `open + body + close` is what is sent; the bodies joined are the text. */
export interface TextPiece {
  readonly open: string;
  readonly body: string;
  readonly close: string;
}

export interface SplitOptions {
  /** UTF-16 units that one piece may have, as `cost` counts them; at least 64. */
  readonly limit: number;
  /** Upper bound of what one UTF-16 unit outside a code block costs once escaped; 1 by default. */
  readonly cost?: (unit: string) => number;
}

/** A code block: `start` at its first line, `inner` after it, `end` before its closing line. */
export interface Fence {
  readonly start: number;
  readonly inner: number;
  readonly end: number;
  /** After the closing line's backticks; the text's length when it was never closed. */
  readonly stop: number;
  readonly marker: string;
}

const graphemes = new Intl.Segmenter(undefined, { granularity: 'grapheme' });
const sentences = new Intl.Segmenter(undefined, { granularity: 'sentence' });
const openingLine = /^ {0,3}(`{3,})[^`\n]{0,24}$/;

/** The code blocks of a text, in order. An opening line longer than 24 characters of info is plain text. */
export function findFences(text: string): Fence[] {
  const fences: Fence[] = [];
  let open: { start: number; inner: number; marker: string; ticks: string } | null = null;
  for (let start = 0; start <= text.length; ) {
    const newline = text.indexOf('\n', start);
    const stop = newline < 0 ? text.length : newline;
    const line = text.slice(start, stop);
    const match = openingLine.exec(line);
    if (match && !open && newline >= 0 && match[1]!.length <= 8) {
      open = { start, inner: newline + 1, marker: line.trim(), ticks: match[1]! };
    } else if (match && open && match[1]!.length >= open.ticks.length && line.trim() === match[1]) {
      fences.push({ start: open.start, inner: open.inner, end: start, stop, marker: open.marker });
      open = null;
    }
    if (newline < 0) break;
    start = newline + 1;
  }
  if (open) fences.push({ start: open.start, inner: open.inner, end: text.length, stop: text.length, marker: open.marker });
  return fences;
}

/**
 * Splits a text. Every piece, code-block repairs included, costs at most `limit`; a single grapheme
 * that alone is longer than the limit is cut between code points, since nothing else could be sent.
 */
export function splitText(text: string, options: SplitOptions): TextPiece[] {
  const limit = Math.max(64, options.limit);
  const cost = options.cost ?? (() => 1);
  const fences = findFences(text);
  const pieces: TextPiece[] = [];
  for (let from = 0; from < text.length; ) {
    const opened = fences.find((fence) => from >= fence.inner && from < fence.end);
    const open = opened ? `${opened.marker}\n` : '';
    const room = limit - open.length;
    let to = farthest(text, from, room, fences, cost);
    if (to < text.length) to = chooseCut(text, from, to, fences);
    // A block that stays open at the cut needs its closing line: give room back until it fits.
    let closing = closingOf(fences, to, text);
    if (closing !== '' && spent(text, from, to, fences, cost) + closing.length > room) {
      // One more unit: the closing line may need a line break of its own at the new cut.
      to = farthest(text, from, room - closing.length - 1, fences, cost);
      to = chooseCut(text, from, to, fences);
      closing = closingOf(fences, to, text);
    }
    pieces.push({ open, body: text.slice(from, to), close: closing });
    from = to;
  }
  return pieces;
}

/** What has to follow a piece that ends at `to`. */
function closingOf(fences: readonly Fence[], to: number, text: string): string {
  const fence = fences.find(({ inner, end, stop }) => (to >= inner && to <= end && end > inner && to < stop) || (to === text.length && to >= inner && to === end && end === stop));
  if (!fence) return '';
  const ticks = /`+/.exec(fence.marker)![0];
  return text[to - 1] === '\n' ? ticks : `\n${ticks}`;
}

function insideFence(fences: readonly Fence[], at: number): boolean {
  return fences.some(({ start, stop }) => at >= start && at < stop);
}

/** The end of the longest run from `from` that costs at most `room`; at least one code point long. */
function farthest(text: string, from: number, room: number, fences: readonly Fence[], cost: (unit: string) => number): number {
  let used = 0;
  let at = from;
  while (at < text.length) {
    used += insideFence(fences, at) ? 1 : cost(text[at]!);
    if (used > room) break;
    at++;
  }
  return at === from ? from + codePointLength(text, from) : at;
}

function spent(text: string, from: number, to: number, fences: readonly Fence[], cost: (unit: string) => number): number {
  let used = 0;
  for (let at = from; at < to; at++) used += insideFence(fences, at) ? 1 : cost(text[at]!);
  return used;
}

function codePointLength(text: string, at: number): number {
  return text.codePointAt(at)! > 0xffff ? 2 : 1;
}

/** The best border in (from, to]: block, paragraph, line, sentence, word, grapheme, code point. */
function chooseCut(text: string, from: number, to: number, fences: readonly Fence[]): number {
  const least = from + Math.floor((to - from) / 2);
  const allowed = (at: number): boolean => at > from && at <= to && !fences.some((fence) => splitsMarker(fence, at)) && !makesMarker(text, at);
  const window = text.slice(from, to);

  const block = fences.findLast(({ start }) => start > least && start <= to)?.start;
  if (block !== undefined && allowed(block)) return block;
  for (const border of ['\n\n', '\n']) {
    for (let at = window.lastIndexOf(border); at >= 0; at = at === 0 ? -1 : window.lastIndexOf(border, at - 1)) {
      const cut = from + at + border.length;
      if (cut <= least) break;
      if (allowed(cut)) return cut;
    }
  }
  // Two more units let the segmenters see what follows the border.
  const ahead = text.slice(from, to + 2);
  const bySentence = lastBorder(sentences, ahead, from, to, (at) => at > least && allowed(at));
  if (bySentence !== null) return bySentence;
  for (let at = to; at > least; at--) {
    if (/\s/.test(text[at - 1]!) && allowed(at) && isGraphemeBorder(text, from, at)) return at;
  }
  const byGrapheme = lastBorder(graphemes, ahead, from, to, allowed);
  if (byGrapheme !== null) return byGrapheme;
  // A grapheme longer than the limit, or nothing but a marker: between code points.
  let at = to;
  if (at > from + 1 && isLowSurrogate(text, at)) at--;
  return at;
}

function splitsMarker(fence: Fence, at: number): boolean {
  const inOpening = at > fence.start && at < fence.inner;
  const inClosing = at > fence.end && at < fence.stop;
  return inOpening || inClosing;
}

/** Backticks in the middle of a line would open a block once they stand at the beginning of a piece. */
function makesMarker(text: string, at: number): boolean {
  return text[at - 1] !== '\n' && /^ {0,3}`{3,}/.test(text.slice(at, at + 6));
}

function isLowSurrogate(text: string, at: number): boolean {
  const unit = text.charCodeAt(at);
  const before = text.charCodeAt(at - 1);
  return unit >= 0xdc00 && unit <= 0xdfff && before >= 0xd800 && before <= 0xdbff;
}

function isGraphemeBorder(text: string, from: number, at: number): boolean {
  const start = Math.max(from, at - 2);
  const tail = text.slice(start, at + 2);
  for (const { index } of graphemes.segment(tail)) if (start + index === at) return true;
  return at === text.length;
}

function lastBorder(by: Intl.Segmenter, ahead: string, from: number, to: number, allowed: (at: number) => boolean): number | null {
  let best: number | null = null;
  for (const { index } of by.segment(ahead)) {
    const at = from + index;
    if (at > to) break;
    if (index > 0 && allowed(at)) best = at;
  }
  return best;
}
