// Finds where a named model lies: beside the folder that names it, or in Hugging Face's cache. Nothing is
// downloaded here.
import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, isAbsolute, join, normalize, sep } from 'node:path';
import { FromageError } from '../errors.ts';

const hubId = /^[\w.-]{1,96}(?:\/[\w.-]{1,96})?$/;

/**
 * A path that a caller gave, or a hub id whose files are in the cache.
 *
 * @param what named in the error, e.g. `language model`
 * @throws FromageError `MODEL_NOT_HERE`
 */
export function resolveSource(source: string, what: string): string {
  if (existsSync(source)) return source;
  const cached = hubId.test(source) ? findInHubCache(source, 'model') : null;
  if (cached !== null) return cached;
  throw notHere(source, what, 'there is no such file or folder, and it is not in the Hugging Face cache');
}

/**
 * What a file inside `folder` names (`opt_version`, `visual_encoder`, model.json): a relative path in the
 * folder or beside it, or a hub id. Such a name never leads out of there.
 *
 * @throws FromageError `MODEL_NOT_HERE`
 */
export function resolveNamed(name: string, folder: string, what: string): string {
  const path = normalize(name);
  if (isAbsolute(path) || path.split(sep).includes('..')) throw notHere(name, what, `${folder} may only name files in or beside itself`);
  for (const base of [folder, dirname(folder)]) if (existsSync(join(base, path))) return join(base, path);
  const cached = hubId.test(name) ? findInHubCache(name, 'model') : null;
  if (cached !== null) return cached;
  throw notHere(name, what, `${folder} names it, but it is neither there nor in the Hugging Face cache`);
}

/** The snapshot of a repository that the hub's `main` pointed at when it was downloaded; null when there is none. */
export function findInHubCache(repository: string, type: 'model' | 'space'): string | null {
  const folder = join(hubCacheFolder(), `${type}s--${repository.replaceAll('/', '--')}`);
  const snapshots = join(folder, 'snapshots');
  if (!existsSync(snapshots)) return null;
  const main = join(folder, 'refs', 'main');
  const revision = existsSync(main) ? readFileSync(main, 'utf8').trim() : (readdirSync(snapshots).sort()[0] ?? '');
  const snapshot = join(snapshots, revision);
  return /^[\w.-]+$/.test(revision) && existsSync(snapshot) ? snapshot : null;
}

/** Where Hugging Face's own libraries keep what they download. */
export function hubCacheFolder(environment: Readonly<Record<string, string | undefined>> = process.env): string {
  return environment.HF_HUB_CACHE ?? environment.HUGGINGFACE_HUB_CACHE ?? join(environment.HF_HOME ?? join(environment.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'huggingface'), 'hub');
}

/** The GGUF file where a folder holds one and no config.json; else the source as it is. */
export function singleGguf(source: string): string {
  if (!statSync(source).isDirectory() || existsSync(join(source, 'config.json'))) return source;
  const files = readdirSync(source).filter((name) => name.endsWith('.gguf'));
  return files.length === 1 && files[0] !== undefined ? join(source, files[0]) : source;
}

function notHere(source: string, what: string, why: string): FromageError {
  return new FromageError({ code: 'MODEL_NOT_HERE', what: `the ${what} ${JSON.stringify(source)} is not on this machine`, why, todo: hubId.test(source) ? `check the path, or fetch it from the hub: fromage models pull ${source}` : 'check the path' });
}
