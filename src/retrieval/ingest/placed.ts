// A picture that a line of a file names: a path beside that file, or an address to fetch.
import { readFile, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { FromageError } from '../../errors.ts';
import type { SourceItem } from './source-item.ts';

const maxFileBytes = 64 * 2 ** 20;

/** @param file the list that names it */
export async function placed(file: string, image: string, fetchPicture: ((url: string) => Promise<Uint8Array>) | undefined): Promise<Pick<SourceItem, 'key' | 'name' | 'load' | 'source'>> {
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(image)) {
    const load = async () => {
      if (!fetchPicture) throw new FromageError({ code: 'FETCH_ADDRESS', what: 'addresses are not fetched here', todo: 'run without --no-fetch' });
      return await fetchPicture(image);
    };
    return { key: image, name: image, source: image, load };
  }
  const path = resolve(dirname(file), image);
  return { ...(await fileItem(path)), name: image };
}

/** A file whose key changes when it is written again. */
export async function fileItem(path: string): Promise<Pick<SourceItem, 'key' | 'load'>> {
  const facts = await stat(path).catch(() => null);
  const load = async () => {
    if (facts && facts.size > maxFileBytes) throw new FromageError({ code: 'FETCH_SIZE', what: `the file has ${facts.size} bytes`, todo: 'the picture is skipped' });
    return new Uint8Array(await readFile(path));
  };
  return { key: `${path} ${facts?.size ?? 0} ${Math.floor(facts?.mtimeMs ?? 0)}`, load };
}
