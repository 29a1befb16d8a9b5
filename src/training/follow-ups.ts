// Requests that come after a picture was shown: for something else, or for another of the same kind. Only
// for the second part of a run, where the [RET] row and the visual tokens before them are at rest.
import { asTyped } from './chat-form.ts';
import { pictureKey, type PairExample } from './examples.ts';
import type { PromptForm } from './prompt-form.ts';
import type { Random } from './random.ts';

const otherRequests: readonly string[] = [
  'Show me another {}', 'Show me any other {}', 'Show me a different {}', 'Another {}, please', 'Do you have another {}?', 'Can I see one more {}?', 'Now another picture of a {}', 'Any other {}?',
];
const moreRequests: readonly string[] = ['Show me another one', 'Another one, please', 'One more', 'Do you have any other?', 'Show me a different one', 'More of these, please'];

/** Among names: how many pictures may share a word that "another …" says. */
const kindSizes = { least: 2, most: 12 };

/**
 * @param pairs of one source
 * @returns `count` pairs with a request and its picture before them; of names that share a word with others
 *   half are asked for as "another", a quarter of these without the word
 */
export function followUps(pairs: readonly PairExample[], count: number, form: Pick<PromptForm, 'request'>, random: Random): PairExample[] {
  const plain = pairs.filter(({ request, unlikely }) => request === undefined && !unlikely);
  if (new Set(plain.map(({ picture }) => pictureKey(picture))).size < 2) return [];
  const kinds = kindsOf(plain.filter(({ isName }) => isName));
  const pick = <T>(list: readonly T[]): T => list[random.integer(list.length)]!;
  /** Of another picture; there are at least two. */
  const other = (list: readonly PairExample[], { picture }: PairExample): PairExample => {
    for (;;) {
      const found = pick(list);
      if (pictureKey(found.picture) !== pictureKey(picture)) return found;
    }
  };
  const after = (shown: PairExample, pair: PairExample): PairExample => ({ ...pair, before: [form.request(shown, random), shown.picture] });
  return Array.from({ length: count }, () => {
    const pair = pick(plain);
    const shared = kinds.get(pictureKey(pair.picture)) ?? [];
    if (shared.length === 0 || random.uniform() < 0.5) return after(other(plain, pair), pair);
    const { word, members } = pick(shared);
    const request = asTyped(random.uniform() < 0.25 ? pick(moreRequests) : pick(otherRequests).replace('{}', () => word), random);
    // Whoever asks for another dog asked for a dog, whatever the picture that came is called.
    const shown = other(members, pair);
    return { ...after(random.uniform() < 0.5 ? { ...shown, caption: word } : shown, pair), request };
  });
}

interface Kind {
  readonly word: string;
  readonly members: readonly PairExample[];
}

/** By picture, the words of its names that a few other pictures share. */
function kindsOf(named: readonly PairExample[]): ReadonlyMap<string, readonly Kind[]> {
  const byWord = new Map<string, Map<string, PairExample>>();
  for (const pair of named) {
    for (const word of new Set(pair.caption.toLowerCase().split(/[^\p{L}\p{N}]+/u).filter(({ length }) => length > 2))) {
      if (!byWord.has(word)) byWord.set(word, new Map());
      byWord.get(word)!.set(pictureKey(pair.picture), pair);
    }
  }
  const kinds = new Map<string, Kind[]>();
  for (const [word, pictures] of byWord) {
    if (pictures.size < kindSizes.least || pictures.size > kindSizes.most) continue;
    const members = [...pictures.values()];
    for (const key of pictures.keys()) kinds.set(key, [...(kinds.get(key) ?? []), { word, members }]);
  }
  return kinds;
}
