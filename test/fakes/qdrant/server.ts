// A loopback stand-in for a Qdrant server: collections and aliases in memory, search by plain scan, faults on
// demand. Equal scores come in no useful order, as from the real one.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { createChecker } from './schema.ts';

interface Point {
  readonly id: string;
  readonly vector: readonly number[];
  readonly payload: Record<string, unknown>;
}

interface Collection {
  readonly size: number;
  readonly indexes: Map<string, unknown>;
  readonly points: Map<string, Point>;
}

interface Condition {
  readonly key?: string;
  readonly match?: { readonly any?: unknown[]; readonly value?: unknown };
  readonly range?: { readonly gt?: number; readonly lt?: number };
  readonly has_id?: readonly string[];
}

interface Filter {
  readonly must?: readonly Condition[];
  readonly must_not?: readonly Condition[];
}

export interface FakeQdrant {
  readonly url: string;
  readonly collections: Map<string, Collection>;
  readonly aliases: Map<string, string>;
  /** Requests and answers that the description does not allow; must stay empty. */
  readonly violations: string[];
  readonly requests: string[];
  version: string;
  /** Set to make it slow, broken or silent. */
  fault: { readonly delayMs?: number; readonly status?: number; readonly cut?: boolean; readonly apiKey?: string } | null;
  close(): Promise<void>;
  /** Listens again on the same port. */
  reopen(): Promise<void>;
}

class Refusal extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export async function startFakeQdrant(): Promise<FakeQdrant> {
  const checker = createChecker();
  const server = createServer((request, response) => void answer(request, response));
  const listen = (port: number) => new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  await listen(0);
  const { port } = server.address() as AddressInfo;
  const fake: FakeQdrant = {
    url: `http://127.0.0.1:${port}`,
    collections: new Map(),
    aliases: new Map(),
    violations: [],
    requests: [],
    version: '1.19.0',
    fault: null,
    async close() {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
    reopen: () => listen(port),
  };
  return fake;

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', url = '' } = request;
    const path = url.split('?')[0]!;
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const { fault } = fake;
    if (fault?.delayMs) await sleep(fault.delayMs, undefined, { ref: false });
    if (fault?.cut) return void request.destroy();
    fake.requests.push(`${method} ${path}`);
    const send = (status: number, body: object) => response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    const refuse = (status: number, error: string) => send(status, { status: { error }, time: 0 });
    if (fault?.status) return void refuse(fault.status, 'as told');
    if (fault?.apiKey && request.headers['api-key'] !== fault.apiKey) return void refuse(401, 'Must provide an API key');
    const found = checker.match(method, path);
    if (!found) {
      fake.violations.push(`${method} ${path} is not an operation`);
      return void refuse(404, 'no such operation');
    }
    const body: unknown = chunks.length === 0 ? undefined : JSON.parse(Buffer.concat(chunks).toString());
    const wrong = checker.request(method, found.template, body);
    if (wrong) {
      fake.violations.push(wrong);
      return void refuse(400, wrong);
    }
    try {
      const result = act(method, found.template, found.collection, body);
      const whole = found.template === '/' ? (result as object) : { usage: null, time: 0.001, status: 'ok', result };
      const odd = checker.response(method, found.template, whole);
      if (odd) fake.violations.push(odd);
      send(200, whole);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      refuse(error.status, error.message);
    }
  }

