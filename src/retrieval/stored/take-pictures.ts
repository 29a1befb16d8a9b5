// The one way of a picture into the store: decoded and re-encoded in a child process, fingerprinted,
// checked against the deny list and its duplicates, encoded, and written with its features.
import { randomUUID } from 'node:crypto';
import { asFromageError, FromageError } from '../../errors.ts';
import type { FileStore, NewPicture, PictureRow, PictureStore } from '../contracts.ts';
import type { Projection } from '../gallery.ts';
import type { NearDuplicates } from './near-duplicates.ts';

/** Bits of the perceptual hash in which a picture may differ from a denied one and still be the same. */
const denyDistance = 8;
const maxAlt = 500;

/** Decoding away from this process; `PictureWorker` of the vision room is one. */
export interface PictureDecoder {
  sanitize(bytes: Uint8Array): Promise<{ readonly bytes: Uint8Array; readonly mimeType: string; readonly width: number; readonly height: number }>;
  perceptualHash(bytes: Uint8Array): Promise<string>;
}

/** Pooled features in order; an Error in place of a picture that cannot be encoded. */
export type EncodePictures = (images: readonly Uint8Array[]) => Promise<readonly (Float32Array | Error)[]>;

export interface TakeParts {
  readonly pictures: PictureStore;
  readonly files: FileStore;
  readonly encoder: string;
  readonly encode: EncodePictures;
  readonly decoder: PictureDecoder;
}

/** A picture somebody offers. */
export interface OfferedPicture {
  readonly bytes: Uint8Array;
  readonly caption: string | null;
  readonly tenant: string;
  readonly addedBy: string | null;
  /** A deterministic one makes reading a source again harmless; random when absent. */
  readonly id?: string;
  /** What a screen reader says where there is no caption. */
  readonly alt?: string;
  readonly source?: string | null;
  readonly licence?: string | null;
  readonly tags?: readonly string[];
  readonly contentClass?: string;
}

export type Taken =
  | { readonly outcome: 'added'; readonly row: PictureRow; /** By projection. */ readonly vectors: ReadonlyMap<string, Float32Array> }
  /** The same bytes, or a picture that looks the same, is there already. */
  | { readonly outcome: 'known'; readonly id: string; readonly near: boolean }
  | { readonly outcome: 'denied' }
  | { readonly outcome: 'unreadable'; readonly error: FromageError };

/** A picture that was decoded and fingerprinted, not yet looked up or written. */
export interface DecodedPicture {
  readonly offered: OfferedPicture;
  readonly clean: Awaited<ReturnType<PictureDecoder['sanitize']>>;
  readonly perceptualHash: string;
}

export async function decodeOffered(decoder: PictureDecoder, offered: OfferedPicture): Promise<DecodedPicture | FromageError> {
  try {
    const clean = await decoder.sanitize(offered.bytes);
    return { offered, clean, perceptualHash: await decoder.perceptualHash(clean.bytes) };
  } catch (error) {
    return asFromageError(error);
  }
}

/**
 * Writes decoded pictures in one transaction: durable with features and vectors once it resolves, and in
 * no index yet. Rows and outcomes are in the order of `decoded`.
 */
export async function storeDecoded(parts: TakeParts, decoded: readonly (DecodedPicture | FromageError)[], duplicates: NearDuplicates, projections: readonly Projection[]): Promise<readonly Taken[]> {
  const outcomes: (Taken | null)[] = decoded.map(() => null);
  const fresh: { at: number; picture: DecodedPicture; id: string }[] = [];
  for (const [at, picture] of decoded.entries()) {
    if (picture instanceof FromageError) {
      outcomes[at] = { outcome: 'unreadable', error: picture };
      continue;
    }
    const { tenant } = picture.offered;
    const known = duplicates.find(picture.perceptualHash, tenant);
    if (await parts.pictures.isDenied(picture.perceptualHash, denyDistance)) outcomes[at] = { outcome: 'denied' };
    else if (known !== null) outcomes[at] = { outcome: 'known', id: known, near: true };
    else {
      const id = picture.offered.id ?? randomUUID();
      // Known from here on, so that the same picture twice in one batch is one.
      duplicates.add(id, tenant, picture.perceptualHash);
      fresh.push({ at, picture, id });
    }
  }
  try {
    await writeFresh(parts, fresh, projections, outcomes);
  } catch (error) {
    for (const { id } of fresh) duplicates.remove(id);
    throw error;
  }
  for (const { at, id } of fresh) if (outcomes[at]?.outcome !== 'added') duplicates.remove(id);
  return outcomes.map((outcome) => outcome!);
}

async function writeFresh(parts: TakeParts, fresh: readonly { at: number; picture: DecodedPicture; id: string }[], projections: readonly Projection[], outcomes: (Taken | null)[]): Promise<void> {
  if (fresh.length === 0) return;
  // The features are those of the original bytes: writing a JPEG anew moves them a little.
  const pooled = await parts.encode(fresh.map(({ picture }) => picture.offered.bytes));
  const readable = fresh.flatMap((one, i) => {
    const values = pooled[i];
    if (values instanceof Float32Array) return [{ ...one, values }];
    outcomes[one.at] = { outcome: 'unreadable', error: asFromageError(values ?? new Error('the picture was not encoded')) };
    return [];
  });
  const vectors = await Promise.all(projections.map(async (projection) => ({ key: projection.key, rows: await projection.project(readable.map(({ values }) => values)) })));
  const rows = await Promise.all(
    readable.map(async ({ picture, values, id }, i): Promise<NewPicture> => {
      const { clean, perceptualHash } = picture;
      const file = await parts.files.put(clean.bytes, { mimeType: clean.mimeType, width: clean.width, height: clean.height, perceptualHash });
      return { ...rowOf(picture, id, file.hash), pooled: { encoder: parts.encoder, values }, vectors: vectors.map(({ key, rows: projected }) => ({ projection: key, values: projected[i]! })) };
    }),
  );
  await parts.pictures.add(rows);
  readable.forEach(({ at }, i) => {
    const { pooled: _pooled, vectors: projected = [], ...row } = rows[i]!;
    outcomes[at] = { outcome: 'added', row: { ...row, dead: false }, vectors: new Map(projected.map(({ projection, values }) => [projection, values])) };
  });
}

function rowOf({ offered, clean, perceptualHash }: DecodedPicture, id: string, hash: string): Omit<NewPicture, 'pooled' | 'vectors'> {
  const caption = offered.caption?.trim().slice(0, maxAlt) || null;
  return {
    id,
    hash,
    tenant: offered.tenant,
    alt: caption ?? (offered.alt?.trim().slice(0, maxAlt) || 'a picture that was added here'),
    caption,
    source: offered.source ?? null,
    licence: offered.licence ?? null,
    addedBy: offered.addedBy,
    addedAt: Date.now(),
    tags: offered.tags ?? [],
    contentClass: offered.contentClass ?? 'safe',
    mimeType: clean.mimeType,
    width: clean.width,
    height: clean.height,
    perceptualHash,
    url: null,
  };
}
