// Encoder outputs of the pictures of a train set: those that the gallery keeps, the rest encoded now. They
// go to the trainer as numbers, so that no copy of a person's picture is made anywhere.
import { everybody, type Gallery } from '../retrieval/types.ts';
import type { Engine } from '../engine/types.ts';
import type { NeededPicture } from './materials.ts';
import type { LearningStores } from './stores.ts';

const encodeBatch = 8;

export interface FeatureSources {
  readonly store: LearningStores;
  readonly engine: Pick<Engine, 'encodeImages' | 'info'>;
  readonly gallery: () => Gallery | null;
}

/** `[visionHiddenSize]` by name; pictures that are gone or cannot be read are left out. */
export async function featuresOf(pictures: readonly NeededPicture[], { store, engine, gallery }: FeatureSources, signal?: AbortSignal): Promise<Map<string, Float32Array>> {
  const { visionHash } = await engine.info();
  const found = new Map<string, Float32Array>();
  let waiting: { name: string; bytes: Uint8Array }[] = [];
  const flush = async (): Promise<void> => {
    const encoded = await engine.encodeImages(waiting.map(({ bytes }) => bytes));
    encoded.forEach((values, i) => {
      if (values instanceof Float32Array) found.set(waiting[i]!.name, values);
    });
    waiting = [];
  };
  for (const { name, pictureId, imageHash } of pictures) {
    signal?.throwIfAborted();
    const kept = pictureId === null ? null : await store.pictures.pooledOf(visionHash, pictureId);
    if (kept) {
      found.set(name, kept);
      continue;
    }
    const bytes = pictureId === null ? await store.files.get(imageHash ?? '') : await galleryBytes(store, gallery(), pictureId);
    if (bytes) waiting.push({ name, bytes });
    if (waiting.length === encodeBatch) await flush();
  }
  if (waiting.length > 0) await flush();
  return found;
}

async function galleryBytes(store: LearningStores, gallery: Gallery | null, pictureId: string): Promise<Uint8Array | null> {
  const row = await store.pictures.get(pictureId);
  if (row?.dead) return null;
  return (await gallery?.bytes(pictureId, { tenants: row ? [row.tenant] : [everybody] })) ?? null;
}
