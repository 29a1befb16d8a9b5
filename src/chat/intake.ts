// The one door for pictures from platforms: downloads from allowed hosts only, refuses redirects, caps
// bytes and time, hands the bytes to the sanitizing process and keeps the result by content hash.
import type { Readable } from 'node:stream';
import { request } from 'undici';
import { FromageError } from '../errors.ts';
import type { FileStore, StoredFile } from './contracts.ts';
import type { PictureRef } from './types.ts';

/** `host[:port]`; plain HTTP only where `http` is true. */
export interface AllowedHost {
  readonly host: string;
  readonly http: boolean;
}

export interface DownloadOptions {
  readonly hosts: readonly AllowedHost[];
  /** Default 20 MB. */
  readonly maxBytes?: number;
  /** Milliseconds for the whole download, default 20,000. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** A picture freshly encoded, without metadata. */
export interface SanitizedPicture {
  readonly bytes: Uint8Array;
  readonly mimeType: string;
  readonly width: number;
  readonly height: number;
}

/** Decodes hostile bytes outside this process. @throws FromageError with a `userMessage` */
export type Sanitize = (bytes: Uint8Array) => Promise<SanitizedPicture>;

/** Reads `host[:port]`, a leading `http://` allowing plain HTTP. */
export function parseAllowedHost(text: string): AllowedHost {
  const match = /^(https?:\/\/)?([a-z0-9.-]+(?::\d+)?|\[[0-9a-f:]+\](?::\d+)?)$/i.exec(text.trim());
  if (!match) {
    throw new FromageError({ code: 'INTAKE_HOST', what: `"${text}" is not host[:port]`, todo: 'give hosts such as cdn.discordapp.com, separated by commas' });
  }
  const http = match[1]?.toLowerCase() === 'http://';
  // As URLs write it: without the protocol's own port.
  return { host: match[2]!.toLowerCase().replace(http ? /:80$/ : /:443$/, ''), http };
}

/** True when the URL is of an allowed host with an allowed protocol, without credentials. */
export function isAllowedUrl(address: string, hosts: readonly AllowedHost[]): boolean {
  const url = URL.canParse(address) ? new URL(address) : null;
  if (!url || url.username !== '' || url.password !== '') return false;
  return hosts.some(({ host, http }) => url.host === host && (url.protocol === 'https:' || (http && url.protocol === 'http:')));
}

/**
 * Downloads a picture. Redirects are not followed; the length that is stated is not trusted. Neither the
 * address nor anything of it stands in an error, for it may hold a secret.
 *
 * @throws FromageError INTAKE_HOST, INTAKE_STATUS, INTAKE_TOO_BIG, INTAKE_FAILED
 */
export async function downloadPicture(address: string, options: DownloadOptions): Promise<Uint8Array> {
  const maxBytes = options.maxBytes ?? 20_000_000;
  if (!isAllowedUrl(address, options.hosts)) {
    throw new FromageError({ code: 'INTAKE_HOST', what: 'the picture lies on a host that is not allowed', why: 'pictures are fetched only from the platform’s own hosts' });
  }
  const timeout = AbortSignal.timeout(options.timeoutMs ?? 20_000);
  const signal = options.signal ? AbortSignal.any([timeout, options.signal]) : timeout;
  try {
    // undici's request follows no redirect by itself.
    const response = await request(address, { method: 'GET', signal, headers: { accept: 'image/*' } });
    if (response.statusCode !== 200) {
      discard(response.body);
      throw new FromageError({
        code: 'INTAKE_STATUS',
        what: `the platform answered ${response.statusCode} for a picture`,
        why: 'links expire, and redirects are refused',
        retryable: response.statusCode >= 500 || response.statusCode === 429,
      });
    }
    const stated = Number(response.headers['content-length']);
    if (stated > maxBytes) {
      discard(response.body);
      throw tooBig(stated, maxBytes);
    }
    const chunks: Uint8Array[] = [];
    let length = 0;
    for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
      length += chunk.length;
      if (length > maxBytes) throw tooBig(length, maxBytes);
      chunks.push(chunk);
    }
    if (Number.isFinite(stated) && response.headers['content-encoding'] === undefined && length < stated) {
      throw new FromageError({ code: 'INTAKE_FAILED', what: `the download ended after ${length} of ${stated} bytes`, retryable: true });
    }
    return new Uint8Array(Buffer.concat(chunks));
  } catch (error) {
    if (error instanceof FromageError) throw error;
    const reason = error instanceof Error ? error.name : 'unknown';
    throw new FromageError({ code: 'INTAKE_FAILED', what: `a picture could not be downloaded (${reason})`, retryable: true });
  }
}

/** A body that is destroyed unread reports that as an error, which nobody else would hear. */
function discard(body: Readable): void {
  body.on('error', () => {});
  body.destroy();
}

function tooBig(bytes: number, maxBytes: number): FromageError {
  return new FromageError({ code: 'INTAKE_TOO_BIG', what: `the picture has ${bytes} bytes, at most ${maxBytes} are taken`, todo: 'send a smaller one' });
}

export interface IntakeOptions {
  readonly fetchPicture: (ref: PictureRef, signal: AbortSignal) => Promise<Uint8Array>;
  readonly sanitize: Sanitize;
  readonly files: Pick<FileStore, 'put'>;
  readonly maxPictures?: number;
  readonly onError?: (error: unknown) => void;
}

/** What became of one picture; `failed` names the sentence for the person. */
export type IntakeResult =
  | { readonly ok: true; readonly file: StoredFile }
  | { readonly ok: false; readonly failed: 'picture.gone' | 'picture.tooBig' | 'picture.unreadable' };

/** Takes pictures in, in their order; at most `maxPictures` (10), the rest is left out. One retry where that may help. */
export async function takeIn(refs: readonly PictureRef[], addedBy: string, signal: AbortSignal, options: IntakeOptions): Promise<IntakeResult[]> {
  const results: IntakeResult[] = [];
  for (const ref of refs.slice(0, options.maxPictures ?? 10)) results.push(await takeOne(ref, addedBy, signal, options));
  return results;
}

async function takeOne(ref: PictureRef, addedBy: string, signal: AbortSignal, options: IntakeOptions): Promise<IntakeResult> {
  let bytes: Uint8Array;
  try {
    bytes = await fetchWithRetry(ref, signal, options);
  } catch (error) {
    signal.throwIfAborted();
    options.onError?.(error);
    return { ok: false, failed: error instanceof FromageError && error.code === 'INTAKE_TOO_BIG' ? 'picture.tooBig' : 'picture.gone' };
  }
  try {
    const clean = await options.sanitize(bytes);
    const { mimeType, width, height } = clean;
    return { ok: true, file: await options.files.put(clean.bytes, { mimeType, width, height, addedBy }) };
  } catch (error) {
    // A disk that is full, or too many pictures at once, is our fault, not the picture's.
    if (error instanceof FromageError && (error.code.startsWith('STORE_') || error.code === 'VISION_BUSY')) throw error;
    options.onError?.(error);
    const big = error instanceof FromageError && /TOO_(BIG|LARGE|MANY)|_LIMIT|_PIXELS|_BYTES/.test(error.code);
    return { ok: false, failed: big ? 'picture.tooBig' : 'picture.unreadable' };
  }
}

async function fetchWithRetry(ref: PictureRef, signal: AbortSignal, options: IntakeOptions): Promise<Uint8Array> {
  try {
    return await options.fetchPicture(ref, signal);
  } catch (error) {
    if (signal.aborted || !(error instanceof FromageError) || !error.retryable) throw error;
    return options.fetchPicture(ref, signal);
  }
}
