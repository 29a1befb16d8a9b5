// Which adapter answers: the versions that the store knows, loaded into engine and gallery, and the one
// that serves. The store's row is the truth; every process brings itself level with it, so that a promotion
// holds in all of them and after any crash. A request names its adapter when it begins and ends with it.
import { cpSync, existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Engine } from '../engine/types.ts';
import { asFromageError, FromageError } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { Projection } from '../retrieval/index.ts';
import type { AdapterVersion, Promotion } from './contracts.ts';
import { ownReason } from './records.ts';
import type { LearningStores } from './stores.ts';

/** What the line-up needs of a gallery. */
export interface ProjectedGallery {
  prepare?(projection: Projection): Promise<void>;
  serve(projection: Projection): Promise<void>;
  drop(key: string, options?: { readonly forget?: boolean }): Promise<void>;
}

export interface LineupOptions {
  readonly store: LearningStores;
  readonly engine: Engine;
  readonly gallery: () => ProjectedGallery | null;
  readonly dataDir: string;
  /** Folder of the adapter that the model came with. */
  readonly baseAdapter: string;
  readonly log: Logger;
}

export class Lineup {
  readonly #options: LineupOptions;
  /** Loaded versions by id, with the key of their projection. */
  readonly #loaded = new Map<string, string>();
  #serving: string | null = null;
  #baseId: string | null = null;
  #changes: Promise<unknown> = Promise.resolve();

  constructor(options: LineupOptions) {
    this.#options = options;
  }

  /** The version that new requests are answered by; null before `start`. */
  get serving(): string | null {
    return this.#serving;
  }

