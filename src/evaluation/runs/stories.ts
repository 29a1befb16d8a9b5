// VIST's stories with the features of their photos, for the runs that read them.
import { basename, extname } from 'node:path';
import type { Engine } from '../../engine/types.ts';
import { FromageError } from '../../errors.ts';
import { chooseSamples } from '../data/captions.ts';
import { loadPictures } from '../data/pictures.ts';
import { readVist, type Story } from '../data/vist.ts';
import type { RunRequest } from './types.ts';

export interface LoadedStories {
  readonly stories: readonly Story[];
  readonly pooled: ReadonlyMap<string, Float32Array>;
  readonly thumbnails: ReadonlyMap<string, string>;
  readonly facts: { readonly missing_images: number; readonly skipped_stories: number };
}

/** Photo files are named by their Flickr id. Stories with a missing photo are skipped, as the authors do. */
export async function loadStories(engine: Engine, data: string, request: RunRequest): Promise<LoadedStories> {
  const { stories, incomplete, addresses } = await readVist(data, request.limit);
  const ids = new Set(stories.flatMap(({ steps }) => steps.map(({ image }) => image)));
  const samples = new Set([...chooseSamples(stories.map(({ id }) => id), 4, request.seed ?? 1)].flatMap((id) => stories.find((story) => story.id === id)!.steps.map(({ image }) => image)));
  const { images, fetchPicture } = request;
  const loaded = await loadPictures(
    engine,
    { ids, samples, addresses, idOf: (name) => idOfPhoto(name, ids), ...(images === undefined ? {} : { images }), ...(fetchPicture ? { fetchPicture } : {}) },
    request,
  );
  const complete = stories.filter(({ steps }) => steps.every(({ image }) => loaded.pooled.has(image)));
  if (complete.length === 0) throw new FromageError({ code: 'EVALUATION_DATA', what: `each of the ${stories.length} stories lacks a picture`, todo: 'name the folder or archive that holds <Flickr id>.jpg in --images' });
  return { stories: complete, pooled: loaded.pooled, thumbnails: loaded.thumbnails, facts: { missing_images: loaded.missing.length, skipped_stories: stories.length - complete.length + incomplete } };
}

function idOfPhoto(name: string, ids: ReadonlySet<string>): string | null {
  const id = basename(name, extname(name));
  return ids.has(id) ? id : null;
}
