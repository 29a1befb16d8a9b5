// Asks a hub what a model repository holds: commit, licence, and the files that Fromage needs of it.
import { listFiles, modelInfo } from '@huggingface/hub';
import { z } from 'zod';
import { FromageError } from '../errors.ts';
import { chooseFiles } from './choose-files.ts';
import { asHubError } from './errors.ts';
import { createFetch } from './request.ts';
import { withRetries } from './retry.ts';
import type { HubFile, HubRepository, HubSettings } from './types.ts';

/** `owner/name`; the few old models without an owner too. */
const repositoryId = /^[A-Za-z0-9][\w.-]{0,95}(?:\/[A-Za-z0-9][\w.-]{0,95})?$/;
const mostFiles = 10_000;
const largestFile = 2 ** 42;

const infoSchema = z.looseObject({
  sha: z.string().regex(/^[0-9a-f]{40}$/),
  gated: z.union([z.boolean(), z.string()]).nullish(),
  cardData: z.looseObject({ license: z.union([z.string(), z.array(z.string())]).nullish(), license_name: z.string().nullish() }).nullish(),
});

const size = z.number().int().min(0).max(largestFile);
const entrySchema = z.looseObject({
  type: z.string(),
  path: z.string().min(1).max(512),
  size,
  oid: z.string().regex(/^[0-9a-f]{40}$/),
  lfs: z.looseObject({ oid: z.string().regex(/^[0-9a-f]{64}$/), size }).nullish(),
});

export function isRepositoryId(id: string): boolean {
  return repositoryId.test(id) && !id.includes('..');
}

/**
 * @param id `owner/name`
 * @throws FromageError `HUB_ID`, `HUB_OFFLINE`, `HUB_TOKEN`, `HUB_ACCESS`, `HUB_NOT_FOUND`, `HUB_UNREACHABLE`,
 *   `HUB_RESPONSE`, `HUB_REDIRECT`, `HUB_PATH`, `HUB_FILES`
 */
export async function inspectRepository(id: string, settings: HubSettings, signal?: AbortSignal): Promise<HubRepository> {
  if (!isRepositoryId(id)) throw new FromageError({ code: 'HUB_ID', what: `${JSON.stringify(id.slice(0, 100))} is not the id of a model`, todo: 'write it as owner/name' });
  if (settings.offline) throw new FromageError({ code: 'HUB_OFFLINE', what: `${id} cannot be asked for`, why: 'FROMAGE_OFFLINE (or HF_HUB_OFFLINE) is set', todo: 'unset it, or use what is on this machine: "fromage models list"' });
  if (settings.token !== undefined && !settings.token.startsWith('hf_')) throw new FromageError({ code: 'HUB_TOKEN', what: 'HF_TOKEN is not a token of the Hugging Face hub', why: 'those begin with hf_', todo: 'copy it anew from the hub’s settings page' });
  const common = { hubUrl: settings.endpoint.replace(/\/+$/, ''), fetch: createFetch(settings, signal ? { signal } : {}), ...(settings.token === undefined ? {} : { accessToken: settings.token }) };
  return withRetries(settings, signal, async () => {
    try {
      const info = infoSchema.safeParse(await modelInfo({ ...common, name: id, revision: 'main', additionalFields: ['sha', 'cardData'] }));
      if (!info.success) throw unclear(settings, id, z.prettifyError(info.error));
      const files: HubFile[] = [];
      let seen = 0;
      for await (const entry of listFiles({ ...common, repo: id, revision: info.data.sha, recursive: true })) {
        if (++seen > mostFiles) throw unclear(settings, id, `it lists more than ${mostFiles} files`);
        const file = readEntry(entry, id, settings);
        if (file !== null) files.push(file);
      }
      const { license, license_name: name } = info.data.cardData ?? {};
      const licence = Array.isArray(license) ? license.join(', ') : (license ?? null);
      return { id, revision: info.data.sha, licence: licence === 'other' && name ? name : licence, gated: Boolean(info.data.gated), files: chooseFiles(files, id) };
    } catch (thrown) {
      signal?.throwIfAborted();
      throw asHubError(thrown, id, settings.endpoint, settings.token !== undefined);
    }
  });
}

function readEntry(entry: unknown, id: string, settings: HubSettings): HubFile | null {
  const { success, data, error } = entrySchema.safeParse(entry);
  if (!success) throw unclear(settings, id, z.prettifyError(error));
  checkPath(data.path, id);
  if (data.type !== 'file') return null;
  return data.lfs ? { path: data.path, size: data.lfs.size, etag: data.lfs.oid, hash: 'sha256' } : { path: data.path, size: data.size, etag: data.oid, hash: 'git-sha1' };
}

/** Names become paths on this machine: none may lead out of the folder, here or on Windows. */
function checkPath(path: string, id: string): void {
  const harmless = !/[\\:\0-\x1f]/.test(path) && path.split('/').every((part) => part !== '' && part !== '.' && part !== '..');
  if (!harmless) throw new FromageError({ code: 'HUB_PATH', what: `${id} holds a file with the name ${JSON.stringify(path.slice(0, 100))}`, why: 'it would lie outside its folder', todo: 'do not use this repository before you know who made it' });
}

function unclear(settings: HubSettings, id: string, why: string): FromageError {
  return new FromageError({ code: 'HUB_RESPONSE', what: `${settings.endpoint} gave an answer about ${id} that cannot be understood`, why: why.slice(0, 300), todo: 'check HF_ENDPOINT, or try again later' });
}
