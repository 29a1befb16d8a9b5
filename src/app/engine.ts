// The engine as the configuration asks for it.
import type { Config } from '../config/index.ts';
import { type ChildEngine, startEngine } from '../engine/index.ts';
import { modelOptions } from './model-options.ts';

/** Starts the engine's process; the caller closes it. Errors come from `ready()`. */
export async function openEngine(config: Config): Promise<ChildEngine> {
  return startEngine({ model: modelOptions(config), engine: { maxRows: config.FROMAGE_BATCH, maxQueue: config.FROMAGE_QUEUE } });
}
