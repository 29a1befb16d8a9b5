// A text as words that carry meaning: lower case, clitics apart, punctuation dropped, hyphenated words whole.
// (Caption metrics count the field's own words: ptb-words.ts.)

const clitics = /(n't|'s|'re|'ve|'ll|'d|'m)$/;
/** Words that stand in almost every caption and tell nothing of a picture. */
const functionWords = new Set('a an the and or but of in on at to for with by from as is are was were be been being am it its this that these those there he she they them his her their him i you we us our your who which what while into onto over under up down out off near next through do does have has had not no so some one two'.split(' '));

export function wordsOf(caption: string): string[] {
  return caption
    .toLowerCase()
    .replaceAll('’', "'")
    .split(/[^\p{L}\p{N}'-]+/u)
    .flatMap((word) => {
      const clitic = clitics.exec(word)?.[0];
      return clitic && clitic.length < word.length ? [word.slice(0, -clitic.length), clitic] : [word];
    })
    .map((word) => (clitics.test(word) ? word : word.replace(/^['-]+|['-]+$/g, '')))
    .filter((word) => word !== '' && word !== "'");
}

export function contentWords(caption: string): string[] {
  return wordsOf(caption).filter((word) => !functionWords.has(word) && !word.includes("'"));
}

/** n-grams with their counts; the words of one are joined by a space. */
export function countGrams(words: readonly string[], n: number): Map<string, number> {
  const counts = new Map<string, number>();
  for (let i = 0; i + n <= words.length; i++) {
    const gram = words.slice(i, i + n).join(' ');
    counts.set(gram, (counts.get(gram) ?? 0) + 1);
  }
  return counts;
}
