// The pictures of an evaluation as pooled features: from a folder, an archive, or a list of addresses, each
// encoded once and then known by its content.
import { readFile } from 'node:fs/promises';
import { basename, extname } from 'node:path';
import type { Engine } from '../../engine/types.ts';
import { FromageError } from '../../errors.ts';
import { openSource } from '../../retrieval/index.ts';
import { makeThumbnail } from '../../vision/index.ts';
import type { EvaluationOptions } from '../types.ts';
import { embeddingFile } from './embed.ts';
import { openVectorCache, type VectorCache } from './vector-cache.ts';

export interface PictureRequest {
  /** Folder, tar (also gzipped), or a list of addresses: lines of `name<TAB>address` in a .tsv or .txt. Absent: names are addresses. */
  readonly images?: string;
  /** What a picture file is called in the data, or null when it is not wanted. */
  readonly idOf: (name: string) => string | null;
  /** Every id that is wanted. */
  readonly ids: ReadonlySet<string>;
  /** Where pictures are fetched from when `images` is absent; an id without one is missing. Absent: ids are addresses. */
  readonly addresses?: ReadonlyMap<string, string>;
  /** Ids whose thumbnails are kept for the report. */
  readonly samples?: ReadonlySet<string>;
  readonly fetchPicture?: (url: string) => Promise<Uint8Array>;
}

export interface EvaluationPictures {
  /** `[visionHiddenSize]` by id. */
  readonly pooled: ReadonlyMap<string, Float32Array>;
  /** Small JPEGs as data URLs. */
  readonly thumbnails: ReadonlyMap<string, string>;
  /** Ids whose picture is not there or cannot be read. */
  readonly missing: readonly string[];
}

interface Found {
  readonly id: string;
  readonly load: () => Promise<Uint8Array>;
  /** Known without loading it. */
  readonly address?: string;
}

const batchSize = 16;
const thumbnailSide = 220;

/**
 * @throws FromageError `EVALUATION_DATA` when the place of the pictures is of no known kind or none of them
 *   is there; `RETRIEVAL_SOURCE` when it cannot be read
 */
export async function loadPictures(engine: Engine, request: PictureRequest, options: EvaluationOptions): Promise<EvaluationPictures> {
  const { ids, samples = new Set() } = request;
  const info = await engine.info();
  const cache = openVectorCache(embeddingFile(options, 'pictures', info.visionHash), info.visionHiddenSize);
  const pooled = new Map<string, Float32Array>();
  const thumbnails = new Map<string, string>();
  const seen = new Set<string>();
  let firstFailure: string | null = null;
  const onFailure = (id: string, error: unknown): void => {
    firstFailure ??= `${JSON.stringify(id)} cannot be had: ${error instanceof Error ? error.message : String(error)}`;
  };
  const report = () => options.onProgress?.({ stage: 'reading the pictures', unit: 'pictures', done: seen.size, total: ids.size });
  try {
    let batch: Found[] = [];
    report();
    const flush = async (): Promise<void> => {
      options.signal?.throwIfAborted();
      for (const [id, { features, thumbnail }] of await encodeBatch(engine, batch, { cache, samples, onFailure })) {
        if (features) pooled.set(id, features);
        if (thumbnail) thumbnails.set(id, thumbnail);
      }
      batch = [];
      report();
    };
    for await (const found of findPictures(request)) {
      if (!ids.has(found.id) || seen.has(found.id)) continue;
      seen.add(found.id);
      batch.push(found);
      if (batch.length === batchSize) await flush();
      if (seen.size === ids.size) break;
    }
    await flush();
  } finally {
    cache.close();
  }
  if (pooled.size === 0) throw new FromageError({ code: 'EVALUATION_DATA', what: `none of the ${ids.size} pictures of the data is there`, why: firstFailure ?? `the first one is called ${JSON.stringify([...ids][0] ?? '')}`, todo: 'name the folder, archive or list that holds them in --images' });
  return { pooled, thumbnails, missing: [...ids].filter((id) => !pooled.has(id)) };
}

