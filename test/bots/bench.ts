// What stands behind the bots in tests: the real store on SQLite, the real engine with a tiny generated
// model (or the starter, where content matters), the real gallery with a few pictures, the real sanitizer. Only time can be slowed down.
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { pino } from 'pino';
import { type BotOptions, ChatBot, type ChatServices } from '../../src/chat/index.ts';
import { createEngine, startEngine } from '../../src/engine/index.ts';
import type { Engine, GenerateEvent, GenerateRequest } from '../../src/engine/types.ts';
import { loadFromage } from '../../src/model/index.ts';
import { EmbeddedIndex, type GalleryEntry, PictureGallery, pictureId } from '../../src/retrieval/index.ts';
import type { Picture } from '../../src/retrieval/types.ts';
import { openStore } from '../../src/store/index.ts';
import { sanitizePicture } from '../../src/vision/index.ts';
import { writeTinyFromage } from '../tiny/fromage.ts';
import { colourPng } from './pictures.ts';

export type Store = Awaited<ReturnType<typeof openStore>>;

/** The engine with a hand on its clock, and the requests that it saw. */
export class SlowEngine implements Engine {
  readonly #engine: Engine;
  readonly requests: GenerateRequest[] = [];
  /** What came of each request that began: tokens found in the prefix cache, embeddings of its [RET]s. */
  readonly began: { readonly conversation: string; readonly promptTokens: number; readonly cachedTokens: number; readonly embeddings: Float32Array[] }[] = [];
  /** Milliseconds before each character. */
  delayMs = 0;
  /** Requests that begin while this is set wait for it before their first word. */
  held: Promise<void> | null = null;
  release: () => void = () => {};

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  async *generate(request: GenerateRequest): AsyncGenerator<GenerateEvent> {
    this.requests.push(request);
    await this.held;
    let text = '';
    const embeddings: Float32Array[] = [];
    const cancelled = (): GenerateEvent => {
      const usage = { promptTokens: 0, cachedTokens: 0, newTokens: 0, droppedTurns: 0, queuedMs: 0, firstTokenMs: 0, totalMs: 0 };
      return { type: 'end', reason: 'cancelled', text, tokenIds: [], seed: request.seed ?? 0, adapter: 'adapter', retProbability: 0, usage };
    };
    const { signal, ...rest } = request;
    for await (const event of this.#engine.generate(this.delayMs > 0 || !signal ? rest : request)) {
      if (event.type === 'started') this.began.push({ conversation: request.conversation ?? '', promptTokens: event.promptTokens, cachedTokens: event.cachedTokens, embeddings });
      if (event.type === 'ret') embeddings.push(event.embedding);
      if (event.type !== 'text' || this.delayMs === 0) {
        if (signal?.aborted && event.type !== 'end') return yield cancelled();
        yield event;
        continue;
      }
      for (const piece of event.text) {
        await new Promise((resolve) => setTimeout(resolve, this.delayMs));
        if (signal?.aborted) return yield cancelled();
        text += piece;
        yield { type: 'text', text: piece };
      }
    }
  }

  ready: Engine['ready'] = () => this.#engine.ready();
  info: Engine['info'] = () => this.#engine.info();
  stats: Engine['stats'] = () => this.#engine.stats();
  encodeImages: Engine['encodeImages'] = (images) => this.#engine.encodeImages(images);
  projectImages: Engine['projectImages'] = (pooled, adapter) => this.#engine.projectImages(pooled, adapter);
  embedPrompts: Engine['embedPrompts'] = (prompts, adapter) => this.#engine.embedPrompts(prompts, adapter);
  scoreCandidates: Engine['scoreCandidates'] = (prompt, candidates, adapter) => this.#engine.scoreCandidates(prompt, candidates, adapter);
  loadAdapter: Engine['loadAdapter'] = (folder, id) => this.#engine.loadAdapter(folder, id);
  serveAdapter: Engine['serveAdapter'] = (id) => this.#engine.serveAdapter(id);
  unloadAdapter: Engine['unloadAdapter'] = (id) => this.#engine.unloadAdapter(id);
  close: Engine['close'] = () => this.#engine.close();
}

export interface Bench {
  readonly store: Store;
  readonly engine: SlowEngine;
  readonly gallery: PictureGallery;
  readonly folder: string;
  /** A bot over the same store, as after a restart. */
  newBot(options?: Partial<BotOptions>): ChatBot;
  /** Lines that were logged so far. */
  readonly logged: string[];
  close(): Promise<void>;
}

