// Writes gallery.json beside this file: the pictures of @lobehub/fluent-emoji-3d that stand for one code
// point (a trailing fe0f not counted), with the lower-case Unicode name of that code point and the English
// CLDR keywords that tell it from the others. Run when one of its sources changes; none is a dependency:
//
//   npm pack @unicode/unicode-14.0.0@2.0.7 cldr-annotations-full@48.2.0      (in an empty folder)
//   for archive in *.tgz; do mkdir "${archive%.tgz}" && tar xzf "$archive" -C "${archive%.tgz}"; done
//   node models/starter/gallery.ts <that folder>                              (from here)
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

interface Entry {
  readonly file: string;
  readonly codepoint: number;
  readonly name: string;
}

/** CLDR's words for a character: `tts` is its short name. */
interface Annotation {
  readonly default?: readonly string[];
  readonly tts?: readonly string[];
}

/** A word that more pictures share than this is as often wrong as right when it is asked for. */
const mostHolders = 3;
/** Names are to stay a good part of what is drawn. */
const mostKeywords = 4;
const wordlike = /^\p{L}[\p{L} ’'-]+\p{L}$/u;

async function main(sources: string): Promise<void> {
  const { default: unicodeNames } = (await import(pathToFileURL(join(sources, 'unicode-unicode-14.0.0-2.0.7/package/Names/index.mjs')).href)) as { default: ReadonlyMap<number, string> };
  const cldr = JSON.parse(readFileSync(join(sources, 'cldr-annotations-full-48.2.0/package/annotations/en/annotations.json'), 'utf8')) as { annotations: { annotations: Readonly<Record<string, Annotation>> } };
  const entries = namedPictures(join(import.meta.dirname, '../../node_modules/@lobehub/fluent-emoji-3d/assets'), unicodeNames);
  const keywords = distinguishing(entries, cldr.annotations.annotations);
  const lines = entries.map((entry, i) => JSON.stringify({ ...entry, keywords: keywords[i] }));
  writeFileSync(join(import.meta.dirname, 'gallery.json'), `[\n${lines.join(',\n')}\n]\n`);
  console.log(`${entries.length} pictures, ${keywords.flat().length} keywords, ${keywords.filter((words) => words.length === 0).length} pictures without one`);
}

function namedPictures(folder: string, unicodeNames: ReadonlyMap<number, string>): readonly Entry[] {
  return readdirSync(folder).filter((file) => file.endsWith('.webp')).sort().flatMap((file): Entry[] => {
    const points = file.slice(0, -'.webp'.length).split('-').filter((part) => part !== 'fe0f').map((part) => Number.parseInt(part, 16));
    const [codepoint] = points;
    const name = points.length === 1 && codepoint !== undefined ? unicodeNames.get(codepoint) : undefined;
    return name === undefined || codepoint === undefined ? [] : [{ file, codepoint, name: name.toLowerCase() }];
  });
}

/**
 * Keywords of each picture: held by few pictures and no picture's name. The short name comes first, then
 * words of the picture's own name, then the rarest; equal ones by the alphabet.
 */
function distinguishing(entries: readonly Entry[], annotations: Readonly<Record<string, Annotation>>): readonly (readonly string[])[] {
  const annotationOf = ({ codepoint }: Entry): Annotation => annotations[String.fromCodePoint(codepoint)] ?? {};
  const lower = (words: readonly string[] | undefined): string[] => (words ?? []).map((word) => word.toLowerCase());
  const all = entries.map((entry) => [...new Set([...lower(annotationOf(entry).tts), ...lower(annotationOf(entry).default)])]);
  const holders = new Map<string, number>();
  for (const word of all.flat()) holders.set(word, (holders.get(word) ?? 0) + 1);
  const names = new Set(entries.map(({ name }) => name));

  return entries.map((entry, i) => {
    const shortNames = lower(annotationOf(entry).tts);
    const ownWords = new Set(entry.name.split(/[ -]/));
    const rank = (word: string): number => (shortNames.includes(word) ? 0 : ownWords.has(word) ? 1 : 1 + (holders.get(word) ?? 0));
    return all[i]!
      .filter((word) => wordlike.test(word) && !names.has(word) && (holders.get(word) ?? 0) <= mostHolders)
      .sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1))
      .slice(0, mostKeywords);
  });
}

const [sources] = process.argv.slice(2);
if (sources === undefined) throw new Error('usage: node models/starter/gallery.ts <folder of the unpacked sources>');
await main(sources);
