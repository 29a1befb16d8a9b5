// Adapter versions as the admin commands and the page see them.
import type { Locale } from '../chat/index.ts';
import type { AdapterVersion as ShownVersion, AdapterVersions } from '../chat/services.ts';
import { FromageError } from '../errors.ts';
import type { AdapterVersion } from './contracts.ts';
import { userOf } from './jobs.ts';
import type { Lineup } from './lineup.ts';
import { ownReason, versionOf } from './records.ts';
import type { LearningStores } from './stores.ts';

/** How a change of the serving version is made: in engine and gallery, or on record alone. */
export type VersionChanges = Pick<Lineup, 'promote' | 'rollback' | 'pin'>;

export class LearningVersions implements AdapterVersions {
  readonly #store: LearningStores;
  readonly #lineup: VersionChanges;

  constructor(store: LearningStores, lineup: VersionChanges) {
    this.#store = store;
    this.#lineup = lineup;
  }

  async list(): Promise<readonly ShownVersion[]> {
    return Promise.all((await this.#store.adapters.list()).map((version) => this.#shown(version)));
  }

  /** By id or by a beginning of it that names only one. */
  async show(id: string, locale?: Locale): Promise<ShownVersion | null> {
    const version = await this.#find(id);
    return version && this.#shown(version, locale);
  }

  async promote(id: string, by: string, why = ''): Promise<ShownVersion> {
    const version = await this.#usable(id);
    const userId = await userOf(this.#store, by);
    await this.#lineup.promote(version.id, { ...(userId === null ? {} : { by: userId }), why: why === '' ? ownReason('reason.byHand') : why });
    return this.#shown((await this.#store.adapters.get(version.id)) ?? version);
  }

  async rollback(by: string, why = ''): Promise<ShownVersion | null> {
    const userId = await userOf(this.#store, by);
    const back = await this.#lineup.rollback({ ...(userId === null ? {} : { by: userId }), why: why === '' ? ownReason('reason.byHand') : why });
    return back && this.#shown(back);
  }

  /** The adapter of one chat; null lets it follow the one that serves. */
  async pin(chatId: string, id: string | null): Promise<string | null> {
    const version = id === null ? null : await this.#usable(id);
    await this.#lineup.pin(chatId, version?.id ?? null);
    return version?.id ?? null;
  }

  pinned(chatId: string): Promise<string | null> {
    return this.#store.adapters.pinned(chatId);
  }

  /** A version that people may be answered by. */
  async #usable(id: string): Promise<AdapterVersion> {
    const version = await this.#find(id);
    if (!version) throw new FromageError({ code: 'LEARNING_ADAPTER', what: `there is no adapter version "${id.slice(0, 80)}"`, todo: 'see /adapter list', userMessage: 'There is no such adapter.' });
    if (version.state === 'refused') {
      throw new FromageError({ code: 'LEARNING_REFUSED', what: `the gate refused ${version.id}`, why: 'it did worse on held-out data than the adapter that served', todo: 'see /adapter show for its figures, and train another one', userMessage: 'The gate refused that adapter, so I will not use it.' });
    }
    return version;
  }

  async #find(id: string): Promise<AdapterVersion | null> {
    const exact = await this.#store.adapters.get(id);
    if (exact || id.length < 4) return exact;
    const fitting = (await this.#store.adapters.list()).filter((version) => version.id.startsWith(id));
    return fitting.length === 1 ? fitting[0]! : null;
  }

  async #shown(version: AdapterVersion, locale: Locale = 'en'): Promise<ShownVersion> {
    const { trainSets, runs, adapters, conversations } = this.#store;
    const promotions = await adapters.promotions();
    const names = new Map<string, string>();
    for (const { adapterId, by } of promotions) if (by !== null && adapterId === version.id && !names.has(by)) names.set(by, (await conversations.user(by))?.name ?? '');
    return versionOf(version, {
      serving: version.state === 'serving',
      set: version.trainSetId === null ? null : await trainSets.get(version.trainSetId),
      run: version.runId === null ? null : await runs.get(version.runId),
      promotions,
      names,
      locale,
    });
  }
}
