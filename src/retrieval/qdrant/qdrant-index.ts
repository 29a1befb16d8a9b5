// The `ImageIndex` on a Qdrant server: one collection per projection behind an alias, tenants indexed. The
// rows of the database stay the source of truth: a server that was lost is filled again from there.
import { createHash } from 'node:crypto';
import { QdrantClient } from '@qdrant/js-client-rest';
import { FromageError } from '../../errors.ts';
import type { ImageFilter, ImageHit, ImageIndex, ImagePoint, ImageQuery, ImageVector } from '../types.ts';
import { asQdrantError, statusOf } from './errors.ts';
import { type Condition, filterOf, payloadOf, rounded } from './payload.ts';

export interface QdrantOptions {
  readonly url: string;
  readonly apiKey?: string;
  /** For one request; 5,000 ms by default. A search that takes longer is answered in words only. */
  readonly timeoutMs?: number;
}

/** Tenant indexes are there since 1.11, `query` since 1.10. */
const oldestVersion = [1, 11] as const;
const upsertBatch = 256;
const readBatch = 1000;
/** Payload fields that queries filter by, indexed before any point is loaded. */
const indexed = [
  ['tenant', { type: 'keyword', is_tenant: true }],
  ['tags', 'keyword'],
  ['added_by', 'keyword'],
  ['content_class', 'keyword'],
  ['added_at', 'integer'],
] as const;

export class QdrantIndex implements ImageIndex {
  readonly dim: number;
  /** Every operation goes by this name; which collection stands behind it may change. */
  readonly alias: string;
  readonly #client: QdrantClient;
  #ready: Promise<void> | null = null;

  /**
   * Connects when it is first used.
   *
   * @param key the projection's; two adapters with equal keys share a collection
   */
  constructor(dim: number, key: string, { url, apiKey, timeoutMs = 5000 }: QdrantOptions) {
    this.dim = dim;
    this.alias = `fromage-${createHash('sha256').update(key).digest('hex').slice(0, 24)}`;
    // Without a port in the address the client would take 6333 even for https behind a proxy.
    const { port, protocol } = new URL(url);
    this.#client = new QdrantClient({ url, port: port === '' ? (protocol === 'https:' ? 443 : 6333) : Number(port), timeout: timeoutMs, checkCompatibility: false, ...(apiKey === undefined ? {} : { apiKey }) });
  }

  async upsert(points: readonly ImagePoint[]): Promise<void> {
    for (const { id, vector } of points) this.#checkVector(vector, `point ${id}`);
    await this.#run((client) => this.#load(client, this.alias, points));
  }

  async query(query: ImageQuery): Promise<readonly ImageHit[]> {
    return (await this.queryBatch([query]))[0] ?? [];
  }

  async queryBatch(queries: readonly ImageQuery[]): Promise<readonly (readonly ImageHit[])[]> {
    for (const { vector } of queries) this.#checkVector(vector, 'the query');
    const answers: (readonly ImageHit[])[] = queries.map(() => []);
    // A tie across the border of the best could hide the lower id: those are asked again for more.
    let open = queries.map((query, at) => ({ query, at, limit: query.limit + 8 })).filter(({ query }) => query.filter.tenants.length > 0 && query.limit > 0);
    while (open.length > 0) {
      const found = await this.#run((client) => client.queryBatch(this.alias, { searches: open.map(({ query, limit }) => searchOf(query, limit)) }));
      open = open.filter(({ query, at, limit }, i) => {
        const points = found[i]?.points ?? [];
        const hits = points.map(({ id, score }) => ({ id: String(id), score })).sort((a, b) => b.score - a.score || (a.id < b.id ? -1 : 1));
        answers[at] = hits.slice(0, query.limit);
        return points.length === limit && hits.at(-1)!.score === hits[query.limit - 1]!.score;
      }).map((one) => ({ ...one, limit: one.limit * 2 }));
    }
    return answers;
  }

  async delete(ids: readonly string[]): Promise<void> {
    if (ids.length > 0) await this.#run((client) => client.delete(this.alias, { points: [...ids], wait: true }));
  }

