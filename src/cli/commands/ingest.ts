// `fromage ingest`: pictures of a folder, TSV, JSONL or tar into the gallery.
import { createWriteStream } from 'node:fs';
import { availableParallelism } from 'node:os';
import { createSafeFetcher, ingest, type IngestReport, openSource } from '../../retrieval/index.ts';
import { configuration } from '../configuration.ts';
import { describePicture } from '../gallery/describe.ts';
import { openGalleryOf } from '../gallery/open.ts';
import { interruptSignal } from '../interrupt.ts';
import { createProgress } from '../progress.ts';
import { number } from './generate.ts';

interface IngestFlags extends Record<string, unknown> {
  readonly tenant: string;
  readonly captions?: string;
  readonly tag?: readonly string[];
  readonly licence?: string;
  readonly describe?: boolean;
  readonly fetch: boolean;
  readonly allowHost?: readonly string[];
  readonly processes?: string;
  readonly batch: string;
  readonly report?: string;
  readonly json?: boolean;
}

export async function ingestCommand(path: string, flags: IngestFlags): Promise<void> {
  const config = configuration(flags);
  const signal = interruptSignal();
  const fetcher = createSafeFetcher({ allowHosts: flags.allowHost ?? [] });
  const source = await openSource(path, { ...(flags.fetch ? { fetchPicture: (url) => fetcher.fetch(url, signal) } : {}), ...(flags.captions === undefined ? {} : { captions: flags.captions }) });
  const filling = createProgress('opening the gallery', 'pictures', flags.json);
  const parts = await openGalleryOf(config, { processes: flags.processes === undefined ? Math.max(1, availableParallelism() - 1) : number('--processes', flags.processes), progress: filling, signal });
  filling.end();
  const counting = { total: 0, done: false };
  const log = flags.report === undefined ? null : createWriteStream(flags.report);
  const bar = createProgress('ingesting', 'pictures', flags.json);
  try {
    // Counted beside the work, so that a long source begins at once.
    void countItems(source, counting).catch(() => undefined);
    const report = await ingest(source, {
      gallery: parts.gallery,
      pictures: parts.store.pictures,
      tenant: flags.tenant,
      addedBy: null,
      batch: number('--batch', flags.batch),
      signal,
      ...(flags.tag ? { tags: flags.tag } : {}),
      ...(flags.licence === undefined ? {} : { licence: flags.licence }),
      ...(flags.describe ? { describe: (bytes: Uint8Array) => describePicture(parts.engine, bytes) } : {}),
      onProgress: ({ seen }) => bar.update(seen, Math.max(seen, counting.total)),
      onSkip: (name, reason) => log?.write(`${JSON.stringify({ name, reason })}\n`),
    });
    bar.end();
    process.stdout.write(flags.json ? `${JSON.stringify(jsonOf(report))}\n` : textOf(report, await parts.store.pictures.count()));
  } finally {
    bar.end();
    log?.end();
    await parts.close();
    await fetcher.close();
  }
}

/** Reads names only; nothing is loaded. */
async function countItems(source: Awaited<ReturnType<typeof openSource>>, counting: { total: number; done: boolean }): Promise<void> {
  for await (const _ of source.items()) counting.total += 1;
  counting.done = true;
}

function jsonOf({ resumedAt, ...report }: IngestReport): Record<string, unknown> {
  return { ...report, resumed_at: resumedAt, per_second: rate(report) };
}

function rate({ added, seconds }: Pick<IngestReport, 'added' | 'seconds'>): number {
  return Number((added / Math.max(seconds, 1e-3)).toFixed(1));
}

function textOf(report: IngestReport, total: number): string {
  const skipped = Object.entries(report.skipped).map(([code, count]) => `  ${count} skipped: ${code}`);
  return [
    ...(report.resumedAt > 0 ? [`went on after the ${report.resumedAt} of the run before`] : []),
    `${report.added} pictures added in ${report.seconds.toFixed(1)} s (${rate(report)} a second), ${total} in the gallery`,
    ...(report.known > 0 ? [`  ${report.known} were there already, or look like one that is`] : []),
    ...(report.denied > 0 ? [`  ${report.denied} are on the deny list`] : []),
    ...skipped,
    '',
  ].join('\n');
}
