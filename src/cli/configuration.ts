// Options of the command line as the configuration that they stand for: they win over the environment,
// the environment wins over `.env`.
import { type Config, loadConfig, readEnvironmentFile } from '../config/index.ts';

const variableOf: Readonly<Record<string, string>> = {
  model: 'FROMAGE_MODEL',
  lm: 'FROMAGE_LM',
  vision: 'FROMAGE_VISION',
  adapter: 'FROMAGE_ADAPTER',
  weights: 'FROMAGE_WEIGHTS',
  device: 'FROMAGE_DEVICE',
  threads: 'FROMAGE_THREADS',
  port: 'PORT',
  gallery: 'FROMAGE_GALLERY',
};

/** @throws FromageError `CONFIG_INVALID` */
export function configuration(options: Readonly<Record<string, unknown>> = {}): Config {
  const given = Object.entries(options).flatMap(([name, value]) => (variableOf[name] && typeof value === 'string' ? [[variableOf[name], value] as const] : []));
  const config = loadConfig({ ...readEnvironmentFile(process.cwd()), ...process.env, ...Object.fromEntries(given) });
  // The engine's process finds the hub's cache by its own environment.
  for (const name of ['HF_HOME', 'HF_HUB_CACHE'] as const) if (config[name] !== undefined) process.env[name] = config[name];
  return config;
}