  async count(filter?: ImageFilter): Promise<number> {
    if (filter?.tenants.length === 0) return 0;
    return (await this.#run((client) => client.count(this.alias, { exact: true, ...(filter ? { filter: { must: filterOf(filter) } } : {}) }))).count;
  }

  async ids({ after = '', limit = readBatch }: { readonly after?: string; readonly limit?: number } = {}): Promise<readonly string[]> {
    // The offset is the first id to come: `after` itself is asked for and dropped.
    const page = await this.#run((client) => client.scroll(this.alias, { limit: limit + (after === '' ? 0 : 1), with_payload: false, with_vector: false, ...(after === '' ? {} : { offset: after }) }));
    const ids = page.points.map(({ id }) => String(id));
    return (ids[0] === after ? ids.slice(1) : ids).slice(0, limit);
  }

  async vectors(ids: readonly string[]): Promise<readonly ImageVector[]> {
    const found: ImageVector[] = [];
    for (let i = 0; i < ids.length; i += upsertBatch) {
      const points = await this.#run((client) => client.retrieve(this.alias, { ids: ids.slice(i, i + upsertBatch), with_payload: false, with_vector: true }));
      found.push(...points.map(({ id, vector }) => ({ id: String(id), vector: Float32Array.from(vector as number[]) })));
    }
    return found;
  }

  /** Fills a new collection and puts the alias on it when the last point is there; searches see the old one until then. */
  async refill(pages: AsyncIterable<readonly ImagePoint[]>): Promise<void> {
    const old = await this.#run(() => this.#behind());
    const fresh = `${this.alias}-${Date.now().toString(36)}`;
    await this.#run(async (client) => {
      await this.#create(fresh);
      for await (const points of pages) await this.#load(client, fresh, points);
      await client.updateCollectionAliases({ actions: [...(old === null ? [] : [{ delete_alias: { alias_name: this.alias } }]), { create_alias: { collection_name: fresh, alias_name: this.alias } }] });
      if (old !== null) await client.deleteCollection(old);
    });
  }

  /** The collection stays: it belongs to the server. */
  async close(): Promise<void> {}

  async #run<T>(work: (client: QdrantClient) => Promise<T>): Promise<T> {
    try {
      this.#ready ??= this.#open();
      await this.#ready;
      return await work(this.#client);
    } catch (error) {
      // Whatever went wrong, the next call looks again whether the server and the collection are there.
      this.#ready = null;
      throw asQdrantError(error);
    }
  }

  async #open(): Promise<void> {
    const { version } = await this.#client.versionInfo();
    const [major = 0, minor = 0] = version.split('.').map(Number);
    if (major < oldestVersion[0] || (major === oldestVersion[0] && minor < oldestVersion[1])) {
      throw new FromageError({ code: 'RETRIEVAL_QDRANT_OLD', what: `the Qdrant server is ${version}, ${oldestVersion.join('.')} or newer is needed`, todo: 'upgrade Qdrant, or leave QDRANT_URL out to use the embedded index', retryable: true, userMessage: 'I cannot look at my pictures right now.' });
    }
    const behind = await this.#behind();
    if (behind === null) {
      const first = `${this.alias}-0`;
      await this.#create(first);
      await this.#client.updateCollectionAliases({ actions: [{ create_alias: { collection_name: first, alias_name: this.alias } }] });
      return;
    }
    const { config } = await this.#client.getCollection(behind);
    const held = config.params.vectors as { size?: number } | undefined;
    if (held?.size !== this.dim) throw new FromageError({ code: 'RETRIEVAL_VECTOR', what: `collection ${behind} holds vectors of ${held?.size ?? 'unknown'} entries, the adapter makes ${this.dim}`, todo: `delete the collection ${behind}; it is made again from the database` });
  }

  /** The collection behind the alias; null when there is none. */
  async #behind(): Promise<string | null> {
    const { aliases } = await this.#client.getAliases();
    return aliases.find(({ alias_name }) => alias_name === this.alias)?.collection_name ?? null;
  }

  async #create(name: string): Promise<void> {
    try {
      await this.#client.createCollection(name, { vectors: { size: this.dim, distance: 'Cosine' }, hnsw_config: { m: 16, payload_m: 16, ef_construct: 128 } });
    } catch (error) {
      // Another process was as quick.
      if (statusOf(error) !== 409) throw error;
    }
    for (const [field_name, field_schema] of indexed) await this.#client.createPayloadIndex(name, { field_name, field_schema, wait: true });
  }

  async #load(client: QdrantClient, name: string, points: readonly ImagePoint[]): Promise<void> {
    for (let i = 0; i < points.length; i += upsertBatch) {
      await client.upsert(name, { wait: true, points: points.slice(i, i + upsertBatch).map((point) => ({ id: point.id, vector: rounded(point.vector), payload: payloadOf(point) })) });
    }
  }

  #checkVector(vector: Float32Array, owner: string): void {
    if (vector.length === this.dim && vector.every(Number.isFinite)) return;
    const found = vector.length === this.dim ? 'a value that is not finite' : `${vector.length} entries`;
    throw new FromageError({ code: 'RETRIEVAL_VECTOR', what: `the vector of ${owner} has ${found}, the index holds ${this.dim} finite entries`, todo: 'use the adapter that the index was built with, or rebuild the index' });
  }
}

function searchOf({ vector, filter, exclude, scoreThreshold }: ImageQuery, limit: number) {
  const must: Condition[] = filterOf(filter);
  return {
    query: rounded(vector),
    filter: { must, ...(exclude && exclude.size > 0 ? { must_not: [{ has_id: [...exclude] }] } : {}) },
    limit,
    params: { hnsw_ef: 128 },
    with_payload: false,
    with_vector: false,
    ...(scoreThreshold === undefined ? {} : { score_threshold: scoreThreshold }),
  };
}
