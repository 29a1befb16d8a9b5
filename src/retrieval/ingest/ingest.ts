// Ingestion: reads a source in its order, decodes a batch in child processes while the one before is encoded
// and written, and keeps a cursor after each batch that is durable, so that a run that was killed goes on.
import { FromageError } from '../../errors.ts';
import type { PictureStore } from '../contracts.ts';
import { pictureId } from '../picture-id.ts';
import type { StoredGallery } from '../stored/stored-gallery.ts';
import type { DecodedPicture, OfferedPicture } from '../stored/take-pictures.ts';
import { cursorAt, positionIn } from './cursor.ts';
import type { PictureSource } from './source.ts';
import { altOf, type SourceItem } from './source-item.ts';

export interface IngestOptions {
  readonly gallery: Pick<StoredGallery, 'decode' | 'commit'>;
  readonly pictures: Pick<PictureStore, 'cursor' | 'setCursor' | 'getMany'>;
  readonly tenant: string;
  readonly addedBy: string | null;
  /** For every picture that does not say otherwise. */
  readonly licence?: string;
  readonly tags?: readonly string[];
  /** Words for a picture that comes without any; the file's name otherwise. */
  readonly describe?: (bytes: Uint8Array) => Promise<string>;
  /** Pictures decoded and encoded together; 32 by default. */
  readonly batch?: number;
  readonly onProgress?: (progress: IngestProgress) => void;
  /** Told of each picture that was not taken, in order. */
  readonly onSkip?: (name: string, reason: string) => void;
  readonly signal?: AbortSignal;
}

export interface IngestProgress {
  readonly seen: number;
  readonly added: number;
  readonly skipped: number;
}

export interface IngestReport {
  readonly added: number;
  /** In the gallery already: from an earlier run, or the same or nearly the same picture. */
  readonly known: number;
  readonly denied: number;
  /** Passed over because the run before had come so far. */
  readonly resumedAt: number;
  /** Code of the error -> how many pictures. */
  readonly skipped: Readonly<Record<string, number>>;
  readonly seconds: number;
}

/** An item on its way: known already, failed to load, or decoded. */
interface Prepared {
  readonly items: readonly SourceItem[];
  readonly known: ReadonlySet<number>;
  readonly decoded: readonly (DecodedPicture | FromageError)[];
  /** Items of the source up to and with this batch. */
  readonly end: number;
}

/**
 * Ingests a source. Everything counted as added is durable; a run with the same source continues an
 * interrupted one, and a complete source read again adds only what is new.
 *
 * @throws FromageError `RETRIEVAL_SOURCE` when the source itself breaks off, AbortError when stopped; what came before is in
 */
export async function ingest(source: PictureSource, options: IngestOptions): Promise<IngestReport> {
  const { pictures, signal } = options;
  const began = performance.now();
  const cursorName = `${options.tenant} ${source.path}`;
  const resumedAt = positionIn(await pictures.cursor(cursorName), source.fingerprint);
  const counts = { added: 0, known: 0, denied: 0 };
  const skipped: Record<string, number> = {};
  let seen = resumedAt;

  const commit = async (prepared: Prepared): Promise<void> => {
    const taken = await options.gallery.commit(prepared.decoded);
    let next = 0;
    prepared.items.forEach((item, i) => {
      const outcome = prepared.known.has(i) ? ({ outcome: 'known', near: false } as const) : taken[next++]!;
      if (outcome.outcome === 'unreadable') {
        skipped[outcome.error.code] = (skipped[outcome.error.code] ?? 0) + 1;
        options.onSkip?.(item.name, `${outcome.error.code}: ${outcome.error.what}`);
      } else {
        counts[outcome.outcome] += 1;
        if (outcome.outcome === 'denied') options.onSkip?.(item.name, 'it is on the deny list');
        if (outcome.outcome === 'known' && outcome.near) options.onSkip?.(item.name, 'it looks like one that is there');
      }
    });
    seen = prepared.end;
    await pictures.setCursor(cursorName, cursorAt(source.fingerprint, prepared.end));
    options.onProgress?.({ seen, added: counts.added, skipped: counts.denied + Object.values(skipped).reduce((sum, count) => sum + count, 0) });
  };

  let writing: Promise<void> = Promise.resolve();
  try {
    for await (const { items, end } of batches(source, resumedAt, options.batch ?? 32)) {
      signal?.throwIfAborted();
      const prepared = await prepare(items, end, options);
      await writing;
      writing = commit(prepared);
      writing.catch(() => undefined);
    }
  } finally {
    await writing;
  }
  // A finished source is read from its beginning the next time: files may have been added anywhere.
  await pictures.setCursor(cursorName, null);
  return { ...counts, resumedAt, skipped, seconds: (performance.now() - began) / 1000 };
}

async function* batches(source: PictureSource, from: number, size: number): AsyncGenerator<{ items: SourceItem[]; end: number }> {
  let position = 0;
  let items: SourceItem[] = [];
  let broken: unknown;
  try {
    for await (const item of source.items()) {
      position += 1;
      if (position <= from) continue;
      items.push(item);
      if (items.length < size) continue;
      yield { items, end: position };
      items = [];
    }
  } catch (error) {
    broken = error;
  }
  if (items.length > 0) yield { items, end: position };
  if (broken !== undefined) throw broken;
}

async function prepare(items: readonly SourceItem[], end: number, options: IngestOptions): Promise<Prepared> {
  const ids = items.map(({ key }) => pictureId(`ingest ${options.tenant}`, key));
  const there = new Set((await options.pictures.getMany(ids)).map(({ id }) => id));
  const known = new Set(ids.flatMap((id, i) => (there.has(id) ? [i] : [])));
  const offered = await Promise.all(items.map((item, i) => (known.has(i) ? null : offer(item, ids[i]!, options))));
  const wanted = offered.filter((one) => one !== null);
  const loaded = wanted.filter((one): one is OfferedPicture => !(one instanceof FromageError));
  const decoded = await options.gallery.decode(loaded);
  let next = 0;
  return { items, known, end, decoded: wanted.map((one) => (one instanceof FromageError ? one : decoded[next++]!)) };
}

async function offer(item: SourceItem, id: string, options: IngestOptions): Promise<OfferedPicture | FromageError> {
  try {
    const bytes = await item.load();
    const caption = item.caption ?? ((await options.describe?.(bytes)) || null);
    const licence = item.licence ?? options.licence;
    return {
      id,
      bytes,
      caption,
      alt: altOf(item.name),
      tenant: options.tenant,
      addedBy: options.addedBy,
      tags: [...new Set([...(options.tags ?? []), ...(item.tags ?? [])])],
      ...(item.source === undefined ? {} : { source: item.source }),
      ...(licence === undefined ? {} : { licence }),
      ...(item.contentClass === undefined ? {} : { contentClass: item.contentClass }),
    };
  } catch (error) {
    options.signal?.throwIfAborted();
    if (error instanceof FromageError) return error;
    return new FromageError({ code: 'RETRIEVAL_SOURCE', what: (error as Error).message, todo: 'check the path', cause: error });
  }
}
