// Puts learning together: the line-up of adapters, the jobs with their worker, and what is shown of both.
import type { TrainingJobs } from '../chat/services.ts';
import type { Engine } from '../engine/types.ts';
import { asFromageError } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { Gallery } from '../retrieval/types.ts';
import { LearningJobs } from './jobs.ts';
import { readSettings } from './kept-settings.ts';
import { TrainingWorker } from './job/worker.ts';
import { Lineup, type ProjectedGallery } from './lineup.ts';
import { LearningOverview } from './overview.ts';
import type { FrozenModels } from './run-config.ts';
import { type LearningSettingsInput, parseLearningSettings } from './settings.ts';
import type { LearningStores } from './stores.ts';
import { LearningVersions } from './versions.ts';

export interface LearningOptions {
  readonly store: LearningStores;
  readonly engine: Engine;
  /** Null while it is being built. */
  readonly gallery: () => (Gallery & ProjectedGallery) | null;
  readonly dataDir: string;
  /** Frozen models as `fromage train` names them. */
  readonly models: FrozenModels;
  /** Folder of the adapter that the model came with. */
  readonly baseAdapter: string;
  readonly settings?: LearningSettingsInput;
  readonly log: Logger;
  /** A worker that is silent for so long has died: 30 s by default. */
  readonly leaseMs?: number;
  /** How often promotions and jobs of other processes are looked for: 2 s by default. */
  readonly pollMs?: number;
}

export interface Learning {
  readonly jobs: TrainingJobs & Pick<LearningJobs, 'startIfDue'>;
  readonly adapters: LearningVersions;
  readonly overview: LearningOverview;
  /** The adapter that answers a chat now; pass it with the request and with the search that follows it. */
  adapterFor(chatId: string | null): Promise<string | undefined>;
  /** Of the process that trains now. */
  readonly trainerPid: number | undefined;
  close(): Promise<void>;
}

const scheduleMs = 60_000;

/**
 * Brings engine and gallery level with the store and works off jobs from now on. The engine must be ready,
 * the gallery filled.
 *
 * @throws FromageError `LEARNING_SETTINGS`, `LEARNING_BASE`, `LEARNING_DAMAGED`
 */
export async function createLearning(options: LearningOptions): Promise<Learning> {
  const { store, engine, gallery, dataDir, models, baseAdapter, leaseMs = 30_000, pollMs = 2_000 } = options;
  const log = options.log.child({ room: 'learning' });
  const given = parseLearningSettings(options.settings);
  const settings = () => readSettings(store.settings, given);
  const lineup = new Lineup({ store, engine, gallery, dataDir, baseAdapter, log });
  await lineup.start();
  const jobs: LearningJobs = new LearningJobs({ store, gallery, lineup, settings, wake: () => worker.wake(), log });
  const worker = new TrainingWorker({ store, engine, gallery, lineup, dataDir, models, settings, prepare: (request) => jobs.prepare(request), log, leaseMs, pollMs, onChange: (id) => jobs.changed(id) });
  worker.start();
  const quietly = (work: () => Promise<unknown>, what: string) => () => void work().catch((error: unknown) => log.warn({ code: asFromageError(error).code, err: error }, what));
  const timers = [
    setInterval(quietly(() => lineup.follow(), 'the serving adapter could not be looked up'), pollMs),
    setInterval(quietly(() => jobs.startIfDue(), 'the schedule could not be kept'), scheduleMs),
  ];
  for (const timer of timers) timer.unref();
  const adapters = new LearningVersions(store, lineup);
  return {
    jobs,
    adapters,
    overview: new LearningOverview({ store, engine, gallery, lineup, jobs, adapters }),
    adapterFor: (chatId) => lineup.adapterFor(chatId),
    get trainerPid() {
      return worker.trainerPid;
    },
    async close() {
      for (const timer of timers) clearInterval(timer);
      await worker.close();
    },
  };
}
