// A caption as the words that the field's caption metrics count: those of pycocoevalcap, which runs Stanford's
// PTBTokenizer with -lowerCase and drops a list of punctuation. Written from how that pair behaves; what it
// does to captions is followed with its oddities (a bracket becomes the word -lrb- and stays), what it does to
// other kinds of text is not.

/** Letters of a pattern in either case. Spelled out: `(?i:…)` was seen to stop matching in a process that had run long. */
const anyCase = (pattern: string): string => pattern.replace(/\\.|[a-z]/g, (part) => (part.length > 1 ? part : `[${part}${part.toUpperCase()}]`));

const abbreviations = anyCase('mr|mrs|ms|dr|jr|sr|st|mt|vs|v|etc|no(?=\\.\\s*\\d)|prof|gen|lt|capt|sgt|rev|gov|sen|col|inc|co|corp|ltd|ave|blvd|rd|ft|ph\\.d|jan|feb|mar|apr|aug|sept|sep|oct|nov|dec|mon');
const word = '[\\p{L}\\p{N}_]+';
const clitic = `'(?:${anyCase('s|re|ve|ll|d|m')})(?![\\p{L}\\p{N}])`;
/** Words go on over a full stop without a space ("avrovulcan.com"), a hyphen, a slash, and an apostrophe with no clitic behind it. */
const joined = `${word}(?:(?:[.!?](?=\\p{L})|[/-]|(?!${clitic})')${word})*`;

const token = new RegExp(
  [
    'https?://[^\\s"<>]+',
    '(?<![\\w.+-])[\\w.+-]+@[\\w-]+(?:\\.[\\w-]+)+',
    // a.m. and D.C. with their last full stop, abbreviations and initials with theirs.
    `(?<![\\p{L}\\p{N}])(?:\\p{L}\\.)+\\p{L}\\.(?!\\p{L})`,
    `(?<![\\p{L}\\p{N}])(?:(?:${abbreviations})|[A-Z])\\.(?!\\p{L})`,
    '[A-Z]+(?:&[A-Z]+)+',
    "(?<![\\p{L}\\p{N}])'n'",
    `(?<![\\p{L}\\p{N}])'(?:\\d\\ds|${anyCase('em|tis|twas')})(?![\\p{L}\\p{N}])`,
    // Numbers; those with letters or hyphens behind them are words.
    `[+-]?(?:\\d+(?:[.,:/]\\d+)*|\\.\\d+)(?![\\p{L}\\p{N}_]|[/-][\\p{L}\\p{N}])`,
    clitic,
    joined,
    '[#@][\\p{L}_]+[\\p{L}\\p{N}_]*',
    '</?\\p{L}+>',
    '[?!]{2,}',
    '[()[\\]{}]',
    '[#%$=*+~^|\\\\&<>@/]',
  ].join('|'),
  'gu',
);

const spelled: Readonly<Record<string, readonly string[]>> = {
  '(': ['-lrb-'], ')': ['-rrb-'], '[': ['-lsb-'], ']': ['-rsb-'], '{': ['-lcb-'], '}': ['-rcb-'],
  cannot: ['can', 'not'], gonna: ['gon', 'na'], gotta: ['got', 'ta'], wanna: ['wan', 'na'], gimme: ['gim', 'me'], lemme: ['lem', 'me'],
  "'tis": ["'t", 'is'], "'twas": ["'t", 'was'], "y'all": ["y'", 'all'],
};

export function ptbWords(caption: string): string[] {
  const plain = caption.replace(/[‘’]/g, "'");
  return Array.from(plain.matchAll(token), ([found]) => found.toLowerCase()).flatMap((found) => {
    if (Object.hasOwn(spelled, found)) return spelled[found]!;
    return found.endsWith("n't") && found !== "n't" ? [found.slice(0, -3), "n't"] : [found];
  });
}
