// Where pictures to ingest come from: a folder, a TSV, a JSONL file or a tar archive, each read as a stream
// of items in a fixed order, so that work can go on where it stopped.
import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { extname, resolve } from 'node:path';
import { readTsv } from '../../formats/index.ts';
import { FromageError } from '../../errors.ts';
import { placed } from './placed.ts';
import { readFolder } from './read-folder.ts';
import { readJsonl } from './read-jsonl.ts';
import { readTar } from './read-tar.ts';
import type { SourceItem } from './source-item.ts';

export interface PictureSource {
  /** The same for the same content at the same place; a cursor of another one is not used. */
  readonly fingerprint: string;
  /** Absolute path. */
  readonly path: string;
  items(): AsyncGenerator<SourceItem, void, undefined>;
}

export interface SourceOptions {
  /** Fetches what is an address instead of a path; absent: such rows are skipped with that reason. */
  readonly fetchPicture?: (url: string) => Promise<Uint8Array>;
  /** Captions by file name for a folder or a tar, from a TSV with the header `caption<TAB>image`; the first of a picture counts. */
  readonly captions?: string;
}

/** @throws FromageError `RETRIEVAL_SOURCE` for what is none of the four */
export async function openSource(path: string, options: SourceOptions = {}): Promise<PictureSource> {
  const absolute = resolve(path);
  const facts = await stat(absolute).catch((cause: Error) => {
    throw new FromageError({ code: 'RETRIEVAL_SOURCE', what: `${path} cannot be read: ${cause.message}`, todo: 'give a folder, a .tsv, a .jsonl or a .tar', cause });
  });
  const fingerprint = createHash('sha256').update(facts.isDirectory() ? absolute : `${absolute} ${facts.size} ${Math.floor(facts.mtimeMs)}`).digest('hex');
  const captions = options.captions === undefined ? null : await readCaptions(options.captions);
  const open = (items: PictureSource['items']): PictureSource => ({ fingerprint, path: absolute, items });
  if (facts.isDirectory()) return open(() => readFolder(absolute, captions));
  const name = absolute.toLowerCase();
  if (name.endsWith('.tar') || name.endsWith('.tar.gz') || name.endsWith('.tgz')) return open(() => readTar(absolute, captions));
  if (extname(name) === '.tsv') return open(() => readTable(absolute, options.fetchPicture));
  if (['.jsonl', '.ndjson'].includes(extname(name))) return open(() => readJsonl(absolute, options.fetchPicture));
  throw new FromageError({ code: 'RETRIEVAL_SOURCE', what: `${path} is no folder, TSV, JSONL or tar`, todo: 'give a folder, a .tsv, a .jsonl or a .tar(.gz)' });
}

async function readCaptions(file: string): Promise<ReadonlyMap<string, string>> {
  const captions = new Map<string, string>();
  for await (const { caption, image } of readTsv(file)) if (!captions.has(image)) captions.set(image, caption);
  return captions;
}

/** Rows of a TSV: a path relative to it, or an address; several captions of one picture are one item with the first. */
async function* readTable(file: string, fetchPicture: SourceOptions['fetchPicture']): AsyncGenerator<SourceItem, void, undefined> {
  const seen = new Set<string>();
  for await (const { caption, image } of readTsv(file)) {
    if (seen.has(image)) continue;
    seen.add(image);
    yield { ...(await placed(file, image, fetchPicture)), caption };
  }
}
