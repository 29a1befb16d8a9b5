// The cache on disk, laid out as all of Hugging Face's libraries lay it out, so that a model is on a machine
// only once: `models--owner--name/{blobs,refs,snapshots}`, snapshots being links to blobs.
import { copyFileSync, existsSync, linkSync, lstatSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { writeFileWhole } from '../formats/index.ts';
import { chooseFiles } from './choose-files.ts';
import type { HubFile, HubRepository } from './types.ts';

export function repositoryFolder(cacheDir: string, id: string): string {
  return join(cacheDir, `models--${id.replaceAll('/', '--')}`);
}

export function blobPath(cacheDir: string, id: string, file: HubFile): string {
  return join(repositoryFolder(cacheDir, id), 'blobs', file.etag);
}

/** Beside the other tools' lock files, under a name of our own. */
export function lockPath(cacheDir: string, id: string, file: HubFile): string {
  return join(cacheDir, '.locks', `models--${id.replaceAll('/', '--')}`, `${file.etag}.fromage.lock`);
}

/** Bytes of a file that are here already, whole or begun. */
export function bytesHere(cacheDir: string, id: string, file: HubFile): number {
  const blob = blobPath(cacheDir, id, file);
  if (sizeOf(blob) === file.size) return file.size;
  return Math.min(file.size, sizeOf(`${blob}.incomplete`) ?? 0);
}

/** Makes the snapshot of blobs that are all here, then lets `main` point at it. */
export function linkSnapshot(cacheDir: string, repository: HubRepository): string {
  const folder = repositoryFolder(cacheDir, repository.id);
  const snapshot = join(folder, 'snapshots', repository.revision);
  for (const file of repository.files) {
    const link = join(snapshot, file.path);
    mkdirSync(dirname(link), { recursive: true });
    if (sizeOf(link) !== file.size) place(join(folder, 'blobs', file.etag), link);
  }
  mkdirSync(join(folder, 'refs'), { recursive: true });
  writeFileWhole(join(folder, 'refs', 'main'), [new TextEncoder().encode(repository.revision)]);
  return snapshot;
}

/** Links are relative, so that the cache may be moved; where the system refuses links, a second name or a copy. */
function place(blob: string, link: string): void {
  if (lstatSync(link, { throwIfNoEntry: false })) rmSync(link);
  try {
    symlinkSync(relative(dirname(link), blob), link);
  } catch {
    try {
      linkSync(blob, link);
    } catch {
      copyFileSync(blob, link);
    }
  }
}

export interface CachedRepository {
  readonly folder: string;
  readonly revision: string;
  readonly bytes: number;
  /** False when weights are missing: another tool fetched a part, or a download was broken off. */
  readonly complete: boolean;
}

/** What the cache holds of a repository at `main`; null when nothing. */
export function findCached(cacheDir: string, id: string): CachedRepository | null {
  const folder = repositoryFolder(cacheDir, id);
  const main = join(folder, 'refs', 'main');
  const revision = existsSync(main) ? readFileSync(main, 'utf8').trim() : '';
  const snapshot = join(folder, 'snapshots', revision);
  if (!/^[0-9a-f]{40}$/.test(revision) || !existsSync(snapshot)) return null;
  const entries = readdirSync(snapshot).flatMap((path) => {
    const size = sizeOf(join(snapshot, path));
    return size === null ? [] : [{ path, size }];
  });
  return { folder: snapshot, revision, bytes: entries.reduce((sum, { size }) => sum + size, 0), complete: isComplete(snapshot, entries) };
}

function isComplete(snapshot: string, entries: readonly { readonly path: string }[]): boolean {
  try {
    const chosen = chooseFiles(entries, '');
    return chosen
      .filter(({ path }) => path.endsWith('.index.json'))
      .every(({ path }) => {
        const { weight_map: map } = JSON.parse(readFileSync(join(snapshot, path), 'utf8')) as { weight_map?: Record<string, string> };
        return Object.values(map ?? {}).every((shard) => entries.some((entry) => entry.path === shard));
      });
  } catch {
    return false;
  }
}

function sizeOf(file: string): number | null {
  const stat = statSync(file, { throwIfNoEntry: false });
  return stat?.isFile() ? stat.size : null;
}
