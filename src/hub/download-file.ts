// Brings one file into the cache: goes on where an earlier try ended, gives up a silent connection and tries
// again, and lets a file count only once its size and its checksum are right.
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, rename, rm, stat, truncate } from 'node:fs/promises';
import { dirname } from 'node:path';
import { downloadFile, fileDownloadInfo } from '@huggingface/hub';
import { FromageError } from '../errors.ts';
import { blobPath, lockPath } from './cache-layout.ts';
import { asHubError, statusError } from './errors.ts';
import { withLock } from './lock.ts';
import { createFetch, defaultStallMs } from './request.ts';
import { withRetries } from './retry.ts';
import type { HubFile, HubRepository, HubSettings } from './types.ts';

export interface FileDownload {
  readonly signal?: AbortSignal;
  /** Bytes of the file that are here, whenever that changes. */
  readonly onBytes?: (here: number) => void;
}

/**
 * @returns path of the blob
 * @throws FromageError `HUB_SIZE`, `HUB_CHECKSUM`, `HUB_WRITE`, and those of `inspectRepository`
 */
export async function fetchBlob(repository: HubRepository, file: HubFile, settings: HubSettings, { signal, onBytes }: FileDownload = {}): Promise<string> {
  const blob = blobPath(settings.cacheDir, repository.id, file);
  const partial = `${blob}.incomplete`;
  await writing(blob, () => mkdir(dirname(blob), { recursive: true }));
  return withLock(lockPath(settings.cacheDir, repository.id, file), signal, async () => {
    let here = (await sizeOf(blob)) === file.size ? file.size : 0;
    let corrupt = false;
    if (here < file.size || file.size === 0) {
      here = (await sizeOf(partial)) ?? 0;
      await withRetries(settings, signal, async () => {
        if (here > file.size) await discard();
        if (here < file.size || file.size === 0) {
          await receive(repository, file, settings, partial, here, signal, (now) => {
            here = now;
            onBytes?.(here);
          });
        }
        const actual = await checksum(partial, file);
        if (actual === file.etag) return;
        await discard();
        const error = { code: 'HUB_CHECKSUM', what: `${file.path} of ${repository.id} is not what the hub promised`, why: `its ${file.hash === 'sha256' ? 'SHA-256' : 'git SHA-1'} is ${actual}, expected ${file.etag}`, todo: 'try again later; if it stays so, do not trust this hub or the way to it' } as const;
        const again = !corrupt;
        corrupt = true;
        throw new FromageError({ ...error, retryable: again });
      }, () => here);
      await writing(blob, () => rename(partial, blob));
    }
    onBytes?.(file.size);
    return blob;

    async function discard(): Promise<void> {
      await rm(partial, { force: true });
      here = 0;
      onBytes?.(0);
    }
  });
}

/** One connection: appends what comes to the partial file. */
async function receive(repository: HubRepository, file: HubFile, settings: HubSettings, partial: string, from: number, signal: AbortSignal | undefined, onBytes: (here: number) => void): Promise<void> {
  const ending = new AbortController();
  const linked = AbortSignal.any([ending.signal, ...(signal ? [signal] : [])]);
  const what = `${file.path} of ${repository.id}`;
  // The client's stream passes on no more of an error than its text: the reason is kept here.
  let reason: unknown;
  let start = from;
  const fail = (error: unknown) => {
    reason ??= error;
    throw error;
  };
  const onResponse = (response: Response, headers: Headers) => {
    const wanted = headers.get('range');
    if (!response.ok) fail(statusError(response.status, what, settings.endpoint, settings.token !== undefined));
    const total = response.status === 206 ? Number(/\/(\d+)$/.exec(response.headers.get('content-range') ?? '')?.[1] ?? Number.NaN) : null;
    if (total !== null && total !== file.size) fail(sizeError(what, `the hub lists ${file.size} bytes and sends a file of ${total}`));
    if (wanted === null || wanted === 'bytes=0-0') return;
    // A server that takes no ranges sends the whole file: it is taken from its beginning.
    if (response.status === 200) start = 0;
    else if (Number(/^bytes (\d+)-/.exec(response.headers.get('content-range') ?? '')?.[1]) !== from) fail(sizeError(what, `bytes from ${from} were asked for and others came`));
  };
  const request = createFetch(settings, { signal: linked, onResponse });
  const guarded: typeof fetch = (input, init) => request(input, init).catch(fail);
  const common = { repo: repository.id, path: file.path, revision: repository.revision, hubUrl: settings.endpoint.replace(/\/+$/, ''), fetch: guarded, ...(settings.token === undefined ? {} : { accessToken: settings.token }) };
  const handle = await writing(partial, () => open(partial, 'a'));
  try {
    if (file.size === 0) return;
    const info = await fileDownloadInfo(common);
    if (info === null) throw statusError(404, what, settings.endpoint, settings.token !== undefined);
    if (info.size !== file.size) throw sizeError(what, `the hub lists ${file.size} bytes and sends a file of ${info.size}`);
    const whole = await downloadFile({ ...common, downloadInfo: info, xet: false });
    if (whole === null) throw statusError(404, what, settings.endpoint, settings.token !== undefined);
    const reader = (from === 0 ? whole : whole.slice(from, file.size)).stream().getReader();
    let here = from;
    let begun = false;
    for (;;) {
      const part = await within(settings.stallMs ?? defaultStallMs, reader.read(), ending);
      if (part.done) break;
      if (!begun && start !== from) {
        await truncate(partial, 0);
        here = 0;
      }
      begun = true;
      if (here + part.value.byteLength > file.size) throw sizeError(what, `more than the ${file.size} bytes that the hub lists came`);
      await writing(partial, () => handle.appendFile(part.value));
      here += part.value.byteLength;
      onBytes(here);
    }
    if (here < file.size) throw new Error(`the connection ended at byte ${here} of ${file.size}`);
    await writing(partial, () => handle.sync());
  } catch (thrown) {
    signal?.throwIfAborted();
    throw asHubError(reason ?? thrown, what, settings.endpoint, settings.token !== undefined);
  } finally {
    ending.abort();
    await handle.close();
  }
}

/** Ends the connection when nothing comes for a while. */
async function within<T>(stallMs: number, coming: Promise<T>, ending: AbortController): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const silence = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`nothing came for ${stallMs / 1000} seconds`)), stallMs);
  });
  try {
    return await Promise.race([coming, silence]);
  } catch (thrown) {
    ending.abort();
    coming.catch(() => undefined);
    throw thrown;
  } finally {
    clearTimeout(timer);
  }
}

async function checksum(path: string, file: HubFile): Promise<string> {
  const hash = createHash(file.hash === 'sha256' ? 'sha256' : 'sha1');
  if (file.hash === 'git-sha1') hash.update(`blob ${file.size}\0`);
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk as Uint8Array);
  return hash.digest('hex');
}

async function sizeOf(path: string): Promise<number | null> {
  return stat(path).then(({ size }) => size, () => null);
}

function sizeError(what: string, why: string): FromageError {
  return new FromageError({ code: 'HUB_SIZE', what: `the size of ${what} is not what the hub promised`, why, todo: 'try again later; if it stays so, do not trust this hub or the way to it' });
}

async function writing<T>(path: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (cause) {
    throw new FromageError({ code: 'HUB_WRITE', what: `${path} cannot be written`, why: cause instanceof Error ? cause.message : String(cause), todo: 'make room, check the folder’s permissions, or set HF_HOME to another folder', cause });
  }
}
