// Learning without an engine, for the command line: what it changes is recorded in the store, and a program
// that runs follows within seconds, or at its next start.
import { join } from 'node:path';
import type { TrainingJobs } from '../chat/services.ts';
import { FromageError } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { AdapterVersion } from './contracts.ts';
import { LearningJobs } from './jobs.ts';
import { rollbackTarget } from './lineup.ts';
import { keepSetting, type LearningSetting, listSettings, readSettings } from './kept-settings.ts';
import { type LearningSettingsInput, parseLearningSettings } from './settings.ts';
import type { LearningStores } from './stores.ts';
import { LearningVersions, type VersionChanges } from './versions.ts';

export interface LearningRecordsOptions {
  readonly store: LearningStores;
  readonly dataDir: string;
  /** SHA-256 over the tensors of an adapter folder, as they are on the disk now. */
  readonly hashOf: (folder: string) => string;
  /** What the program was started with. */
  readonly settings?: LearningSettingsInput;
  readonly log: Logger;
}

export interface LearningRecords {
  readonly jobs: Omit<TrainingJobs, 'start' | 'watch'> & Pick<LearningJobs, 'request'>;
  readonly adapters: LearningVersions;
  settings(): Promise<readonly LearningSetting[]>;
  /** @throws FromageError `LEARNING_SETTINGS` */
  setSetting(name: string, typed: string | null): Promise<void>;
  /** Folder of a version by its id; null when there is none. */
  folderOf(id: string): Promise<string | null>;
  /** Id of a chat by `platform:id`; null where nothing was ever said. */
  chatOf(place: string): Promise<string | null>;
}

export function openLearningRecords({ store, dataDir, hashOf, settings: given, log }: LearningRecordsOptions): LearningRecords {
  const checked = async (id: string): Promise<AdapterVersion> => {
    const version = await store.adapters.get(id);
    if (version === null) throw new FromageError({ code: 'LEARNING_ADAPTER', what: `there is no adapter version "${id.slice(0, 80)}"`, todo: 'see fromage adapters list' });
    const hash = hashOf(join(dataDir, version.folder));
    if (hash === version.hash) return version;
    throw new FromageError({ code: 'LEARNING_DAMAGED', what: `the files of adapter ${id} are not what they were (hash ${hash.slice(0, 12)}, expected ${version.hash.slice(0, 12)})`, why: 'they were changed or damaged after it was made', todo: 'serve another version, or restore its folder from a backup' });
  };
  const changes: VersionChanges = {
    promote: async (id, facts = {}) => store.adapters.promote((await checked(id)).id, facts),
    async rollback(facts = {}) {
      const target = await rollbackTarget(store);
      if (target === null) return null;
      await store.adapters.promote((await checked(target)).id, { ...facts, kind: 'rollback' });
      return store.adapters.get(target);
    },
    pin: async (chatId, id) => store.adapters.pin(chatId, id === null ? null : (await checked(id)).id),
  };
  const started = parseLearningSettings(given);
  return {
    jobs: new LearningJobs({ store, gallery: () => null, lineup: { serving: null }, settings: () => readSettings(store.settings, started), wake: () => {}, log }),
    adapters: new LearningVersions(store, changes),
    settings: () => listSettings(store.settings, started),
    setSetting: (name, typed) => keepSetting(store.settings, started, name, typed),
    async folderOf(id) {
      const version = await store.adapters.get(id);
      return version && join(dataDir, version.folder);
    },
    async chatOf(place) {
      const [, platform, externalId] = /^([a-z]+):(.+)$/.exec(place) ?? [];
      return platform === undefined || externalId === undefined ? null : ((await store.conversations.findChat(platform, externalId))?.id ?? null);
    },
  };
}
