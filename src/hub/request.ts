// The `fetch` that the hub's client works with: redirects are followed here, a few and never from https
// down to http; the token goes to the hub alone; answers of the API are bounded; silence ends a request.
import { FromageError } from '../errors.ts';
import type { HubSettings } from './types.ts';

const mostRedirects = 5;
const largestAnswer = 16 * 2 ** 20;
const redirectStatus = new Set([301, 302, 303, 307, 308]);

export const defaultStallMs = 30_000;

export interface RequestHooks {
  readonly signal?: AbortSignal;
  /** Sees every final answer before the client does; what it throws ends the request. */
  readonly onResponse?: (response: Response, headers: Headers) => void;
}

/** @returns a `fetch` for one hub; throws FromageError `HUB_REDIRECT`, `HUB_RESPONSE`, else as `fetch` does */
export function createFetch(settings: HubSettings, hooks: RequestHooks = {}): typeof fetch {
  const home = new URL(settings.endpoint).origin;
  return async (input, init) => {
    let url = new URL(input instanceof Request ? input.url : String(input));
    const headers = new Headers(init?.headers);
    const silence = new AbortController();
    const timer = setTimeout(() => silence.abort(new Error('no answer in time')), settings.stallMs ?? defaultStallMs);
    const signal = AbortSignal.any([silence.signal, ...(hooks.signal ? [hooks.signal] : [])]);
    try {
      for (let hop = 0; hop <= mostRedirects; hop++) {
        const sent = new Headers(headers);
        if (url.origin !== home) sent.delete('authorization');
        const response = await fetch(url, { ...init, headers: sent, redirect: 'manual', signal });
        const location = response.headers.get('location');
        if (!redirectStatus.has(response.status) || location === null) {
          clearTimeout(timer);
          hooks.onResponse?.(response, headers);
          return await bounded(url, headers, response, settings.stallMs ?? defaultStallMs, silence);
        }
        await response.body?.cancel();
        url = target(location, url);
      }
    } finally {
      clearTimeout(timer);
    }
    throw new FromageError({ code: 'HUB_REDIRECT', what: `${home} redirects more than ${mostRedirects} times`, why: `the last address was ${url.origin}`, todo: 'check HF_ENDPOINT and proxies' });
  };
}

function target(location: string, from: URL): URL {
  const next = URL.canParse(location, from.href) ? new URL(location, from) : null;
  if (next !== null && (next.protocol === 'https:' || (next.protocol === 'http:' && from.protocol === 'http:'))) return next;
  throw new FromageError({ code: 'HUB_REDIRECT', what: `${from.origin} redirects to ${JSON.stringify(location.slice(0, 80))}`, why: 'only https is followed (http where it began so)', todo: 'check HF_ENDPOINT and proxies' });
}

/** Answers of the API are read here, up to a bound; the body of a probe for the size is not wanted at all. */
async function bounded(url: URL, headers: Headers, response: Response, stallMs: number, silence: AbortController): Promise<Response> {
  if (response.ok && headers.get('range') === 'bytes=0-0') await response.body?.cancel();
  if (!url.pathname.startsWith('/api/') && response.ok) return response;
  const chunks: Uint8Array[] = [];
  let length = 0;
  const reader = response.body?.getReader();
  for (;;) {
    const timer = setTimeout(() => silence.abort(new Error('the answer stopped coming')), stallMs);
    const part = await reader?.read().finally(() => clearTimeout(timer));
    if (part?.value === undefined) break;
    length += part.value.byteLength;
    if (length > largestAnswer) {
      await reader?.cancel();
      throw new FromageError({ code: 'HUB_RESPONSE', what: `${url.origin} gave an answer of more than ${largestAnswer} bytes`, todo: 'check HF_ENDPOINT' });
    }
    chunks.push(part.value);
  }
  return new Response(Buffer.concat(chunks), { status: response.status, headers: response.headers });
}
