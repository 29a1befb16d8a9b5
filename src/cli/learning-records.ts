// Opens the records of learning in the configured data folder for one command.
import { learningSettings } from '../app/index.ts';
import { createLogger } from '../log.ts';
import { type LearningRecords, openLearningRecords } from '../learning/index.ts';
import { createAdapter, readAdapterFolder } from '../model/index.ts';
import { openStore } from '../store/index.ts';
import { configuration } from './configuration.ts';

export async function withLearningRecords<T>(work: (records: LearningRecords) => Promise<T>): Promise<T> {
  const config = configuration();
  const store = await openStore({ dataDir: config.FROMAGE_DATA_DIR, ...(config.DATABASE_URL === undefined ? {} : { databaseUrl: config.DATABASE_URL }) });
  try {
    return await work(openLearningRecords({ store, dataDir: config.FROMAGE_DATA_DIR, hashOf: (folder) => createAdapter('', readAdapterFolder(folder).tensors).hash, settings: learningSettings(config), log: createLogger(config.FROMAGE_LOG) }));
  } finally {
    await store.close();
  }
}