  folderOf(version: Pick<AdapterVersion, 'folder'>): string {
    return join(this.#options.dataDir, version.folder);
  }

  /** Keeps the model's own adapter as a version and brings engine and gallery level with the store. */
  start(): Promise<void> {
    return this.#exclusive(async () => {
      const { store, engine } = this.#options;
      const info = await engine.info();
      const first = info.adapters.find(({ id }) => id === info.servingAdapter);
      if (!first) throw new FromageError({ code: 'LEARNING_BASE', what: 'the engine serves no adapter' });
      const id = `base-${first.hash.slice(0, 12)}`;
      this.#baseId = id;
      const folder = join('adapters', id);
      copyWhole(this.#options.baseAdapter, join(this.#options.dataDir, folder));
      if ((await store.adapters.get(id)) === null) await store.adapters.add({ id, parentId: null, folder, hash: first.hash, visualHash: first.visualHash, trainSetId: null, runId: null, metrics: {} });
      const serving = await store.adapters.serving();
      if (serving === null) await store.adapters.promote(id, { why: ownReason('reason.base') });
      else if (serving.id !== id && serving.runId === null) await store.adapters.promote(id, { why: ownReason('reason.otherBase') });
      await this.#level();
      if (info.servingAdapter !== this.#serving && !this.#loaded.has(info.servingAdapter)) await engine.unloadAdapter(info.servingAdapter).catch(() => undefined);
    });
  }

  /** Follows a promotion or rollback that another process has recorded. */
  follow(): Promise<void> {
    return this.#exclusive(() => this.#level());
  }

  /** Loads a version without serving it: for the gate, a comparison, a pinned chat. @throws FromageError `LEARNING_ADAPTER`, `LEARNING_DAMAGED` */
  load(id: string): Promise<void> {
    return this.#exclusive(() => this.#load(id));
  }

  /**
   * Loads and checks first, then records, then serves: until the record stands the old version answers, and
   * whatever fails before it changes nothing.
   */
  promote(id: string, facts: { readonly by?: string; readonly why?: string; readonly kind?: Promotion['kind'] } = {}): Promise<Promotion> {
    return this.#exclusive(async () => {
      await this.#load(id);
      const promotion = await this.#options.store.adapters.promote(id, facts);
      await this.#level();
      return promotion;
    });
  }

  /** Goes back to the version that served before; null when there is none. */
  rollback(facts: { readonly by?: string; readonly why?: string } = {}): Promise<AdapterVersion | null> {
    return this.#exclusive(async () => {
      const { store } = this.#options;
      const target = await rollbackTarget(store);
      if (target === null) return null;
      await this.#load(target);
      await store.adapters.promote(target, { ...facts, kind: 'rollback' });
      await this.#level();
      return store.adapters.get(target);
    });
  }

  /** The adapter that answers a chat now: the one it is pinned to, else the one that serves. */
  async adapterFor(chatId: string | null): Promise<string | undefined> {
    const pinned = chatId === null ? null : await this.#options.store.adapters.pinned(chatId);
    if (pinned !== null && !this.#loaded.has(pinned)) {
      await this.load(pinned).catch((error: unknown) => this.#options.log.warn({ code: asFromageError(error).code, adapter: pinned }, 'the adapter that a chat is pinned to cannot be loaded'));
    }
    return pinned !== null && this.#loaded.has(pinned) ? pinned : (this.#serving ?? undefined);
  }

  /** @param adapterId null unpins */
  async pin(chatId: string, adapterId: string | null): Promise<void> {
    if (adapterId !== null) await this.load(adapterId);
    await this.#options.store.adapters.pin(chatId, adapterId);
  }

  /** Gives back what neither serves, nor served before, nor is the model's own, nor is among `keep`. */
  tidy(keep: readonly string[] = []): Promise<void> {
    return this.#exclusive(async () => {
      const { engine, gallery, store } = this.#options;
      const needed = new Set([this.#serving, this.#baseId, await rollbackTarget(store), ...keep]);
      for (const [id, key] of [...this.#loaded]) {
        if (needed.has(id)) continue;
        this.#loaded.delete(id);
        // Ends when the last request that began with it has ended.
        await engine.unloadAdapter(id);
        if (![...this.#loaded.values()].includes(key)) await gallery()?.drop(key, { forget: true });
      }
    });
  }

  async #load(id: string): Promise<void> {
    if (this.#loaded.has(id)) return;
    const { engine, gallery, store } = this.#options;
    const version = await store.adapters.get(id);
    if (version === null) throw new FromageError({ code: 'LEARNING_ADAPTER', what: `there is no adapter version "${id.slice(0, 80)}"`, todo: 'see /adapter list', userMessage: 'There is no such adapter.' });
    const info = (await engine.info()).adapters.find((loaded) => loaded.id === id) ?? (await engine.loadAdapter(this.folderOf(version), id));
    if (info.hash !== version.hash) {
      await engine.unloadAdapter(id).catch(() => undefined);
      throw new FromageError({ code: 'LEARNING_DAMAGED', what: `the files of adapter ${id} are not what they were (hash ${info.hash.slice(0, 12)}, expected ${version.hash.slice(0, 12)})`, why: 'they were changed or damaged after it was made', todo: 'serve another version, or restore its folder from a backup', userMessage: 'The files of that adapter are damaged.' });
    }
    const holder = gallery();
    if (holder) await (holder.prepare ? holder.prepare(this.#projection(id, info)) : undefined);
    this.#loaded.set(id, info.visualHash);
  }

  /** Serves what the store says; a version that cannot be loaded gives way to the one before it. */
  async #level(): Promise<void> {
    const { engine, gallery, store, log } = this.#options;
    let serving = await store.adapters.serving();
    for (const tried = new Set<string>(); serving !== null && serving.id !== this.#serving; serving = await store.adapters.serving()) {
      try {
        await this.#load(serving.id);
        break;
      } catch (error) {
        log.error({ code: asFromageError(error).code, adapter: serving.id }, 'the adapter that shall serve cannot be loaded');
        tried.add(serving.id);
        const back = this.#serving ?? (await rollbackTarget(store)) ?? this.#baseId;
        const next = back !== null && !tried.has(back) ? back : this.#baseId;
        if (next === null || tried.has(next)) throw error;
        await store.adapters.promote(next, { kind: 'rollback', why: ownReason('reason.notLoaded') });
      }
    }
    if (serving === null || serving.id === this.#serving) return;
    const info = (await engine.info()).adapters.find(({ id }) => id === serving.id);
    if (info) await gallery()?.serve(this.#projection(serving.id, info));
    await engine.serveAdapter(serving.id);
    this.#serving = serving.id;
    log.info({ adapter: serving.id }, 'an adapter serves from now on');
  }

  #projection(id: string, { visualHash, retrievalDim }: { readonly visualHash: string; readonly retrievalDim: number }): Projection {
    const { engine } = this.#options;
    return { key: visualHash, dim: retrievalDim, adapters: [id], project: (pooled) => engine.projectImages(pooled, id) };
  }

  #exclusive<T>(change: () => Promise<T>): Promise<T> {
    const done = this.#changes.then(change);
    this.#changes = done.catch(() => undefined);
    return done;
  }
}

/** What served before the serving version was promoted; rollbacks are steps back, not forward. */
export async function rollbackTarget({ adapters }: Pick<LearningStores, 'adapters'>): Promise<string | null> {
  const promotions = (await adapters.promotions()).toReversed();
  const line: string[] = [];
  for (const { adapterId, kind } of promotions) {
    if (kind === 'rollback' && line.includes(adapterId)) line.splice(line.lastIndexOf(adapterId) + 1);
    else if (line.at(-1) !== adapterId) line.push(adapterId);
  }
  for (const id of line.slice(0, -1).reverse()) if ((await adapters.get(id)) !== null) return id;
  return null;
}

/** The copy appears whole or not at all. */
function copyWhole(source: string, target: string): void {
  if (existsSync(target)) return;
  const draft = `${target}.draft`;
  rmSync(draft, { recursive: true, force: true });
  mkdirSync(dirname(target), { recursive: true });
  cpSync(source, draft, { recursive: true, dereference: true });
  renameSync(draft, target);
}
