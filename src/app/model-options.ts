// The configuration as the model room's options.
import { join } from 'node:path';
import type { Config } from '../config/index.ts';
import type { LoadOptions } from '../model/index.ts';

/** Everything that is written lies under the data folder; what may be thrown away, under its `cache`. */
export function cacheFolder(config: Config): string {
  return join(config.FROMAGE_DATA_DIR, 'cache');
}

export function modelOptions(config: Config): LoadOptions {
  return {
    model: config.FROMAGE_MODEL,
    weights: config.FROMAGE_WEIGHTS,
    device: config.FROMAGE_DEVICE === 'auto' ? 'cpu' : config.FROMAGE_DEVICE,
    cacheDir: cacheFolder(config),
    ...(config.FROMAGE_LM === undefined ? {} : { lm: config.FROMAGE_LM }),
    ...(config.FROMAGE_VISION === undefined ? {} : { vision: config.FROMAGE_VISION }),
    ...(config.FROMAGE_ADAPTER === undefined ? {} : { adapter: config.FROMAGE_ADAPTER }),
    ...(config.FROMAGE_THREADS === undefined ? {} : { threads: config.FROMAGE_THREADS }),
  };
}
