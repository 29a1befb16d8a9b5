// What every kind of source gives: one picture with what is said about it.

/** One picture of a source. */
export interface SourceItem {
  /** Names it within its source and changes with its content where that can be known: same key, same picture. */
  readonly key: string;
  /** What people are told when it is skipped. */
  readonly name: string;
  /** @throws when it cannot be read or fetched */
  readonly load: () => Promise<Uint8Array>;
  readonly caption: string | null;
  readonly source?: string;
  readonly licence?: string;
  readonly tags?: readonly string[];
  readonly contentClass?: string;
}

const extensions = /\.(jpe?g|png|webp|gif)$/i;

export function looksLikePicture(file: string): boolean {
  return extensions.test(file);
}

/** A file's name as words: `my_red-dog.jpg` -> `my red dog`. */
export function altOf(name: string): string {
  const last = name.split(/[?#]/)[0]!.split('/').at(-1)!;
  return last.replace(/\.[a-z0-9]+$/i, '').replaceAll(/[_-]+/g, ' ').trim() || 'a picture';
}
