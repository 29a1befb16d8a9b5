// The embedded `ImageIndex`: exact, in memory, in a thread of its own. Rows of the database are the
// source of truth; whoever opens it fills it from there.
import { Worker } from 'node:worker_threads';
import { FromageError } from '../../errors.ts';
import type { ImageFilter, ImageHit, ImageIndex, ImagePoint, ImageQuery, ImageVector } from '../types.ts';
import type { WorkerCall, WorkerReply } from './protocol.ts';

interface Waiting {
  resolve(value: unknown): void;
  reject(error: unknown): void;
}

export class EmbeddedIndex implements ImageIndex {
  readonly dim: number;
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  #nextId = 0;
  #failure: FromageError | null = null;

  /** @param dim the adapter's retrievalDim */
  constructor(dim: number, options: { readonly threads?: number } = {}) {
    this.dim = dim;
    this.#worker = new Worker(new URL('./worker.ts', import.meta.url), { workerData: { dim, threads: options.threads } });
    this.#worker.unref();
    this.#worker.on('message', (reply: WorkerReply) => this.#settle(reply));
    this.#worker.on('error', (cause) => this.#fail(cause));
    this.#worker.on('exit', (code) => this.#fail(new Error(`its thread ended with code ${code}`)));
  }

  async upsert(points: readonly ImagePoint[]): Promise<void> {
    await this.#call({ type: 'upsert', points });
  }

  async query(query: ImageQuery): Promise<readonly ImageHit[]> {
    return (await this.queryBatch([query]))[0] ?? [];
  }

  queryBatch(queries: readonly ImageQuery[]): Promise<readonly (readonly ImageHit[])[]> {
    return this.#call({ type: 'query', queries });
  }

  async delete(ids: readonly string[]): Promise<void> {
    await this.#call({ type: 'delete', ids });
  }

  count(filter?: ImageFilter): Promise<number> {
    return this.#call({ type: 'count', ...(filter ? { filter } : {}) });
  }

  ids(page: { readonly after?: string; readonly limit?: number } = {}): Promise<readonly string[]> {
    return this.#call({ type: 'ids', ...page });
  }

  vectors(ids: readonly string[]): Promise<readonly ImageVector[]> {
    return this.#call({ type: 'vectors', ids });
  }

  async close(): Promise<void> {
    this.#failure ??= new FromageError({ code: 'RETRIEVAL_CLOSED', what: 'the image index has been closed' });
    await this.#worker.terminate();
  }

  #call<T>(call: WorkerCall): Promise<T> {
    if (this.#failure) return Promise.reject(this.#failure);
    const id = this.#nextId++;
    const settled = new Promise<T>((resolve, reject) => this.#waiting.set(id, { resolve: resolve as (value: unknown) => void, reject }));
    // Only a thread with work keeps the process alive.
    this.#worker.ref();
    this.#worker.postMessage({ id, call });
    return settled;
  }

  #settle(reply: WorkerReply): void {
    const waiting = this.#waiting.get(reply.id);
    this.#waiting.delete(reply.id);
    if (this.#waiting.size === 0) this.#worker.unref();
    if (reply.error) waiting?.reject(FromageError.fromPlain(reply.error));
    else waiting?.resolve(reply.result);
  }

  #fail(cause: unknown): void {
    this.#failure ??= new FromageError({ code: 'RETRIEVAL_INDEX_LOST', what: 'the image index stopped working', why: cause instanceof Error ? cause.message : String(cause), todo: 'restart the program; the index is built again from the database', cause });
    for (const { reject } of this.#waiting.values()) reject(this.#failure);
    this.#waiting.clear();
  }
}
