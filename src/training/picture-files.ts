// The bytes of pictures by name, from a folder or in one pass over a tar archive.
import { createReadStream, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { resolve, sep } from 'node:path';
import { extract } from 'tar-stream';
import { FromageError } from '../errors.ts';

/** A picture of training data may have at most this many bytes. */
const byteLimit = 64 * 1024 * 1024;

export interface PictureFile {
  readonly name: string;
  /** Null where there is no readable file of that name. */
  readonly bytes: Uint8Array | null;
}

/**
 * Every wanted picture once, in any order; missing ones come last from an archive.
 *
 * @param images folder or tar archive
 * @throws FromageError `TRAINING_IMAGES` when there is neither
 */
export async function* readPictures(images: string, names: ReadonlySet<string>): AsyncGenerator<PictureFile, void, undefined> {
  const isFolder = isDirectory(images);
  if (!isFolder) {
    yield* readArchive(images, names);
    return;
  }
  for (const name of names) yield { name, bytes: await readInside(images, name) };
}

async function* readArchive(file: string, names: ReadonlySet<string>): AsyncGenerator<PictureFile, void, undefined> {
  const missing = new Set(names);
  const source = createReadStream(file);
  const archive = source.pipe(extract());
  source.on('error', (error) => archive.destroy(error));
  try {
    for await (const entry of archive) {
      const name = entry.header.name.replace(/^\.\//, '');
      if (entry.header.type !== 'file' || !missing.delete(name) || (entry.header.size ?? 0) > byteLimit) {
        entry.resume();
        continue;
      }
      const chunks: Uint8Array[] = [];
      for await (const chunk of entry) chunks.push(chunk as Uint8Array);
      yield { name, bytes: Buffer.concat(chunks) };
    }
  } catch (cause) {
    throw new FromageError({ code: 'TRAINING_IMAGES', what: `${file} cannot be read as a tar archive: ${cause instanceof Error ? cause.message : String(cause)}`, todo: 'give a folder of pictures or a complete tar archive', cause });
  } finally {
    source.destroy();
  }
  for (const name of missing) yield { name, bytes: null };
}

async function readInside(folder: string, name: string): Promise<Uint8Array | null> {
  const root = resolve(folder);
  const file = resolve(root, name);
  // A name from a data file must not lead out of the folder.
  if (!file.startsWith(root + sep)) return null;
  try {
    return statSync(file).size > byteLimit ? null : await readFile(file);
  } catch {
    return null;
  }
}

function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch (cause) {
    throw new FromageError({ code: 'TRAINING_IMAGES', what: `${path} is not there`, why: 'the pictures of the training data are looked for in it', todo: 'give a folder of pictures or a tar archive', cause });
  }
}
