// `fromage index`: is it sound, make it anew, what is in it, and when "I have no picture of that" is said.
import { retrievalPrompt } from '../../engine/index.ts';
import { FromageError } from '../../errors.ts';
import { readTsv } from '../../formats/index.ts';
import { calibrate, type CalibrationChoice, everybody, type HeldOutQuery, type ImageIndex, pointPages, readCalibration, syncIndex, verifyRows, writeCalibration } from '../../retrieval/index.ts';
import type { PictureRow } from '../../retrieval/contracts.ts';
import type { Store } from '../../store/index.ts';
import { configuration } from '../configuration.ts';
import { encoderHash, indexOptions, openGalleryOf, type OpenGallery, projectionFromFile, storeOf } from '../gallery/open.ts';
import { createProgress } from '../progress.ts';
import { number } from './generate.ts';

interface IndexFlags extends Record<string, unknown> {
  readonly json?: boolean;
}

interface CalibrateFlags extends IndexFlags {
  readonly coverage?: string;
  readonly precision?: string;
  readonly queries: string;
  readonly captions?: string;
  readonly tenant: readonly string[];
}

const embedBatch = 16;
const shownIds = 10;

/** Rows, bytes, features and vectors; with Qdrant the points on the server too. Exit code 1 when something is wrong. */
export async function verifyIndex(flags: IndexFlags): Promise<void> {
  await withStore(flags, async ({ store, projection, encoder, index, name }) => {
    const bar = createProgress('verifying', 'pictures', flags.json);
    const rows = await verifyRows({ pictures: store.pictures, files: store.files, encoder, projection }, (done, total) => bar.update(done, total));
    bar.end();
    const points = index === null ? null : await syncIndex(store.pictures, index, projection.key, { mend: false, deep: true });
    const wrong = { damaged: rows.damaged, without_vector: rows.withoutVector, wrong_vector: rows.wrongVector, ...(points ? { missing: points.missing, extra: points.extra, different: points.different } : {}) };
    const ok = Object.values(wrong).every((ids) => ids.length === 0);
    if (flags.json) process.stdout.write(`${JSON.stringify({ ok, index: name, pictures: rows.pictures, links: rows.links, dead: rows.dead, ...wrong })}\n`);
    else {
      process.stdout.write(`${rows.pictures} pictures, ${rows.links} of them links, ${rows.dead} dead; index: ${name}\n`);
      for (const [what, ids] of Object.entries(wrong)) if (ids.length > 0) process.stdout.write(`  ${ids.length} ${what.replace('_', ' ')}: ${ids.slice(0, shownIds).join(' ')}${ids.length > shownIds ? ' …' : ''}\n`);
      process.stdout.write(ok ? 'all is well\n' : 'run "fromage index rebuild"; damaged bytes come only from a backup\n');
    }
    process.exitCode = ok ? 0 : 1;
  });
}

/** Projects the stored features again and, with Qdrant, fills a new collection and puts it in place of the old one. */
export async function rebuildIndex(flags: IndexFlags): Promise<void> {
  await withStore(flags, async ({ store, projection, encoder, index, name }) => {
    const { pictures } = store;
    const bar = createProgress('projecting', 'pictures', flags.json);
    const total = await pictures.count({ includeDead: true });
    let projected = 0;
    for (let after: string | undefined; ; ) {
      const page = await pictures.pooled(encoder, { limit: 256, ...(after === undefined ? {} : { after }) });
      after = page.at(-1)?.id;
      if (after === undefined) break;
      const vectors = await projection.project(page.map(({ values }) => values));
      await pictures.putVectors(projection.key, page.map(({ id }, i) => ({ id, values: vectors[i]! })));
      projected += page.length;
      bar.update(projected, total);
    }
    bar.end();
    if (index) await index.refill?.(pointPages(store.pictures, projection.key));
    const points = index === null ? null : await index.count();
    process.stdout.write(flags.json ? `${JSON.stringify({ index: name, projected, points })}\n` : `${projected} pictures projected anew${points === null ? '; a running program picks them up when it starts' : `, ${points} points on the server`}\n`);
  });
}

export async function indexStats(flags: IndexFlags): Promise<void> {
  await withStore(flags, async ({ store, projection, index, name }) => {
    const { pictures } = store;
    const calibration = await readCalibration(pictures, projection.key);
    const stats = {
      index: name,
      pictures: await pictures.count(),
      dead: (await pictures.count({ includeDead: true })) - (await pictures.count()),
      everybodys: await pictures.count({ tenants: [everybody] }),
      vectors: await pictures.countVectors(projection.key),
      points: index === null ? null : await index.count(),
      projection: projection.key,
      dim: projection.dim,
      denied: (await pictures.denied()).length,
      threshold: calibration?.threshold ?? null,
      calibrated_on: calibration?.queries ?? null,
    };
    process.stdout.write(flags.json ? `${JSON.stringify(stats)}\n` : `${Object.entries(stats).map(([key, value]) => `${key.replace('_', ' ').padEnd(14)} ${value ?? '–'}`).join('\n')}\n`);
  });
}