interface Encoding {
  readonly cache: VectorCache;
  readonly samples: ReadonlySet<string>;
  /** Told of each picture that cannot be loaded or decoded. */
  readonly onFailure: (id: string, error: unknown) => void;
}

async function encodeBatch(engine: Engine, batch: readonly Found[], { cache, samples, onFailure }: Encoding): Promise<Map<string, { features?: Float32Array; thumbnail?: string }>> {
  const results = new Map<string, { features?: Float32Array; thumbnail?: string }>();
  const fresh: { readonly id: string; readonly bytes: Uint8Array; readonly address: string | undefined }[] = [];
  await Promise.all(
    batch.map(async ({ id, load, address }) => {
      const fetched = address === undefined ? undefined : cache.get(`address ${address}`);
      if (fetched && !samples.has(id)) {
        results.set(id, { features: fetched });
        return;
      }
      const bytes = await load().catch((error: unknown) => onFailure(id, error));
      if (bytes === undefined) return;
      const result: { features?: Float32Array; thumbnail?: string } = {};
      results.set(id, result);
      if (samples.has(id)) {
        const picture = await makeThumbnail(bytes, thumbnailSide).catch(() => null);
        if (picture) result.thumbnail = `data:${picture.mimeType};base64,${Buffer.from(picture.bytes).toString('base64')}`;
      }
      const known = cache.get(bytes);
      if (known) result.features = known;
      else fresh.push({ id, bytes, address });
    }),
  );
  const encoded = await engine.encodeImages(fresh.map(({ bytes }) => bytes));
  fresh.forEach(({ id, bytes, address }, i) => {
    const features = encoded[i];
    if (!(features instanceof Float32Array)) return onFailure(id, features);
    cache.set(bytes, features);
    if (address !== undefined) cache.set(`address ${address}`, features);
    results.get(id)!.features = features;
  });
  return results;
}

async function* findPictures({ images, idOf, ids, addresses, fetchPicture }: PictureRequest): AsyncGenerator<Found, void, undefined> {
  const fetchOne = (address: string): (() => Promise<Uint8Array>) => {
    return () => (fetchPicture ? fetchPicture(address) : Promise.reject(new FromageError({ code: 'EVALUATION_DATA', what: 'nothing fetches addresses here' })));
  };
  if (images === undefined) {
    for (const id of ids) {
      const address = addresses === undefined ? id : (addresses.get(id) ?? '');
      if (addresses && !isAddress(address)) continue;
      if (!isAddress(address)) throw new FromageError({ code: 'EVALUATION_DATA', what: `the picture ${JSON.stringify(id)} is no address, and --images is missing`, todo: 'name the folder, tar archive or list of addresses in --images' });
      yield { id, address, load: fetchOne(address) };
    }
    return;
  }
  if (['.tsv', '.txt'].includes(extname(images).toLowerCase())) {
    for (const [name, address] of await readAddresses(images)) {
      const id = idOf(name);
      if (id !== null) yield { id, address, load: fetchOne(address) };
    }
    return;
  }
  for await (const { name, load } of (await openSource(images)).items()) {
    const id = idOf(name) ?? idOf(basename(name));
    if (id !== null) yield { id, load };
  }
}

async function readAddresses(file: string): Promise<[string, string][]> {
  const text = await readFile(file, 'utf8').catch((cause: Error) => {
    throw new FromageError({ code: 'EVALUATION_DATA', what: `${file} cannot be read: ${cause.message}`, todo: 'give a list of addresses: name<TAB>address', cause });
  });
  return text.split(/\r?\n/).flatMap((line, i): [string, string][] => {
    const fields = line.split('\t');
    const address = fields.find(isAddress);
    // The first line may name the columns.
    if (address === undefined && (line.trim() === '' || i === 0)) return [];
    if (address === undefined) throw new FromageError({ code: 'EVALUATION_DATA', what: `${file}, line ${i + 1}: there is no http(s) address`, todo: 'give a list of addresses: name<TAB>address' });
    const name = fields.find((field) => field !== '' && !isAddress(field)) ?? basename(new URL(address).pathname);
    return [[name, address]];
  });
}

function isAddress(text: string): boolean {
  return /^https?:\/\//.test(text) && URL.canParse(text);
}
