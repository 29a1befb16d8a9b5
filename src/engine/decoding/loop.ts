// Small models fall into loops: the same words again and again until the length runs out. This rule sees
// that from the ids alone.

/** Repeats of one piece that make a loop. */
const repeats = 3;
/** A loop covers at least this many tokens, so that "no, no, no" or a row of dashes may stand. */
const leastTokens = 18;
/** The longest piece that is looked for. */
const longestPiece = 40;

/** Whether the answer ends in three or more copies of one piece of 1 to 40 tokens, 18 tokens or more in all. */
export function endsInLoop(ids: readonly number[]): boolean {
  for (let period = 1; period <= longestPiece; period++) {
    const length = Math.max(period * repeats, leastTokens);
    if (length > ids.length) break;
    let same = true;
    for (let i = ids.length - length + period; same && i < ids.length; i++) same = ids[i] === ids[i - period];
    if (same) return true;
  }
  return false;
}
