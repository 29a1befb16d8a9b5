// ROUGE-L of one caption, as pycocoevalcap counts it: the best precision and the best recall over the
// references (they may come from different ones), joined with beta 1.2.

const beta = 1.2;

/** @returns in [0, 1] */
export function rougeL(caption: readonly string[], references: readonly (readonly string[])[]): number {
  let precision = 0;
  let recall = 0;
  for (const reference of references) {
    const common = longestCommonSubsequence(caption, reference);
    if (caption.length > 0) precision = Math.max(precision, common / caption.length);
    if (reference.length > 0) recall = Math.max(recall, common / reference.length);
  }
  return precision === 0 || recall === 0 ? 0 : ((1 + beta ** 2) * precision * recall) / (recall + beta ** 2 * precision);
}

function longestCommonSubsequence(a: readonly string[], b: readonly string[]): number {
  let above = new Array<number>(b.length + 1).fill(0);
  for (const word of a) {
    const row = [0];
    b.forEach((other, j) => row.push(word === other ? above[j]! + 1 : Math.max(above[j + 1]!, row[j]!)));
    above = row;
  }
  return above[b.length] ?? 0;
}
