// Places a prompt in the context window before any number is computed: which token or picture stands at
// which position, and what had to be left out for it to fit.
import { FromageError } from '../errors.ts';
import type { Tokenizer } from '../tokenizer/index.ts';
import { layOutTurns, type PromptRun } from './prompt-styles.ts';
import type { EngineImage, Prompt, PromptStyle, PromptTurn } from './types.ts';

export interface LayoutOptions {
  readonly tokenizer: Tokenizer;
  /** The adapter's k: positions that a picture takes. */
  readonly visualTokens: number;
  /** Positions that the prompt may take: the context window less what is kept for the answer. */
  readonly maxPositions: number;
  /** For turns that name no style. */
  readonly style: PromptStyle;
  /** In place of the tokenizer's own (the starter was trained without a system prompt). */
  readonly chatTemplate?: string;
}

/** Marks a position of a picture in `tokenIds`. */
export const imagePosition = -1;

export interface PromptLayout {
  /** One entry per position: a token id, or −1 inside a picture. */
  readonly tokenIds: readonly number[];
  /** In order; each takes `visualTokens` positions from `position` on. */
  readonly images: readonly { readonly position: number; readonly image: EngineImage }[];
  readonly length: number;
  /** True positions of [RET]. */
  readonly retPositions: readonly number[];
  /** Oldest turns that did not fit. */
  readonly droppedTurns: number;
  /** Characters (UTF-16 units) cut from the left of the last turn's text because it did not fit by itself. */
  readonly cutCharacters: number;
}

/**
 * Lays a prompt out.
 *
 * Segments are encoded one by one as the reference encodes its list of strings: what the tokenizer puts
 * first (`</s>` for OPT) is kept for the first string only. Turns are laid out by a style; the oldest are
 * dropped until the rest and the answer fit (an answer is never left without its question), and if the
 * last turn alone is too long, its text is cut from the left.
 *
 * @throws FromageError `MODEL_PROMPT_TOO_LONG` with both numbers when nothing more can be left out
 */
export function layOutPrompt(prompt: Prompt, options: LayoutOptions): PromptLayout {
  const encode = rememberingEncoder(options.tokenizer);
  if (prompt.kind === 'segments') {
    const runs = prompt.segments.map((segment): PromptRun => (segment.type === 'text' ? { pieces: [{ text: segment.text, trusted: segment.trusted ?? false }] } : { image: segment.image }));
    const layout = place(runs, options, encode, true);
    if (layout.length > options.maxPositions) throw tooLong(layout.length, options);
    return layout;
  }
  const style = prompt.style ?? options.style;
  const { tokenizer } = options;
  const context = {
    chatTemplate: options.chatTemplate ?? tokenizer.chatTemplate,
    bosToken: tokenizer.bosTokenId === null ? null : tokenizer.token(tokenizer.bosTokenId),
    eosToken: tokenizer.eosTokenId === null ? null : tokenizer.token(tokenizer.eosTokenId),
  };
  const layOut = (turns: readonly PromptTurn[]): PromptLayout => place(layOutTurns(turns, style, context), options, encode, style !== 'chat');
  return fitTurns(prompt.turns, options, layOut);
}

function fitTurns(turns: readonly PromptTurn[], options: LayoutOptions, layOut: (turns: readonly PromptTurn[]) => PromptLayout): PromptLayout {
  const budget = options.maxPositions;
  const from = (dropped: number): PromptLayout => layOut(turns.slice(dropped));
  const whole = from(0);
  if (whole.length <= budget) return whole;
  // Lengths shrink with every turn dropped: the smallest number that fits, by halves.
  let low = 1;
  let high = Math.max(1, turns.length - 1);
  while (low < high) {
    const middle = (low + high) >> 1;
    if (from(middle).length <= budget) high = middle;
    else low = middle + 1;
  }
  while (low < turns.length - 1 && turns[low]?.role === 'assistant') low++;
  const dropped = Math.min(low, Math.max(0, turns.length - 1));
  const layout = from(dropped);
  if (layout.length <= budget) return { ...layout, droppedTurns: dropped };
  const last = turns[dropped];
  if (last === undefined) throw tooLong(layout.length, options);
  return { ...cutLastTurn(last, layout, options, layOut), droppedTurns: dropped };
}

/** Cuts tokens from the left of the turn's text until it fits; pictures and the style's own text stay. */
function cutLastTurn(turn: PromptTurn, first: PromptLayout, options: LayoutOptions, layOut: (turns: readonly PromptTurn[]) => PromptLayout): PromptLayout {
  const budget = options.maxPositions;
  let parts = [...turn.parts];
  let layout = first;
  let cutCharacters = 0;
  while (layout.length > budget) {
    const at = parts.findIndex((part) => part.type === 'text' && part.text !== '');
    const part = parts[at];
    if (part?.type !== 'text') throw tooLong(layout.length, options);
    const ids = options.tokenizer.encode(part.text, { trusted: false });
    const kept = ids.slice(layout.length - budget);
    // The cut may fall inside a code point; its rest is dropped as well.
    const rest = options.tokenizer.decode(kept, { skipSpecial: false }).replace(/^\ufffd+/, '');
    const text = part.text.endsWith(rest) && rest.length < part.text.length ? rest : part.text.slice(Math.ceil(part.text.length / 2)).replace(/^[\udc00-\udfff]/, '');
    cutCharacters += part.text.length - text.length;
    parts = parts.map((other, index) => (index === at ? { ...part, text } : other));
    layout = layOut([{ ...turn, parts }]);
  }
  return { ...layout, cutCharacters };
}

function place(runs: readonly PromptRun[], { tokenizer, visualTokens }: LayoutOptions, encode: Encoder, begin: boolean): PromptLayout {
  const tokenIds: number[] = [];
  const images: { position: number; image: EngineImage }[] = [];
  let begun = !begin;
  for (const run of runs) {
    if ('image' in run) {
      images.push({ position: tokenIds.length, image: run.image });
      for (let i = 0; i < visualTokens; i++) tokenIds.push(imagePosition);
      continue;
    }
    if (!begun) tokenIds.push(...tokenizer.beginIds);
    begun = true;
    for (const id of encode(run)) tokenIds.push(id);
  }
  const retPositions = tokenIds.flatMap((id, position) => (id === tokenizer.retTokenId ? [position] : []));
  return { tokenIds, images, length: tokenIds.length, retPositions, droppedTurns: 0, cutCharacters: 0 };
}

type Encoder = (run: { readonly pieces: readonly { readonly text: string; readonly trusted: boolean }[] }) => readonly number[];

/** The search for what fits lays the same turns out several times; each text is encoded once. */
function rememberingEncoder(tokenizer: Tokenizer): Encoder {
  const known = new Map<string, readonly number[]>();
  return ({ pieces }) => {
    const key = JSON.stringify(pieces);
    let ids = known.get(key);
    if (ids === undefined) known.set(key, (ids = tokenizer.encodePieces(pieces)));
    return ids;
  };
}

function tooLong(length: number, options: LayoutOptions): FromageError {
  return new FromageError({
    code: 'MODEL_PROMPT_TOO_LONG',
    what: `the prompt has ${length} positions, ${options.maxPositions} fit`,
    why: 'the context window holds the prompt and the answer',
    todo: 'shorten the prompt, send fewer pictures at once, or ask for fewer new tokens',
    userMessage: 'That is more than I can read at once.',
  });
}
