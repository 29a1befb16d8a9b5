// The hub as the configuration names it, and what a preset or an id needs of it.
import type { Config } from '../config/index.ts';
import { findCached, type HubSettings } from '../hub/index.ts';
import { findPreset, hubCacheFolder } from '../model/index.ts';
import { FromageError } from '../errors.ts';

export function hubSettings(config: Config): HubSettings {
  return {
    endpoint: config.HF_ENDPOINT ?? 'https://huggingface.co',
    cacheDir: hubCacheFolder(),
    offline: config.FROMAGE_OFFLINE || /^(1|true|yes|on)$/i.test(config.HF_HUB_OFFLINE ?? ''),
    ...(config.HF_TOKEN === undefined ? {} : { token: config.HF_TOKEN }),
  };
}

export type PartName = 'language model' | 'vision encoder' | 'adapter' | 'model';

export interface NeededPart {
  readonly part: PartName;
  /** Hub id. */
  readonly id: string;
}

/**
 * What has to be fetched for a preset, or the one repository that an id names.
 *
 * @throws FromageError `HUB_ID` for a preset that lies in the repository
 */
export function neededParts(name: string): { readonly parts: readonly NeededPart[]; readonly byHand: string | null } {
  const preset = findPreset(name);
  if (preset === null) return { parts: [{ part: 'model', id: name }], byHand: null };
  if (preset.folder !== undefined) throw new FromageError({ code: 'HUB_ID', what: `${name} lies in this repository`, why: 'there is nothing to fetch', todo: 'start it as it is' });
  const { adapter } = preset;
  const parts: NeededPart[] = [
    ...(preset.languageModel === undefined ? [] : [{ part: 'language model', id: preset.languageModel } as const]),
    ...(preset.visionEncoder === undefined ? [] : [{ part: 'vision encoder', id: preset.visionEncoder } as const]),
    ...(adapter !== undefined && 'repository' in adapter ? [{ part: 'adapter', id: adapter.repository } as const] : []),
  ];
  return { parts, byHand: adapter !== undefined && 'byHand' in adapter ? adapter.byHand : null };
}

/** True when every part that can be fetched is whole in the cache. */
export function isHere(parts: readonly NeededPart[], cacheDir: string): boolean {
  return parts.every(({ id }) => findCached(cacheDir, id)?.complete === true);
}
