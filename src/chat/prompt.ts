// Makes the engine's prompt of a conversation's stored turns: text as untrusted text, pictures as bytes,
// ` [RET]` where the bot showed one. The engine itself drops the oldest turns that do not fit.
import type { Prompt, PromptSegment, PromptTurn } from '../engine/types.ts';
import type { Turn, TurnPart } from './contracts.ts';

/** Bytes of a picture in a turn; null when they are gone (then the turn goes on without it). */
export type PictureBytes = (part: Extract<TurnPart, { type: 'image' }>) => Promise<Uint8Array | null>;

export interface PromptOptions {
  readonly turns: readonly Turn[];
  readonly bytesOf: PictureBytes;
  /** Only the last question. */
  readonly lastOnly?: boolean;
  /** The newest so many pictures are read; older ones are left out. Default 64. */
  readonly maxPictures?: number;
}

/** What the model is asked when a picture comes without words. The adapters know this question. */
export const pictureQuestion = 'What is in this picture?';

/** The form of request that adapters were trained with. */
export function showRequest(what: string): string {
  return /^(show|find|give|i want|can you|could you|do you|please|покажи|найди)\b/i.test(what) ? what : `Show me ${what}`;
}

/** True when a request asks for something that was not shown yet. */
export function asksForAnother(text: string): boolean {
  return /\b(other|another|else|different|more|next|new)\b/i.test(text) || /(друг(ой|ую|ое|ие|их)|ещ[её]|нов(ый|ую|ое))/i.test(text);
}

/**
 * @returns turns, oldest first, ending with the last question. Consecutive questions (one was not
 * answered) are joined into one turn, for prompt styles alternate.
 */
export async function buildPrompt(options: PromptOptions): Promise<Prompt> {
  const { bytesOf } = options;
  const turns = options.lastOnly ? options.turns.slice(-1) : options.turns;
  const keep = newestPictures(turns, options.maxPictures ?? 64);
  const laidOut: { role: 'user' | 'assistant'; parts: PromptSegment[] }[] = [];
  for (const turn of turns) {
    const parts: PromptSegment[] = [];
    for (const part of turn.parts) {
      if (part.type === 'text') {
        if (part.text !== '') parts.push({ type: 'text', text: part.text });
        continue;
      }
      // A picture the bot showed stands behind its [RET], which is our own special token.
      if (turn.role === 'assistant') parts.push({ type: 'text', text: ' [RET]', trusted: true });
      const bytes = keep.has(part) ? await bytesOf(part) : null;
      if (bytes) parts.push({ type: 'image', image: part.hash === '' ? { bytes } : { bytes, hash: part.hash } });
    }
    if (parts.length === 0) continue;
    if (turn.role === 'user' && parts.every(({ type }) => type === 'image')) parts.push({ type: 'text', text: pictureQuestion });
    const last = laidOut.at(-1);
    if (last && last.role === turn.role) last.parts.push({ type: 'text', text: '\n' }, ...parts);
    else laidOut.push({ role: turn.role, parts });
  }
  while (laidOut[0]?.role === 'assistant') laidOut.shift();
  return { kind: 'turns', turns: laidOut satisfies readonly PromptTurn[] };
}

function newestPictures(turns: readonly Turn[], count: number): ReadonlySet<TurnPart> {
  const pictures = turns.flatMap(({ parts }) => parts.filter(({ type }) => type === 'image'));
  return new Set(count > 0 ? pictures.slice(-count) : []);
}
