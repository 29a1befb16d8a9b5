// Learning as the configuration asks for it, over the running engine and gallery.
import type { Config } from '../config/index.ts';
import type { Engine } from '../engine/types.ts';
import { createLearning, type Learning, type LearningSettingsInput } from '../learning/index.ts';
import type { Logger } from '../log.ts';
import { findSources } from '../model/index.ts';
import type { StoredGallery } from '../retrieval/index.ts';
import type { Store } from '../store/index.ts';
import { cacheFolder, modelOptions } from './model-options.ts';

export interface LearningParts {
  readonly config: Config;
  readonly engine: Engine;
  readonly store: Store;
  readonly gallery: StoredGallery;
  readonly log: Logger;
}

/** What the environment says of learning. */
export function learningSettings({ FROMAGE_LEARN_DISCORD: allowed }: Pick<Config, 'FROMAGE_LEARN_DISCORD'>): LearningSettingsInput {
  return { discord: { captions: allowed.includes('captions'), votes: allowed.includes('votes') } };
}

/** The engine must be ready and the gallery filled. @throws FromageError `LEARNING_…` */
export async function openLearning({ config, engine, store, gallery, log }: LearningParts): Promise<Learning> {
  const { adapter } = await findSources(modelOptions(config));
  return await createLearning({
    store,
    engine,
    gallery: () => gallery,
    dataDir: config.FROMAGE_DATA_DIR,
    baseAdapter: adapter,
    models: {
      model: config.FROMAGE_MODEL,
      cacheDir: cacheFolder(config),
      ...(config.FROMAGE_LM === undefined ? {} : { lm: config.FROMAGE_LM }),
      ...(config.FROMAGE_VISION === undefined ? {} : { vision: config.FROMAGE_VISION }),
      ...(config.FROMAGE_THREADS === undefined ? {} : { threads: config.FROMAGE_THREADS }),
    },
    settings: learningSettings(config),
    log,
  });
}
