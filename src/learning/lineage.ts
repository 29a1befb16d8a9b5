// Where versions come from: what one has seen, all that follow it have seen.
import type { AdapterStore, AdapterVersion } from './contracts.ts';

type Versions = Pick<AdapterStore, 'get' | 'list'>;

/** A version and those before it, newest first. */
async function lineOf(adapters: Versions, id: string | null): Promise<AdapterVersion[]> {
  const line: AdapterVersion[] = [];
  for (let next = id; next !== null && !line.some((version) => version.id === next); ) {
    const version = await adapters.get(next);
    if (version === null) break;
    line.push(version);
    next = version.parentId;
  }
  return line;
}

/** True when this version, or one that it comes from, was trained on rows of people who have been forgotten since. */
export async function sawForgotten(adapters: Versions, id: string): Promise<boolean> {
  return (await lineOf(adapters, id)).some(({ forgottenRows }) => forgottenRows > 0);
}

/**
 * What a run begins with: the version that serves, or the newest before it that saw nobody who has been
 * forgotten since.
 */
export async function cleanStart(adapters: Versions, serving: string | null): Promise<{ readonly from: string | null; readonly leavesOut: boolean }> {
  const line = await lineOf(adapters, serving);
  const seen = line.findLastIndex(({ forgottenRows }) => forgottenRows > 0);
  if (seen < 0) return { from: serving, leavesOut: false };
  // What came with the model has seen nobody.
  const clean = line[seen + 1] ?? (await adapters.list()).find(({ trainSetId }) => trainSetId === null);
  return { from: clean?.id ?? null, leavesOut: true };
}