/** Asks captions whose picture is known and keeps the score below which nothing is shown. */
export async function calibrateIndex(flags: CalibrateFlags): Promise<void> {
  const config = configuration(flags);
  const parts = await openGalleryOf(config);
  try {
    const bar = createProgress('asking', 'captions', flags.json);
    const queries = await heldOut(parts, flags, (done, total) => bar.update(done, total));
    bar.end();
    const calibration = await calibrate(parts.gallery, queries, { tenants: flags.tenant }, choiceOf(flags));
    await writeCalibration(parts.store.pictures, parts.projection.key, calibration);
    if (flags.json) return void process.stdout.write(`${JSON.stringify(calibration)}\n`);
    const step = Math.max(1, Math.floor(calibration.curve.length / 10));
    const rows = calibration.curve.filter((_, i) => i % step === 0).map(({ threshold, coverage, precision }) => `  ${threshold.toFixed(3).padStart(9)}  ${coverage.toFixed(2).padStart(8)}  ${precision.toFixed(2).padStart(9)}`);
    process.stdout.write(`threshold  coverage  precision\n${rows.join('\n')}\nnothing is shown below ${calibration.threshold.toFixed(3)} (${calibration.queries} captions); a running program uses it when it starts again\n`);
  } finally {
    await parts.close();
  }
}

function choiceOf({ coverage, precision }: CalibrateFlags): CalibrationChoice {
  if (coverage !== undefined && precision !== undefined) throw new FromageError({ code: 'CLI_OPTION', what: '--coverage and --precision choose the same point', todo: 'give one of them' });
  return precision === undefined ? { coverage: coverage === undefined ? 0.95 : number('--coverage', coverage) } : { precision: number('--precision', precision) };
}

/** Captions of a file other than the one that a picture carries, else the captions of the rows themselves. */
async function heldOut({ store, engine }: OpenGallery, flags: CalibrateFlags, onProgress: (done: number, total: number) => void): Promise<HeldOutQuery[]> {
  const bySource = new Map<string, PictureRow>();
  const pairs: { text: string; pictureId: string }[] = [];
  for (let after: string | undefined; ; ) {
    const page = await store.pictures.list({ tenants: flags.tenant }, { limit: 5000, ...(after === undefined ? {} : { after }) });
    after = page.at(-1)?.id;
    if (after === undefined) break;
    for (const row of page) {
      if (row.source !== null) bySource.set(row.source, row);
      if (flags.captions === undefined && row.caption !== null) pairs.push({ text: row.caption, pictureId: row.id });
    }
  }
  if (flags.captions !== undefined) {
    for await (const { caption, image } of readTsv(flags.captions)) {
      const row = bySource.get(image);
      if (row && row.caption !== caption.trim()) pairs.push({ text: caption, pictureId: row.id });
    }
  }
  const wanted = number('--queries', flags.queries);
  const chosen = pairs.filter((_, i) => Math.floor((i * wanted) / pairs.length) !== Math.floor(((i - 1) * wanted) / pairs.length) || wanted >= pairs.length);
  const { promptStyle } = await engine.info();
  const queries: HeldOutQuery[] = [];
  for (let i = 0; i < chosen.length; i += embedBatch) {
    const batch = chosen.slice(i, i + embedBatch);
    const vectors = await engine.embedPrompts(batch.map(({ text }) => retrievalPrompt(text, promptStyle)));
    batch.forEach(({ pictureId }, j) => queries.push({ pictureId, vector: vectors[j]! }));
    onProgress(queries.length, chosen.length);
  }
  return queries;
}

/** `index` is null for the embedded one, which lives in the running program and is filled from the rows. */
async function withStore(flags: IndexFlags, work: (parts: { readonly store: Store; readonly projection: Awaited<ReturnType<typeof projectionFromFile>>; readonly encoder: string; readonly index: ImageIndex | null; readonly name: string }) => Promise<void>): Promise<void> {
  const config = configuration(flags);
  const projection = await projectionFromFile(config);
  const store = await storeOf(config);
  try {
    const { createIndex, indexName } = indexOptions(config);
    const index = indexName === 'embedded' ? null : await createIndex(projection.dim, projection.key);
    await work({ store, projection, encoder: await encoderHash(config), index, name: indexName });
    await index?.close();
  } finally {
    await store.close();
  }
}
