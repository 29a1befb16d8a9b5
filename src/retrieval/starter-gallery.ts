// The starter gallery: the 3D emoji pictures of an MIT-licensed npm package, named by their Unicode
// names. Encoded at the first start and cached, so that something can be shown with nothing installed.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { FromageError } from '../errors.ts';
import { openWeights, writeSafetensors } from '../formats/index.ts';
import type { GalleryEntry } from './gallery.ts';
import { pictureId } from './picture-id.ts';
import { everybody } from './types.ts';

const namesFile = fileURLToPath(new URL('../../models/starter/gallery.json', import.meta.url));
const packageName = '@lobehub/fluent-emoji-3d';
/** Side of the package's pictures. */
const pictureSize = 256;
const encodeBatch = 16;

export interface StarterGalleryOptions {
  /** Pooled features of pictures in order; an Error in place of one that cannot be decoded. */
  readonly encode: (images: readonly Uint8Array[]) => Promise<readonly (Float32Array | Error)[]>;
  /** Names the encoder: features of another one are not reused. */
  readonly visionHash: string;
  /** Folder for the cached features; may be thrown away at any time. */
  readonly cacheDir: string;
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

interface Named {
  readonly file: string;
  readonly name: string;
}

/** @throws FromageError `RETRIEVAL_STARTER_GALLERY` when the package is not installed or not what the names were made for */
export async function loadStarterGallery(options: StarterGalleryOptions): Promise<readonly GalleryEntry[]> {
  const named = JSON.parse(readFileSync(namesFile, 'utf8')) as readonly Named[];
  const folder = assetsFolder();
  const pooled = await pooledFeatures(named, folder, options);
  return named.map(({ file, name }, i) => ({
    picture: {
      id: pictureId('starter', file),
      hash: createHash('sha256').update(`starter ${file}`).digest('hex'),
      tenant: everybody,
      alt: name,
      caption: null,
      source: `${packageName} (Microsoft Fluent Emoji)`,
      licence: 'MIT',
      addedBy: null,
      addedAt: 0,
      tags: ['starter'],
      contentClass: 'safe',
      mimeType: 'image/webp',
      width: pictureSize,
      height: pictureSize,
    },
    pooled: pooled[i]!,
    load: () => readFile(join(folder, file)),
  }));
}

async function pooledFeatures(named: readonly Named[], folder: string, options: StarterGalleryOptions): Promise<readonly Float32Array[]> {
  const key = createHash('sha256').update(options.visionHash).update(named.map(({ file }) => file).join()).digest('hex').slice(0, 16);
  const cache = join(options.cacheDir, `starter-gallery-${key}.safetensors`);
  const cached = readCache(cache, named.length);
  if (cached) return cached;
  const rows: Float32Array[] = [];
  for (let i = 0; i < named.length; i += encodeBatch) {
    options.signal?.throwIfAborted();
    const batch = named.slice(i, i + encodeBatch);
    const encoded = await options.encode(await Promise.all(batch.map(({ file }) => readFile(join(folder, file)))));
    encoded.forEach((row, j) => {
      if (row instanceof Error) throw new FromageError({ code: 'RETRIEVAL_STARTER_GALLERY', what: `${batch[j]!.file} of ${packageName} cannot be read`, todo: 'run "npm ci" again', cause: row });
      rows.push(row);
    });
    options.onProgress?.(rows.length, named.length);
  }
  const width = rows[0]!.length;
  const data = new Float32Array(rows.length * width);
  rows.forEach((row, i) => data.set(row, i * width));
  mkdirSync(options.cacheDir, { recursive: true });
  writeSafetensors(cache, new Map([['pooled', { shape: [rows.length, width], data }]]), { vision: options.visionHash });
  return rows;
}

/** A damaged or foreign cache is as good as none. */
function readCache(file: string, count: number): readonly Float32Array[] | null {
  if (!existsSync(file)) return null;
  try {
    const store = openWeights(file);
    const { shape } = store.locate('pooled');
    const data = store.readFloat32('pooled');
    store.close();
    const width = shape[1] ?? 0;
    if (shape[0] !== count || width === 0) return null;
    return Array.from({ length: count }, (_, i) => data.slice(i * width, (i + 1) * width));
  } catch {
    return null;
  }
}

function assetsFolder(): string {
  try {
    return join(dirname(createRequire(import.meta.url).resolve(`${packageName}/package.json`)), 'assets');
  } catch (cause) {
    throw new FromageError({ code: 'RETRIEVAL_STARTER_GALLERY', what: `the npm package ${packageName} is not installed`, todo: 'run "npm ci"', cause });
  }
}
