// Fetches pictures from addresses that strangers wrote. A request goes only to a public address that was
// resolved and checked for this very connection, redirects are checked again, bytes and time are limited,
// and no host is asked more often than is polite.
import { lookup as resolveName } from 'node:dns/promises';
import type { LookupFunction } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import ipaddr from 'ipaddr.js';
import { Agent, type Dispatcher, request } from 'undici';
import { FromageError } from '../errors.ts';

export interface SafeFetchOptions {
  /** `host` or `host:port` that may be anywhere and on any port: an operator's own servers, tests. */
  readonly allowHosts?: readonly string[];
  /** 20 MB by default. */
  readonly maxBytes?: number;
  /** From the start of a request to its last byte, for each redirect anew; 15,000 ms by default. */
  readonly timeoutMs?: number;
  /** Requests to one host at the same time; 2 by default. */
  readonly perHost?: number;
  /** Between the starts of two requests to one host; 100 ms by default. */
  readonly pauseMs?: number;
  /** Name resolution; the system's by default. */
  readonly resolve?: (host: string) => Promise<readonly { readonly address: string; readonly family: number }[]>;
}

export interface SafeFetcher {
  /**
   * The bytes behind an http(s) address.
   *
   * @throws FromageError `FETCH_ADDRESS` for one that may not be asked, `FETCH_GONE` when there is nothing (any
   *   more) or the owner does not want it read, `FETCH_SIZE`; retryable `FETCH_FAILED` for what may pass
   */
  fetch(url: string, signal?: AbortSignal): Promise<Uint8Array>;
  close(): Promise<void>;
}

const maxRedirects = 5;
/** A `Retry-After` beyond this is a failure for now. */
const maxWaitMs = 10_000;
const userAgent = 'fromage/0.1 (picture gallery)';
/** https://github.com/rom1504/img2dataset and others honour these in `X-Robots-Tag`. */
const unwanted = /\b(noai|noimageai|noindex|noimageindex|none)\b/i;

export function createSafeFetcher(options: SafeFetchOptions = {}): SafeFetcher {
  const maxBytes = options.maxBytes ?? 20 * 2 ** 20;
  const timeoutMs = options.timeoutMs ?? 15_000;
  const allowed = new Set((options.allowHosts ?? []).map((host) => host.toLowerCase()));
  const resolve = options.resolve ?? ((host) => resolveName(host, { all: true }));
  const lanes = new Map<string, HostLane>();
  const exempt = (url: URL) => allowed.has(url.host.toLowerCase()) || allowed.has(url.hostname.toLowerCase());

  /** Resolves and checks inside the connection: the address that was checked is the one that is used. */
  const checkedLookup: LookupFunction = (host, lookupOptions, callback) => {
    resolve(host).then(
      (found) => {
        const wrong = found.find(({ address }) => !isPublic(address));
        if (found.length === 0 || wrong) return callback(refused(host, wrong ? `it resolves to ${wrong.address}, which is not public` : 'it has no address'), '', 4);
        if (lookupOptions.all) return callback(null, [...found]);
        callback(null, found[0]!.address, found[0]!.family);
      },
      (error: NodeJS.ErrnoException) => callback(error, '', 4),
    );
  };
  const limits = { connectTimeout: timeoutMs, headersTimeout: timeoutMs, bodyTimeout: timeoutMs, maxHeaderSize: 32 * 1024, pipelining: 1, keepAliveTimeout: 2000 };
  const publicAgent = new Agent({ ...limits, connect: { lookup: checkedLookup, timeout: timeoutMs } });
  const exemptAgent = new Agent(limits);

  async function ask(url: URL, signal: AbortSignal | undefined): Promise<Dispatcher.ResponseData> {
    const lane = lanes.get(url.host) ?? new HostLane(options.perHost ?? 2, options.pauseMs ?? 100);
    lanes.set(url.host, lane);
    if (lanes.size > 10_000) for (const [host, idle] of lanes) if (idle.idle) lanes.delete(host);
    // The time begins when the host's lane is free: waiting politely is not the host's fault.
    const within = () => AbortSignal.any([AbortSignal.timeout(timeoutMs), ...(signal ? [signal] : [])]);
    return await lane.run(() => request(url, { method: 'GET', dispatcher: exempt(url) ? exemptAgent : publicAgent, signal: within(), headers: { 'user-agent': userAgent, accept: 'image/*', 'accept-encoding': 'identity' } }), signal);
  }

  async function follow(address: string, signal: AbortSignal | undefined): Promise<Uint8Array> {
    let url = check(address, exempt);
    let waited = false;
    for (let hop = 0; hop <= maxRedirects; hop++) {
      const { statusCode, headers, body } = await ask(url, signal);
      // A body that is not read would keep the connection, and fails later where nobody listens.
      const leave = () => body.on('error', () => undefined).destroy();
      const location = headers['location'];
      if ([301, 302, 303, 307, 308].includes(statusCode) && typeof location === 'string') {
        leave();
        url = check(URL.parse(location, url.href)?.href ?? location, exempt);
      } else if ((statusCode === 429 || statusCode === 503) && !waited) {
        leave();
        waited = true;
        const waitMs = Number(headers['retry-after'] ?? 1) * 1000;
        if (!(waitMs <= maxWaitMs)) throw failed(`${url.host} asks to wait`);
        await sleep(waitMs, undefined, signal ? { signal } : {});
        hop -= 1;
      } else if (statusCode !== 200) {
        leave();
        if ([401, 403, 404, 410, 451].includes(statusCode)) throw new FromageError({ code: 'FETCH_GONE', what: `${url.host} answers ${statusCode}`, todo: 'the picture is skipped' });
        throw failed(`${url.host} answers ${statusCode}`);
      } else if (unwanted.test(String(headers['x-robots-tag'] ?? ''))) {
        leave();
        throw new FromageError({ code: 'FETCH_GONE', what: `${url.host} does not want this picture to be collected`, todo: 'the picture is skipped' });
      } else return await read(body, Number(headers['content-length'] ?? 0), maxBytes);
    }
    throw new FromageError({ code: 'FETCH_ADDRESS', what: `${url.host} redirects more than ${maxRedirects} times`, todo: 'the picture is skipped' });
  }

  return {
    async fetch(address, signal) {
      try {
        return await follow(address, signal);
      } catch (error) {
        signal?.throwIfAborted();
        throw asFetchError(error);
      }
    },
    async close() {
      await Promise.all([publicAgent.destroy(), exemptAgent.destroy()]);
    },
  };
}