/** @param given a folder of an earlier bench, as after a crash; the caller removes it */
export async function openBench(pictures = 12, given?: string): Promise<Bench> {
  const folder = given ?? mkdtempSync(join(tmpdir(), 'fromage-bots-'));
  if (!existsSync(join(folder, 'model'))) writeTinyFromage(join(folder, 'model'), 5);
  const parts = await loadFromage({ model: join(folder, 'model'), weights: 'fp32', cacheDir: join(folder, 'cache'), threads: 1, verify: 'never' });
  const engine = new SlowEngine(createEngine(parts, { maxRows: 8, maxQueue: 500 }));
  return assemble(folder, engine, await Promise.all(Array.from({ length: pictures }, (_, i) => entry(engine, i, 'all'))), given === undefined);
}

/** The starter model of the repository in its child process, with these pictures to show. */
export async function openStarterBench(entriesOf: (engine: Engine) => Promise<readonly GalleryEntry[]>): Promise<Bench> {
  const folder = mkdtempSync(join(tmpdir(), 'fromage-bots-'));
  const engine = new SlowEngine(startEngine({ model: { model: 'starter', weights: 'auto', cacheDir: join(folder, 'cache'), threads: 1 } }));
  await engine.ready();
  return assemble(folder, engine, await entriesOf(engine), true);
}

async function assemble(folder: string, engine: SlowEngine, entries: readonly GalleryEntry[], remove: boolean): Promise<Bench> {
  const store = await openStore({ dataDir: join(folder, 'data') });
  const gallery = new PictureGallery({ createIndex: (dim) => new EmbeddedIndex(dim, { threads: 1 }) });
  await gallery.add(entries);
  const info = await engine.info();
  const [adapter] = info.adapters;
  await gallery.serve({ key: adapter?.visualHash ?? 'a', dim: adapter?.retrievalDim ?? 8, adapters: info.adapters.map(({ id }) => id), project: (pooled) => engine.projectImages(pooled) });
  const logged: string[] = [];
  const log = pino({ level: 'debug', base: null }, { write: (line: string) => void logged.push(line) });
  return {
    store, engine, gallery, folder, logged,
    newBot: (options = {}) =>
      new ChatBot({
        store, engine, gallery: () => gallery, log,
        sanitize: (bytes) => sanitizePicture(bytes),
        times: { albumQuietMs: 150, albumMaxMs: 600, busyNoticeMs: 150, leaseMs: 10_000, ...options.times },
        ...withoutTimes(options),
      }),
    close: async () => {
      await gallery.close();
      await engine.close();
      await store.close();
      if (remove) rmSync(folder, { recursive: true, force: true });
    },
  };
}

function withoutTimes(options: Partial<BotOptions>): Partial<BotOptions> {
  const { times: _times, ...rest } = options;
  return rest;
}

export async function entry(engine: Engine, i: number, tenant: string): Promise<{ picture: Picture; pooled: Float32Array; load: () => Promise<Uint8Array> }> {
  const bytes = colourPng(i + 1);
  const [pooled] = await engine.encodeImages([bytes]);
  if (!(pooled instanceof Float32Array)) throw new Error('the picture was not encoded');
  const id = pictureId(`test:${tenant}`, String(i));
  const picture: Picture = {
    id, hash: `hash-${tenant}-${i}`, tenant, alt: `colour ${i} of ${tenant}`, caption: null, source: 'https://example.org/colours_1', licence: 'MIT',
    addedBy: null, addedAt: 0, tags: [], contentClass: 'safe', mimeType: 'image/png', width: 24, height: 24,
  };
  return { picture, pooled, load: async () => bytes };
}

export type { ChatServices };

/** Waits until something is true. The time is that of something stuck: on a busy machine all takes long. */
export async function until<T>(what: string, look: () => T | null | undefined | false, timeoutMs = 60_000): Promise<T> {
  const end = Date.now() + timeoutMs;
  for (;;) {
    const seen = look();
    if (seen) return seen;
    if (Date.now() > end) throw new Error(`waited ${timeoutMs} ms in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Waits until what is read is as expected; fails with what was read last. */
export async function untilEqual<T>(read: () => Promise<T>, expected: T, timeoutMs = 60_000): Promise<void> {
  const end = Date.now() + timeoutMs;
  for (;;) {
    const seen = await read();
    if (isDeepStrictEqual(seen, expected)) return;
    if (Date.now() > end) throw new Error(`waited ${timeoutMs} ms in vain for ${JSON.stringify(expected)}, there is ${JSON.stringify(seen)}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
