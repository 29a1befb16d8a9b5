// Imports the authors' `cc3m_embeddings*.pkl`: vectors of an adapter with the addresses they were made
// from, row by row, so that three gigabytes need no three gigabytes of memory. Nothing is fetched now:
// a picture is when it is first shown.
import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { FromageError } from '../../errors.ts';
import { readEmbeddingsPickle } from '../../formats/index.ts';
import { l2Normalize } from '../../tensor/index.ts';
import type { NewPicture, PictureStore } from '../contracts.ts';
import { pictureId } from '../picture-id.ts';
import { cursorAt, positionIn } from './cursor.ts';
import { altOf } from './source-item.ts';

export interface ImportOptions {
  readonly pictures: Pick<PictureStore, 'add' | 'cursor' | 'setCursor'>;
  /** Key of the projection that made the vectors (the adapter's `visualHash`) and its width. */
  readonly projection: { readonly key: string; readonly dim: number };
  readonly tenant: string;
  readonly addedBy: string | null;
  readonly licence?: string;
  readonly tags?: readonly string[];
  /** Rows written together; 500 by default. */
  readonly batch?: number;
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

export interface ImportReport {
  readonly rows: number;
  readonly added: number;
  readonly known: number;
  readonly resumedAt: number;
  /** No http(s) address; a row of zeros or with a number that is none. */
  readonly skipped: { readonly address: number; readonly vector: number };
  readonly seconds: number;
}

/**
 * @throws FormatError for a file that is no such pickle; FromageError `RETRIEVAL_VECTOR` when its rows have
 *   another width than the adapter's; AbortError when stopped: the next run goes on from there
 */
export async function importEmbeddings(file: string, options: ImportOptions): Promise<ImportReport> {
  const { pictures, projection, signal } = options;
  const began = performance.now();
  const path = resolve(file);
  const embeddings = readEmbeddingsPickle(path);
  try {
    if (embeddings.dim !== projection.dim) {
      throw new FromageError({ code: 'RETRIEVAL_VECTOR', what: `the rows of ${file} have ${embeddings.dim} numbers, the adapter makes ${projection.dim}`, todo: 'choose the adapter that the file was made with' });
    }
    const facts = await stat(path);
    const fingerprint = createHash('sha256').update(`${path} ${facts.size} ${Math.floor(facts.mtimeMs)} ${projection.key}`).digest('hex');
    const cursorName = `${options.tenant} import ${path}`;
    const resumedAt = positionIn(await pictures.cursor(cursorName), fingerprint);
    const skipped = { address: 0, vector: 0 };
    let added = 0;
    let offered = 0;
    let batch: NewPicture[] = [];
    let position = 0;
    const flush = async () => {
      added += await pictures.add(batch);
      offered += batch.length;
      batch = [];
      await pictures.setCursor(cursorName, cursorAt(fingerprint, position));
      options.onProgress?.(position, embeddings.count);
    };
    for (const row of embeddings.rows()) {
      const address = embeddings.paths[position] ?? '';
      position += 1;
      if (position <= resumedAt) continue;
      if (!/^https?:\/\//i.test(address)) skipped.address += 1;
      else if (!row.every(Number.isFinite) || row.every((value) => value === 0)) skipped.vector += 1;
      else batch.push(linked(address, l2Normalize(row), options));
      if (batch.length < (options.batch ?? 500)) continue;
      signal?.throwIfAborted();
      await flush();
    }
    await flush();
    await pictures.setCursor(cursorName, null);
    return { rows: embeddings.count, added, known: offered - added, resumedAt, skipped, seconds: (performance.now() - began) / 1000 };
  } finally {
    embeddings.close();
  }
}

function linked(url: string, values: Float32Array, { projection, tenant, addedBy, licence, tags }: ImportOptions): NewPicture {
  return {
    id: pictureId(`link ${tenant}`, url),
    hash: '',
    tenant,
    alt: altOf(url),
    caption: null,
    source: url,
    licence: licence ?? null,
    addedBy,
    addedAt: Date.now(),
    tags: tags ?? [],
    contentClass: 'safe',
    // As long as nobody has looked; set when it is fetched.
    mimeType: 'image/jpeg',
    width: 0,
    height: 0,
    perceptualHash: null,
    url,
    vectors: [{ projection: projection.key, values }],
  };
}