/** Whether an address is one that everybody on the internet reaches, as written or inside an IPv6 one. */
export function isPublic(address: string): boolean {
  if (!ipaddr.isValid(address)) return false;
  return ipaddr.process(address).range() === 'unicast';
}

function check(address: string, exempt: (url: URL) => boolean): URL {
  const url = URL.parse(address);
  if (!url) throw refused(address, 'it is no address');
  if (url.protocol !== 'http:' && url.protocol !== 'https:') throw refused(url.protocol, 'only http and https are fetched');
  if (url.username !== '' || url.password !== '') throw refused(url.host, 'it carries a name or a password');
  if (exempt(url)) return url;
  if (url.port !== '') throw refused(url.host, 'only the usual ports are asked');
  const literal = url.hostname.replace(/^\[|\]$/g, '');
  if (ipaddr.isValid(literal)) {
    // `http://2130706433/` and `http://0x7f.1/` are read as 127.0.0.1: whoever writes a number so hides something.
    if (!isPublic(literal) || !address.toLowerCase().includes(`//${url.hostname}`)) throw refused(url.hostname, 'it is not a public address written out');
  } else if (/(^|\.)(localhost|local|internal|localdomain|home\.arpa)\.?$/i.test(url.hostname) || !url.hostname.includes('.')) throw refused(url.hostname, 'the name is not a public one');
  return url;
}

async function read(body: Dispatcher.ResponseData['body'], announced: number, maxBytes: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  const tooBig = () => new FromageError({ code: 'FETCH_SIZE', what: `the picture has more than ${maxBytes} bytes`, todo: 'the picture is skipped' });
  if (announced > maxBytes) {
    body.on('error', () => undefined).destroy();
    throw tooBig();
  }
  for await (const chunk of body as AsyncIterable<Uint8Array>) {
    size += chunk.length;
    if (size > maxBytes) throw tooBig();
    chunks.push(chunk);
  }
  return new Uint8Array(Buffer.concat(chunks));
}

function refused(what: string, why: string): FromageError {
  return new FromageError({ code: 'FETCH_ADDRESS', what: `${what.slice(0, 100)} is not fetched`, why, todo: 'use a public http(s) address, or name the host in --allow-host' });
}

function failed(what: string, cause?: unknown): FromageError {
  return new FromageError({ code: 'FETCH_FAILED', what, todo: 'try again later', retryable: true, cause });
}

function asFetchError(error: unknown): FromageError {
  if (error instanceof FromageError) return error;
  if ((error as Error).name === 'TimeoutError') return failed('the picture did not come in time', error);
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'ENOTFOUND') return new FromageError({ code: 'FETCH_GONE', what: 'the host does not exist any more', todo: 'the picture is skipped', cause: error });
  return failed(`the picture could not be fetched: ${code ?? message}`, error);
}

/** At most so many requests to one host at a time, and a pause between their starts. */
class HostLane {
  readonly #limit: number;
  readonly #pauseMs: number;
  readonly #waiting: (() => void)[] = [];
  #running = 0;
  #nextStart = 0;

  constructor(limit: number, pauseMs: number) {
    this.#limit = limit;
    this.#pauseMs = pauseMs;
  }

  get idle(): boolean {
    return this.#running === 0 && this.#nextStart < Date.now();
  }

  async run<T>(work: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    if (this.#running >= this.#limit) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#running += 1;
    try {
      const start = Math.max(Date.now(), this.#nextStart);
      this.#nextStart = start + this.#pauseMs;
      if (start > Date.now()) await sleep(start - Date.now(), undefined, signal ? { signal } : {});
      signal?.throwIfAborted();
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#running -= 1;
    }
  }
}
