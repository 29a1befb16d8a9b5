// CLIP's own similarity as a baseline: the text tower that lies beside the vision encoder, opened for as long as
// it is asked. Texts are kept like the model's own.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { FromageError } from '../../errors.ts';
import { type ClipSimilarity, loadClipSimilarity } from '../../model/index.ts';
import type { EvaluationOptions } from '../types.ts';
import { embeddingFile } from './embed.ts';
import { openVectorCache } from './vector-cache.ts';

/** Figures of the baseline, or why there are none. */
export interface ClipBaseline<T> {
  readonly clip: T | null;
  readonly clip_absent: string | null;
}

/** Unit vectors of CLIP's shared space. */
export interface ClipVectors {
  texts(texts: readonly string[]): Promise<Float32Array[]>;
  /** From pooled features. */
  pictures(pooled: readonly Float32Array[]): Float32Array[];
}

/** Texts in one call; a run that is stopped loses no more. */
const callSize = 64;
/** Of an encoder whose files hold no text tower that can be used: no fault of the run. */
const absent = new Set(['MODEL_TEXT_TOWER', 'TOKENIZER_MISSING', 'TOKENIZER_FILE']);

export async function clipBaseline<T>(options: EvaluationOptions, judge: (clip: ClipVectors) => Promise<T>): Promise<ClipBaseline<T>> {
  if (options.clip === undefined) return { clip: null, clip_absent: 'the files of the vision encoder were not named' };
  let tower: ClipSimilarity;
  try {
    tower = await loadClipSimilarity(options.clip);
  } catch (error) {
    if (!(error instanceof FromageError) || !absent.has(error.code)) throw error;
    return { clip: null, clip_absent: error.code === 'MODEL_TEXT_TOWER' && error.why ? error.why : error.what };
  }
  try {
    return { clip: await judge({ texts: (texts) => embedTexts(tower, texts, options), pictures: (pooled) => tower.projectPictures(pooled) }), clip_absent: null };
  } finally {
    await tower.close();
  }
}

async function embedTexts(tower: ClipSimilarity, texts: readonly string[], options: EvaluationOptions): Promise<Float32Array[]> {
  const cache = openVectorCache(embeddingFile(options, 'texts', `clip ${tower.hash}`), tower.projectionSize);
  try {
    const wanted = [...new Set(texts)];
    const fresh = wanted.filter((text) => cache.get(text) === undefined).sort((a, b) => a.length - b.length);
    const report = (left: number) => options.onProgress?.({ stage: 'reading with CLIP’s text tower', unit: 'texts', done: wanted.length - left, total: wanted.length });
    report(fresh.length);
    for (let start = 0; start < fresh.length; start += callSize) {
      options.signal?.throwIfAborted();
      const part = fresh.slice(start, start + callSize);
      const vectors = await tower.embedTexts(part);
      part.forEach((text, i) => cache.set(text, vectors[i]!));
      report(Math.max(0, fresh.length - start - callSize));
      // A run of the tower holds this thread: let others, and Ctrl-C, have their turn.
      await nextTurn();
    }
    return texts.map((text) => cache.get(text)!);
  } finally {
    cache.close();
  }
}
