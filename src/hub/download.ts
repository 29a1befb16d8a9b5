// A whole repository into the cache, and its small files ahead of the rest, so that one knows what the
// weights will need before they are fetched.
import { existsSync, mkdtempSync } from 'node:fs';
import { copyFile, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { FromageError } from '../errors.ts';
import { bytesHere, linkSnapshot, repositoryFolder } from './cache-layout.ts';
import { isSmallFile } from './choose-files.ts';
import { fetchBlob } from './download-file.ts';
import type { DownloadProgress, HubRepository, HubSettings } from './types.ts';

/** Room that is left free beside a download. */
const reserveBytes = 512 * 2 ** 20;

export interface DownloadPlan {
  /** Of all files that are needed. */
  readonly bytes: number;
  /** Still to be fetched. */
  readonly missing: number;
  /** Free on the cache's disk. */
  readonly free: number;
}

export async function planDownload(repositories: readonly HubRepository[], cacheDir: string): Promise<DownloadPlan> {
  let bytes = 0;
  let missing = 0;
  for (const { id, files } of repositories) {
    for (const file of files) {
      bytes += file.size;
      missing += file.size - bytesHere(cacheDir, id, file);
    }
  }
  return { bytes, missing, free: await freeBytes(cacheDir) };
}

/**
 * Fetches what is missing, largest files last, and links the snapshot once all of it is here.
 *
 * @returns the snapshot's folder
 * @throws FromageError `HUB_DISK`, and those of `fetchBlob`; an abort keeps what came
 */
export async function downloadRepository(repository: HubRepository, settings: HubSettings, options: { readonly signal?: AbortSignal; readonly onProgress?: DownloadProgress } = {}): Promise<string> {
  const { missing, free, bytes } = await planDownload([repository], settings.cacheDir);
  if (missing > 0 && missing + reserveBytes > free) throw diskError(repository.id, missing, free, settings.cacheDir);
  const here = new Map(repository.files.map((file) => [file.path, bytesHere(settings.cacheDir, repository.id, file)]));
  for (const file of [...repository.files].sort((a, b) => a.size - b.size)) {
    await fetchBlob(repository, file, settings, {
      ...(options.signal ? { signal: options.signal } : {}),
      onBytes: (now) => {
        here.set(file.path, now);
        options.onProgress?.([...here.values()].reduce((sum, n) => sum + n, 0), bytes, file.path);
      },
    });
  }
  return linkSnapshot(settings.cacheDir, repository);
}

/** A temporary folder with the small files of a repository; the caller removes it. */
export async function fetchSmallFiles(repository: HubRepository, settings: HubSettings, signal?: AbortSignal): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'fromage-hub-'));
  for (const file of repository.files.filter(({ path, size }) => isSmallFile(path) && size < 2 ** 25)) {
    const blob = await fetchBlob(repository, file, settings, signal ? { signal } : {});
    await copyFile(blob, join(folder, file.path));
  }
  return folder;
}

export function diskError(what: string, missing: number, free: number, folder: string): FromageError {
  return new FromageError({ code: 'HUB_DISK', what: `${what} needs ${gigabytes(missing)} GB more on the disk of ${folder}, and ${gigabytes(free)} GB are free`, todo: 'make room, or set HF_HOME to a folder on another disk' });
}

async function freeBytes(cacheDir: string): Promise<number> {
  let folder = repositoryFolder(cacheDir, 'x');
  while (!existsSync(folder) && dirname(folder) !== folder) folder = dirname(folder);
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize;
}

function gigabytes(bytes: number): string {
  return (bytes / 1e9).toFixed(1);
}
