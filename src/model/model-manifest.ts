// `model.json` of a model folder: which files it is made of and their SHA-256. Hashing a hundred megabytes
// takes longer than loading them, so a file that was verified once is known by size and time of change.
import { createHash } from 'node:crypto';
import { createReadStream, existsSync, mkdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { FromageError } from '../errors.ts';
import { writeFileWhole } from '../formats/index.ts';

const relativePath = z.string().regex(/^(?!.*(?:^|\/)\.\.(?:\/|$))[\w.-]+(?:\/[\w.-]+)*$/);
const manifestSchema = z.looseObject({
  name: z.string(),
  languageModel: relativePath,
  visionEncoder: relativePath,
  adapter: relativePath,
  promptStyle: z.enum(['qa', 'chat', 'plain']),
  /** In place of the language model's own. */
  chatTemplate: z.string().optional(),
  files: z.array(z.looseObject({ path: relativePath, bytes: z.number().int().nonnegative(), sha256: z.string().regex(/^[0-9a-f]{64}$/), licence: z.string(), origin: z.string() })),
});

export type ModelManifest = z.infer<typeof manifestSchema>;

/** @throws FromageError `MODEL_MANIFEST` */
export function readManifest(folder: string): ModelManifest {
  const file = join(folder, 'model.json');
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw new FromageError({ code: 'MODEL_MANIFEST', what: `${file} cannot be read`, todo: 'take the folder from the repository again', cause });
  }
  const result = manifestSchema.safeParse(json);
  if (result.success) return result.data;
  throw new FromageError({ code: 'MODEL_MANIFEST', what: `${file} does not describe a model`, why: z.prettifyError(result.error).slice(0, 300), todo: 'take the folder from the repository again' });
}

/**
 * Checks size and SHA-256 of every file that a manifest lists.
 *
 * @param cacheDir where it is noted which files were verified; null hashes every file
 * @throws FromageError `MODEL_CHECKSUM` naming the file and both sums, `MODEL_NOT_HERE` for a missing one
 */
export async function verifyManifest(folder: string, manifest: ModelManifest, cacheDir: string | null): Promise<void> {
  const noteFile = cacheDir === null ? null : join(cacheDir, 'verified-files.json');
  const verified = new Map(Object.entries(readNote(noteFile)));
  let changed = false;
  for (const { path, bytes, sha256 } of manifest.files) {
    const file = join(folder, path);
    if (!existsSync(file)) throw new FromageError({ code: 'MODEL_NOT_HERE', what: `${file} is missing`, why: `model.json of ${manifest.name} lists it`, todo: 'take the folder from the repository again (git lfs is not used)' });
    const stat = statSync(file);
    const key = realpathSync(file);
    const stamp = `${stat.size} ${stat.mtimeMs} ${sha256}`;
    if (verified.get(key) === stamp) continue;
    if (stat.size !== bytes) throw mismatch(file, `it has ${stat.size} bytes, expected ${bytes}`);
    const actual = await sha256OfFile(file);
    if (actual !== sha256) throw mismatch(file, `its SHA-256 is ${actual}, expected ${sha256}`);
    verified.set(key, stamp);
    changed = true;
  }
  if (noteFile === null || cacheDir === null || !changed) return;
  mkdirSync(cacheDir, { recursive: true });
  writeFileWhole(noteFile, [new TextEncoder().encode(JSON.stringify(Object.fromEntries(verified)))]);
}

async function sha256OfFile(file: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 })) hash.update(chunk as Uint8Array);
  return hash.digest('hex');
}

/** A lost or broken note only costs time. */
function readNote(file: string | null): Record<string, string> {
  if (file === null || !existsSync(file)) return {};
  try {
    return z.record(z.string(), z.string()).parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch {
    return {};
  }
}

function mismatch(file: string, why: string): FromageError {
  return new FromageError({ code: 'MODEL_CHECKSUM', what: `${file} is not the file that model.json lists`, why, todo: 'take it from the repository or its origin again' });
}
