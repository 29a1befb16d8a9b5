// Who may talk to the server: the Host and Origin checks against DNS rebinding and cross-site posts, and
// the API key. Loopback needs no key; any other address has one (the configuration insists).
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { apiError } from './openai/errors.ts';

const loopbackNames = ['localhost', '127.0.0.1', '[::1]'];

export interface GuardOptions {
  readonly host: string;
  readonly apiKey: string | null;
  readonly allowedHosts: readonly string[];
  readonly webhook?: { readonly path: string } | null;
}

/** Paths that need no key: the page itself asks for one, health checks have none. */
const open = /^\/(healthz)?$|^\/page\//;

export function createGuard(options: GuardOptions) {
  const onLoopback = loopbackNames.includes(options.host) || options.host === '::1';

  return async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
    const path = request.url.split('?')[0] ?? '';
    if (path === options.webhook?.path) return;
    const host = request.headers.host;
    if (!host || !hostAllowed(host)) {
      return forbid(reply, `the Host "${printable(host)}" is not one of this server`, 'foreign_host');
    }
    const origin = request.headers.origin;
    if (origin !== undefined && !sameOrigin(origin, host)) {
      return forbid(reply, `the Origin "${printable(origin)}" is not this server`, 'foreign_origin');
    }
    if (request.headers['sec-fetch-site'] === 'cross-site' && request.headers['sec-fetch-mode'] !== 'navigate') {
      return forbid(reply, 'requests from other sites are not taken', 'foreign_origin');
    }
    if (options.apiKey === null || open.test(path)) return;
    if (hasKey(request.headers.authorization, options.apiKey) || hasSignature(request, path, options.apiKey)) return;
    await reply.code(401).header('www-authenticate', 'Bearer').send(apiError('the API key is missing or wrong; send it as "Authorization: Bearer <FROMAGE_API_KEY>"', 'invalid_request_error', 'invalid_api_key'));
  };

  function hostAllowed(host: string): boolean {
    const name = host.replace(/:\d+$/, '').toLowerCase();
    if (loopbackNames.includes(name)) return true;
    if (options.allowedHosts.includes(name) || options.allowedHosts.includes(host.toLowerCase())) return true;
    // Off loopback every call carries the key, which a rebound page does not have.
    return !onLoopback && options.allowedHosts.length === 0;
  }
}

/** A path with a signature that stands for the key, for places that cannot send headers (`<img src>`). */
export function signPath(path: string, apiKey: string | null): string {
  return apiKey === null ? path : `${path}?sig=${signature(path, apiKey)}`;
}

function hasSignature(request: FastifyRequest, path: string, apiKey: string): boolean {
  const given = (request.query as Record<string, unknown> | undefined)?.['sig'];
  return request.method === 'GET' && typeof given === 'string' && equal(given, signature(path, apiKey));
}

function signature(path: string, apiKey: string): string {
  return createHmac('sha256', apiKey).update(`picture ${path}`).digest('base64url');
}

function hasKey(header: string | undefined, apiKey: string): boolean {
  return header !== undefined && header.startsWith('Bearer ') && equal(header.slice(7).trim(), apiKey);
}

/** Compares digests, so that neither length nor content leaks through time. */
function equal(a: string, b: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}

function sameOrigin(origin: string, host: string): boolean {
  try {
    return new URL(origin).host === host.toLowerCase();
  } catch {
    return false;
  }
}

async function forbid(reply: FastifyReply, message: string, code: string): Promise<void> {
  await reply.code(403).send(apiError(message, 'invalid_request_error', code));
}

function printable(text: string | undefined): string {
  return (text ?? '').replaceAll(/[^\x20-\x7e]/g, '?').slice(0, 80);
}
