// A hub on the loopback interface: the endpoints that @huggingface/hub calls, over files in memory, with
// faults on request. Every request is kept, so that a test can see ranges and tokens.
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export type Fault =
  | { readonly kind: 'status'; readonly status: number }
  /** The connection breaks after so many bytes of the body. */
  | { readonly kind: 'break'; readonly after: number }
  /** Nothing more comes after so many bytes; the connection stays open. */
  | { readonly kind: 'stall'; readonly after: number }
  /** Content-Range tells another length of the whole file. */
  | { readonly kind: 'claim'; readonly size: number }
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  | { readonly kind: 'redirect'; readonly to: string }
  | { readonly kind: 'whole' };

export interface SeenRequest {
  readonly path: string;
  readonly range: string | null;
  readonly authorization: string | null;
}

export interface FakeRepository {
  readonly files: ReadonlyMap<string, Uint8Array>;
  readonly licence?: string | null;
  /** Paths whose listing calls them large: SHA-256 instead of git's hash. */
  readonly large?: (path: string) => boolean;
  /** Changes a listed entry, to lie in it. */
  readonly listing?: (entry: Record<string, unknown>) => Record<string, unknown>;
  readonly token?: string;
}

export interface FakeHub {
  readonly endpoint: string;
  readonly seen: SeenRequest[];
  readonly repositories: Map<string, FakeRepository>;
  /** What goes wrong with a request; looked up anew each time. Null: nothing. */
  fault: (request: SeenRequest) => Fault | null;
  close(): Promise<void>;
}

export const revision = 'c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00';

export async function startFakeHub(): Promise<FakeHub> {
  const seen: SeenRequest[] = [];
  const repositories = new Map<string, FakeRepository>();
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://hub');
    const one: SeenRequest = { path: decodeURIComponent(url.pathname), range: request.headers.range ?? null, authorization: request.headers.authorization ?? null };
    seen.push(one);
    serve(one, request, response, hub);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const hub: FakeHub = {
    endpoint,
    seen,
    repositories,
    fault: () => null,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
  return hub;
}

function serve(seen: SeenRequest, request: IncomingMessage, response: ServerResponse, hub: FakeHub): void {
  const fault = hub.fault(seen);
  if (fault?.kind === 'status') return json(response, fault.status, { error: `status ${fault.status}` });
  if (fault?.kind === 'redirect') {
    response.writeHead(307, { location: fault.to }).end();
    return;
  }
  const api = /^\/api\/models\/(.+?)\/(revision|tree)\/([^/]+)$/.exec(seen.path);
  const file = /^\/(.+?)\/resolve\/([^/]+)\/(.+)$/.exec(seen.path);
  const id = api?.[1] ?? file?.[1] ?? '';
  const repository = hub.repositories.get(id);
  if (!repository) return json(response, 404, { error: 'Repository not found' });
  if (repository.token !== undefined && request.headers.authorization !== `Bearer ${repository.token}`) return json(response, 401, { error: 'Access to this model is restricted' });
  if (api?.[2] === 'revision') return json(response, 200, { _id: '1', id, sha: revision, gated: false, private: false, lastModified: '2023-01-01T00:00:00.000Z', cardData: { license: repository.licence ?? undefined } });
  if (api) return json(response, 200, [...repository.files].map(([path, bytes]) => listed(repository, path, bytes)));
  const bytes = repository.files.get(file?.[3] ?? '');
  if (!bytes) {
    response.setHeader('X-Error-Code', 'EntryNotFound');
    return json(response, 404, { error: 'Entry not found' });
  }
  send(response, fault?.kind === 'bytes' ? fault.bytes : bytes, fault?.kind === 'whole' ? null : seen.range, fault);
}

function listed(repository: FakeRepository, path: string, bytes: Uint8Array): Record<string, unknown> {
  const oid = createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');
  const large = repository.large?.(path) ?? bytes.length > 10_000;
  const entry = { type: 'file', path, size: bytes.length, oid, ...(large ? { lfs: { oid: createHash('sha256').update(bytes).digest('hex'), size: bytes.length, pointerSize: 130 } } : {}) };
  return repository.listing?.(entry) ?? entry;
}

function send(response: ServerResponse, bytes: Uint8Array, range: string | null, fault: Fault | null): void {
  const asked = /^bytes=(\d+)-(\d+)$/.exec(range ?? '');
  const from = Number(asked?.[1] ?? 0);
  const body = bytes.subarray(from, asked ? Number(asked[2]) + 1 : bytes.length);
  const total = fault?.kind === 'claim' ? fault.size : bytes.length;
  response.writeHead(asked ? 206 : 200, { etag: '"x"', 'content-length': body.length, ...(asked ? { 'content-range': `bytes ${from}-${from + body.length - 1}/${total}` } : {}) });
  if ((fault?.kind === 'break' || fault?.kind === 'stall') && body.length > fault.after) {
    response.write(body.subarray(0, fault.after), () => {
      if (fault.kind === 'break') setTimeout(() => response.destroy(), 20);
    });
    return;
  }
  response.end(body);
}

function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}
