// Visual Storytelling's story-in-sequence annotations (`val.story-in-sequence.json`): stories of five
// sentences, each written for a photo of a Flickr album.
import { z } from 'zod';
import { FromageError } from '../../errors.ts';
import { readJsonFile } from './read-json.ts';

const id = z.union([z.string(), z.number()]).transform(String);

const annotationSchema = z.object({
  story_id: id,
  photo_flickr_id: id,
  worker_arranged_photo_order: z.coerce.number().int(),
  original_text: z.string(),
});

const vistSchema = z.object({
  images: z.array(z.object({ id, url_o: z.string().optional(), url_m: z.string().optional() })).default([]),
  annotations: z.array(z.union([annotationSchema, z.array(annotationSchema).min(1)])),
});

export interface StoryStep {
  readonly caption: string;
  readonly image: string;
}

/** Five steps in order; the last picture is asked for. */
export interface Story {
  readonly id: string;
  readonly steps: readonly StoryStep[];
}

export interface VistStories {
  readonly stories: readonly Story[];
  /** Stories that have not five steps. */
  readonly incomplete: number;
  /** Where the photos are, by their id. */
  readonly addresses: ReadonlyMap<string, string>;
}

const storyLength = 5;

/** @param limit the first so many whole stories of the file */
export async function readVist(file: string, limit = Number.POSITIVE_INFINITY): Promise<VistStories> {
  const { images, annotations } = await readJsonFile(file, vistSchema, 'story-in-sequence JSON of VIST');
  const byStory = new Map<string, (StoryStep & { readonly order: number })[]>();
  for (const each of annotations.flat()) {
    const steps = byStory.get(each.story_id) ?? [];
    steps.push({ caption: each.original_text.trim(), image: each.photo_flickr_id, order: each.worker_arranged_photo_order });
    byStory.set(each.story_id, steps);
  }
  const all = [...byStory].map(([story, steps]): Story => ({ id: story, steps: steps.sort((a, b) => a.order - b.order).map(({ caption, image }) => ({ caption, image })) }));
  const whole = all.filter(({ steps }) => steps.length === storyLength);
  if (whole.length === 0) throw new FromageError({ code: 'EVALUATION_DATA', what: `${file} has no story of ${storyLength} steps`, todo: 'give story-in-sequence JSON of VIST' });
  const addresses = new Map(images.flatMap(({ id: image, url_o, url_m }) => ((url_o ?? url_m) === undefined ? [] : [[image, (url_o ?? url_m)!] as const])));
  return { stories: whole.slice(0, limit), incomplete: all.length - whole.length, addresses };
}
