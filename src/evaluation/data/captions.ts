// `caption<TAB>image` data (Flickr8k, CC3M's layout) as captioned pictures.
import type { Engine } from '../../engine/types.ts';
import { FromageError } from '../../errors.ts';
import { readTsv } from '../../formats/index.ts';
import { createRandom } from '../../training/index.ts';
import type { CaptionedPicture, EvaluationOptions } from '../types.ts';
import { loadPictures } from './pictures.ts';

export interface CaptionData {
  readonly data: string;
  readonly images?: string;
  /** The first so many pictures of the file. */
  readonly limit?: number;
  /** The first so many captions of each picture. */
  readonly captions?: number;
  /** Pictures whose thumbnails the report shows; chosen by the seed. */
  readonly sampleCount?: number;
  readonly fetchPicture?: (url: string) => Promise<Uint8Array>;
}

export interface LoadedCaptions {
  readonly pictures: readonly CaptionedPicture[];
  readonly thumbnails: ReadonlyMap<string, string>;
  readonly missing: readonly string[];
  /** Lines whose caption is nothing but white space: they ask for nothing and are left out. */
  readonly empty: number;
}

/** Pictures with their captions; those that are not there are left out with their captions. */
export async function loadCaptions(engine: Engine, request: CaptionData, options: EvaluationOptions): Promise<LoadedCaptions> {
  const captionsOf = new Map<string, string[]>();
  const limit = request.limit ?? Number.POSITIVE_INFINITY;
  let empty = 0;
  for await (const { caption, image } of readTsv(request.data)) {
    if (caption.trim() === '') {
      empty++;
      continue;
    }
    const own = captionsOf.get(image);
    if (own) own.push(caption);
    else if (captionsOf.size < limit) captionsOf.set(image, [caption]);
  }
  if (captionsOf.size === 0) throw new FromageError({ code: 'EVALUATION_DATA', what: `${request.data} has no captions`, todo: 'give lines of caption<TAB>image' });
  const ids = new Set(captionsOf.keys());
  const samples = chooseSamples([...ids], request.sampleCount ?? 12, options.seed ?? 1);
  const { images, fetchPicture } = request;
  const loaded = await loadPictures(engine, { ...(images === undefined ? {} : { images }), ...(fetchPicture ? { fetchPicture } : {}), ids, samples, idOf: (name) => (ids.has(name) ? name : null) }, options);
  const pictures = [...captionsOf].flatMap(([id, captions]): CaptionedPicture[] => {
    const pooled = loaded.pooled.get(id);
    return pooled ? [{ id, image: { pooled }, captions: captions.slice(0, request.captions) }] : [];
  });
  return { pictures, thumbnails: loaded.thumbnails, missing: loaded.missing, empty };
}

export function chooseSamples(ids: readonly string[], count: number, seed: number): Set<string> {
  return new Set(createRandom(seed, 'samples').shuffled(ids).slice(0, count));
}
