// What fetching a model will take: files, licences, memory, disk. Made before a weight is fetched.
import { rmSync } from 'node:fs';
import { totalmem } from 'node:os';
import type { NeededPart } from '../../app/index.ts';
import { FromageError } from '../../errors.ts';
import { diskError, type DownloadPlan, fetchSmallFiles, type HubRepository, type HubSettings, inspectRepository, planDownload } from '../../hub/index.ts';
import { estimateNeeds, type ModelNeeds } from '../../model/index.ts';
import { type Licence, licenceOf } from './licences.ts';

type Scheme = 'auto' | 'fp32' | 'q8' | 'q4';

export interface PlannedPart {
  readonly part: string;
  readonly repository: HubRepository;
  readonly licence: Licence;
  readonly bytes: number;
  readonly needs: ModelNeeds | null;
}

export interface PullPlan {
  readonly parts: readonly PlannedPart[];
  readonly download: DownloadPlan;
  /** Converted weights that the first start writes under the data folder. */
  readonly convertedBytes: number;
  readonly memoryBytes: number;
  /** Of `memoryBytes`: keys and values of one conversation that fills the context window. */
  readonly conversationBytes: number;
  readonly machineBytes: number;
}

/** Errors as in `inspectRepository` and `estimateNeeds`. */
export async function planPull(needed: readonly NeededPart[], settings: HubSettings, scheme: Scheme, signal: AbortSignal): Promise<PullPlan> {
  const parts: PlannedPart[] = [];
  for (const { part, id } of needed) {
    const repository = await inspectRepository(id, settings, signal);
    const folder = await fetchSmallFiles(repository, settings, signal);
    try {
      parts.push({ part, repository, licence: licenceOf(id, repository.licence, settings.endpoint), bytes: repository.files.reduce((sum, { size }) => sum + size, 0), needs: part === 'adapter' ? null : estimateNeeds(folder, scheme) });
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }
  const sum = (of: (part: PlannedPart) => number) => parts.reduce((total, part) => total + of(part), 0);
  return {
    parts,
    download: await planDownload(parts.map(({ repository }) => repository), settings.cacheDir),
    convertedBytes: sum(({ needs }) => needs?.convertedBytes ?? 0),
    // A part without a configuration (a GGUF, an adapter) is held in about the size that it has on disk.
    memoryBytes: sum(({ needs, bytes }) => needs?.memoryBytes ?? bytes),
    conversationBytes: sum(({ needs }) => needs?.conversationBytes ?? 0),
    machineBytes: machineMemory(),
  };
}

/** Of the machine, or of the container that the program runs in. */
export function machineMemory(): number {
  const limit = process.constrainedMemory();
  return limit > 0 && limit < totalmem() ? limit : totalmem();
}

/** @throws FromageError `HUB_DISK`, `MODEL_MEMORY` when it will not fit, `MODEL_LICENCE` when one is to be accepted first */
export function checkPlan(plan: PullPlan, name: string, accepted: boolean, cacheDir: string): void {
  const { download, convertedBytes, memoryBytes, machineBytes } = plan;
  if (download.missing > 0 && download.missing + convertedBytes > download.free) throw diskError(name, download.missing + convertedBytes, download.free, cacheDir);
  if (memoryBytes > machineBytes) {
    throw new FromageError({
      code: 'MODEL_MEMORY',
      what: `${name} needs about ${(memoryBytes / 1e9).toFixed(1)} GB of memory, and this machine has ${(machineBytes / 1e9).toFixed(1)} GB`,
      why: 'the weights, the keys and values of a conversation and the program must fit together',
      todo: 'use --quant q4, a smaller model of the family, or a larger machine',
    });
  }
  const closed = plan.parts.filter(({ licence }) => !licence.free);
  if (closed.length > 0 && !accepted) {
    throw new FromageError({
      code: 'MODEL_LICENCE',
      what: `the licence of ${closed.map(({ repository }) => repository.id).join(' and ')} has to be accepted first`,
      why: closed.map(({ repository, licence }) => `${repository.id}: ${licence.name}${licence.url === null ? '' : `, ${licence.url}`}`).join('; '),
      todo: 'read it, then run the command again with --accept-licenses',
    });
  }
}