  function act(method: string, template: string, name: string, body: unknown): unknown {
    switch (`${method} ${template}`) {
      case 'GET /':
        return { title: 'qdrant - vector search engine', version: fake.version, commit: null };
      case 'GET /aliases':
        return { aliases: [...fake.aliases].map(([alias_name, collection_name]) => ({ alias_name, collection_name })) };
      case 'POST /collections/aliases': {
        const { actions } = body as { actions: { create_alias?: { alias_name: string; collection_name: string }; delete_alias?: { alias_name: string } }[] };
        for (const { create_alias, delete_alias } of actions) {
          if (delete_alias && !fake.aliases.delete(delete_alias.alias_name)) throw new Refusal(404, `Alias ${delete_alias.alias_name} does not exist`);
          if (create_alias) {
            if (!fake.collections.has(create_alias.collection_name)) throw new Refusal(404, `Collection ${create_alias.collection_name} doesn't exist`);
            fake.aliases.set(create_alias.alias_name, create_alias.collection_name);
          }
        }
        return true;
      }
      case 'PUT /collections/{collection_name}': {
        if (fake.collections.has(name)) throw new Refusal(409, `Collection ${name} already exists`);
        const { vectors } = body as { vectors: { size: number; distance: string } };
        if (vectors.distance !== 'Cosine') throw new Refusal(400, 'the fake knows only cosine');
        fake.collections.set(name, { size: vectors.size, indexes: new Map(), points: new Map() });
        return true;
      }
      case 'DELETE /collections/{collection_name}':
        for (const [alias, collection] of fake.aliases) if (collection === name) fake.aliases.delete(alias);
        return fake.collections.delete(name);
    }
    const collection = fake.collections.get(fake.aliases.get(name) ?? name);
    if (!collection) throw new Refusal(404, `Collection \`${name}\` doesn't exist!`);
    const { points } = collection;
    switch (`${method} ${template}`) {
      case 'GET /collections/{collection_name}':
        return {
          status: 'green',
          optimizer_status: 'ok',
          points_count: points.size,
          segments_count: 1,
          payload_schema: {},
          config: { params: { vectors: { size: collection.size, distance: 'Cosine' } }, hnsw_config: { m: 16, ef_construct: 128, full_scan_threshold: 10_000 }, optimizer_config: { default_segment_number: 0, flush_interval_sec: 5 } },
        };
      case 'PUT /collections/{collection_name}/index': {
        const { field_name, field_schema } = body as { field_name: string; field_schema: unknown };
        if (points.size > 0) throw new Refusal(400, 'the fake wants indexes before points');
        collection.indexes.set(field_name, field_schema);
        return { operation_id: 1, status: 'completed' };
      }
      case 'PUT /collections/{collection_name}/points': {
        const given = (body as { points: Point[] }).points;
        const odd = given.find(({ vector }) => vector.length !== collection.size);
        if (odd) throw new Refusal(400, `Vector dimension error: expected dim: ${collection.size}, got ${odd.vector.length}`);
        for (const { id, vector, payload } of given) points.set(id, { id, vector: unit(vector), payload });
        return { operation_id: 1, status: 'completed' };
      }
      case 'POST /collections/{collection_name}/points':
        return (body as { ids: string[] }).ids.flatMap((id) => (points.has(id) ? [{ id, vector: points.get(id)!.vector, payload: null }] : []));
      case 'POST /collections/{collection_name}/points/delete':
        for (const id of (body as { points: string[] }).points) points.delete(id);
        return { operation_id: 1, status: 'completed' };
      case 'POST /collections/{collection_name}/points/count':
        return { count: matching(collection, (body as { filter?: Filter }).filter).length };
      case 'POST /collections/{collection_name}/points/scroll': {
        const { limit = 10, offset } = body as { limit?: number; offset?: string };
        const from = [...points.keys()].sort().filter((id) => offset === undefined || id >= offset);
        return { points: from.slice(0, limit).map((id) => ({ id, payload: null })), next_page_offset: from[limit] ?? null };
      }
      case 'POST /collections/{collection_name}/points/query/batch':
        return (body as { searches: { query: number[]; filter?: Filter; limit: number; score_threshold?: number }[] }).searches.map(({ query, filter, limit, score_threshold = -2 }) => {
          const wanted = unit(query);
          const hits = matching(collection, filter).map(({ id, vector }) => ({ id, version: 1, score: vector.reduce((sum, value, i) => sum + value * wanted[i]!, 0) }));
          // Equal scores: the higher id first, which is the wrong way round for us.
          return { points: hits.filter(({ score }) => score >= score_threshold).sort((a, b) => b.score - a.score || (a.id < b.id ? 1 : -1)).slice(0, limit) };
        });
    }
    throw new Refusal(404, 'not in the fake');
  }

  function matching({ points, indexes }: Collection, filter: Filter = {}): Point[] {
    const holds = (point: Point, { key, match, range, has_id }: Condition): boolean => {
      if (has_id) return has_id.includes(point.id);
      if (!indexes.has(key!)) throw new Refusal(400, `Index required but not found for ${key}`);
      const values = [point.payload[key!] ?? []].flat();
      if (match) return values.some((value) => (match.any ? match.any.includes(value) : value === match.value));
      return values.some((value) => (range?.gt === undefined || (value as number) > range.gt) && (range?.lt === undefined || (value as number) < range.lt));
    };
    return [...points.values()].filter((point) => (filter.must ?? []).every((condition) => holds(point, condition)) && !(filter.must_not ?? []).some((condition) => holds(point, condition)));
  }
}

function unit(vector: readonly number[]): number[] {
  const norm = Math.hypot(...vector);
  return vector.map((value) => value / norm);
}
