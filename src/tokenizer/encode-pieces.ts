// Encodes a text of which some stretches are ours and some a user's: markers are looked for in ours alone,
// and what stands between two markers is encoded as one string.
import type { AddedTokenSpec } from './spec.ts';
import type { TextPiece, Tokenizer } from './types.ts';

/** See `Tokenizer.encodePieces`. */
export function encodePieces(tokenizer: Tokenizer, pieces: readonly TextPiece[], added: readonly AddedTokenSpec[]): number[] {
  const byContent = new Map(added.filter((token) => token.content.trim() !== '').map((token) => [token.content, token]));
  // Longest first, so that a marker that begins another is not taken for it.
  const markers = [...byContent.keys()].sort((a, b) => b.length - a.length).map((marker) => marker.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  const splitter = new RegExp(`(${markers.join('|')})`);
  let ids: number[] = [];
  let run = '';
  let stripNext = false;
  const endRun = (stripEnd: boolean): void => {
    const text = stripEnd ? run.trimEnd() : run;
    if (text !== '') ids = ids.concat(tokenizer.encode(text, { trusted: false }));
    run = '';
  };
  const append = (text: string): void => {
    const rest = stripNext ? text.trimStart() : text;
    if (rest !== '') stripNext = false;
    run += rest;
  };
  for (const { text, trusted } of pieces) {
    const parts = trusted && markers.length > 0 ? text.split(splitter) : [text];
    for (const [index, part] of parts.entries()) {
      const marker = index % 2 === 1 ? byContent.get(part) : undefined;
      if (marker === undefined) {
        append(part);
        continue;
      }
      endRun(marker.lstrip ?? false);
      stripNext = marker.rstrip ?? false;
      ids.push(marker.id);
    }
  }
  endRun(false);
  return ids;
}
