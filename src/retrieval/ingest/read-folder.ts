// Pictures of a folder and the folders in it, in the order of their names; captions from a text or JSON
// file beside a picture (`dog.jpg` + `dog.txt`), a TSV, or the file's name.
import { readdir, readFile } from 'node:fs/promises';
import { basename, join, relative } from 'node:path';
import { FromageError } from '../../errors.ts';
import { fileItem } from './placed.ts';
import { readSidecar, type Sidecar } from './sidecar.ts';
import { looksLikePicture, type SourceItem } from './source-item.ts';

const maxSidecarBytes = 65_536;

export async function* readFolder(folder: string, captions: ReadonlyMap<string, string> | null): AsyncGenerator<SourceItem, void, undefined> {
  let found;
  try {
    found = await readdir(folder, { recursive: true, withFileTypes: true });
  } catch (cause) {
    throw new FromageError({ code: 'RETRIEVAL_SOURCE', what: `the folder cannot be read: ${(cause as Error).message}`, todo: 'give a folder of pictures', cause });
  }
  const all = new Set(found.filter((item) => item.isFile()).map((item) => relative(folder, join(item.parentPath, item.name))));
  for (const file of [...all].filter(looksLikePicture).sort()) {
    const path = join(folder, file);
    const beside: Sidecar = { caption: captions?.get(file) ?? captions?.get(basename(file)) ?? null };
    for (const kind of ['.txt', '.json']) {
      const sidecar = file.replace(/\.[^.]+$/, kind);
      if (beside.caption === null && all.has(sidecar)) Object.assign(beside, readSidecar(kind, (await readFile(join(folder, sidecar))).subarray(0, maxSidecarBytes)));
    }
    yield { ...(await fileItem(path)), name: file, source: file, ...beside };
  }
}
