// A folder of a user's own pictures, shown for as long as the program runs (`--gallery`). Captions come
// from a text file beside a picture (`dog.jpg` + `dog.txt`), else from the file's name.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, extname, join, relative } from 'node:path';
import { FromageError } from '../errors.ts';
import type { GalleryEntry } from './gallery.ts';
import { pictureId } from './picture-id.ts';
import { everybody } from './types.ts';

const extensions = new Set(['.jpg', '.jpeg', '.png', '.webp', '.gif']);
const encodeBatch = 8;
const maxCaption = 500;

export interface FolderGalleryOptions {
  readonly encode: (images: readonly Uint8Array[]) => Promise<readonly (Float32Array | Error)[]>;
  /** Re-encodes one picture without metadata; what it refuses is skipped. */
  readonly sanitize: (bytes: Uint8Array) => Promise<{ readonly bytes: Uint8Array; readonly mimeType: string; readonly width: number; readonly height: number }>;
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

export interface FolderGallery {
  readonly entries: readonly GalleryEntry[];
  readonly skipped: readonly { readonly file: string; readonly reason: string }[];
}

/** @throws FromageError `RETRIEVAL_FOLDER` when the folder cannot be read */
export async function loadFolderGallery(folder: string, options: FolderGalleryOptions): Promise<FolderGallery> {
  const files = (await list(folder)).filter((file) => extensions.has(extname(file).toLowerCase())).sort();
  const entries: GalleryEntry[] = [];
  const skipped: { file: string; reason: string }[] = [];
  for (let i = 0; i < files.length; i += encodeBatch) {
    options.signal?.throwIfAborted();
    const clean: { file: string; picture: Awaited<ReturnType<FolderGalleryOptions['sanitize']>>; addedAt: number }[] = [];
    for (const file of files.slice(i, i + encodeBatch)) {
      try {
        const path = join(folder, file);
        clean.push({ file, picture: await options.sanitize(await readFile(path)), addedAt: Math.floor((await stat(path)).mtimeMs) });
      } catch (error) {
        skipped.push({ file, reason: error instanceof Error ? error.message : String(error) });
      }
    }
    const pooled = await options.encode(clean.map(({ picture }) => picture.bytes));
    clean.forEach(({ file, picture, addedAt }, j) => {
      const row = pooled[j];
      if (row === undefined || row instanceof Error) skipped.push({ file, reason: row?.message ?? 'not encoded' });
      else entries.push(entry(folder, file, picture, row, addedAt));
    });
    options.onProgress?.(Math.min(i + encodeBatch, files.length), files.length);
  }
  return { entries, skipped };
}

function entry(folder: string, file: string, { bytes, mimeType, width, height }: Awaited<ReturnType<FolderGalleryOptions['sanitize']>>, pooled: Float32Array, addedAt: number): GalleryEntry {
  const hash = createHash('sha256').update(bytes).digest('hex');
  const caption = sidecar(join(folder, file));
  const name = basename(file, extname(file)).replaceAll(/[_-]+/g, ' ').trim();
  return {
    picture: { id: pictureId('folder', `${hash} ${file}`), hash, tenant: everybody, alt: caption ?? (name || 'a picture'), caption, source: file, licence: null, addedBy: null, addedAt, tags: ['folder'], contentClass: 'safe', mimeType, width, height },
    pooled,
    load: async () => bytes,
  };
}

function sidecar(path: string): string | null {
  try {
    const text = readFileSync(path.replace(/\.[^.]+$/, '.txt'), 'utf8').trim().slice(0, maxCaption);
    return text === '' ? null : text;
  } catch {
    return null;
  }
}

async function list(folder: string): Promise<string[]> {
  try {
    const found = await readdir(folder, { recursive: true, withFileTypes: true });
    return found.filter((item) => item.isFile()).map((item) => relative(folder, join(item.parentPath, item.name)));
  } catch (cause) {
    throw new FromageError({ code: 'RETRIEVAL_FOLDER', what: `the gallery folder cannot be read: ${(cause as Error).message}`, todo: 'give a folder of pictures', cause });
  }
}
