// `fromage import`: the authors' embeddings file as links in the gallery.
import { importEmbeddings } from '../../retrieval/index.ts';
import { configuration } from '../configuration.ts';
import { projectionFromFile, storeOf } from '../gallery/open.ts';
import { interruptSignal } from '../interrupt.ts';
import { createProgress } from '../progress.ts';

interface ImportFlags extends Record<string, unknown> {
  readonly tenant: string;
  readonly tag?: readonly string[];
  readonly licence?: string;
  readonly json?: boolean;
}

export async function importCommand(file: string, flags: ImportFlags): Promise<void> {
  const config = configuration(flags);
  const signal = interruptSignal();
  const projection = await projectionFromFile(config);
  const store = await storeOf(config);
  const bar = createProgress('importing', 'rows', flags.json);
  try {
    const report = await importEmbeddings(file, {
      pictures: store.pictures,
      projection,
      tenant: flags.tenant,
      addedBy: null,
      signal,
      ...(flags.tag ? { tags: flags.tag } : {}),
      ...(flags.licence === undefined ? {} : { licence: flags.licence }),
      onProgress: (done, total) => bar.update(done, total),
    });
    bar.end();
    const { resumedAt, ...rest } = report;
    if (flags.json) process.stdout.write(`${JSON.stringify({ ...rest, resumed_at: resumedAt, projection: projection.key })}\n`);
    else {
      process.stdout.write(`${report.added} of ${report.rows} rows added as links in ${report.seconds.toFixed(1)} s, ${report.known} were there; pictures are fetched when they are first shown\n`);
      if (report.skipped.address > 0) process.stdout.write(`  ${report.skipped.address} skipped: no http(s) address\n`);
      if (report.skipped.vector > 0) process.stdout.write(`  ${report.skipped.vector} skipped: a row of zeros, or with what is no number\n`);
    }
  } finally {
    bar.end();
    await store.close();
  }
}
