// `fromage search`: asks the gallery with words, a picture, or both.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fillGallery } from '../../app/index.ts';
import { retrievalPrompt } from '../../engine/index.ts';
import type { Engine } from '../../engine/types.ts';
import { FromageError } from '../../errors.ts';
import { averageVectors, avoidVector, EmbeddedIndex, type ImageFilter, PictureGallery, type ScoredPicture, type StoredGallery } from '../../retrieval/index.ts';
import { configuration } from '../configuration.ts';
import { openGalleryOf } from '../gallery/open.ts';
import { interruptSignal } from '../interrupt.ts';
import { createProgress } from '../progress.ts';
import { number } from './generate.ts';

interface SearchFlags extends Record<string, unknown> {
  readonly image?: string;
  readonly like?: string;
  readonly avoid?: readonly string[];
  readonly tenant: readonly string[];
  readonly tag?: readonly string[];
  readonly addedBy?: string;
  readonly after?: string;
  readonly before?: string;
  readonly limit: string;
  readonly page: string;
  readonly starter: boolean;
  readonly open?: boolean;
  readonly json?: boolean;
}

const extensions: Readonly<Record<string, string>> = { 'image/jpeg': 'jpg', 'image/png': 'png', 'image/webp': 'webp', 'image/gif': 'gif' };

export async function search(text: string | undefined, flags: SearchFlags): Promise<void> {
  const config = configuration(flags);
  const signal = interruptSignal();
  const limit = number('--limit', flags.limit);
  const page = number('--page', flags.page);
  const progress = createProgress('opening the gallery', 'pictures', flags.json);
  const fixed = async (engine: Engine) => {
    const starter = new PictureGallery({ createIndex: (dim) => new EmbeddedIndex(dim, config.FROMAGE_THREADS === undefined ? {} : { threads: config.FROMAGE_THREADS }) });
    await fillGallery(config, engine, starter, (done, total) => progress.update(done, total), signal);
    return starter;
  };
  const parts = await openGalleryOf(config, { progress, signal, ...(flags.starter ? { fixed } : {}) });
  progress.end();
  try {
    const filter = filterOf(flags);
    const vector = await vectorFor(parts.engine, parts.gallery, text, flags, filter);
    const found = (await parts.gallery.find({ vector, filter, limit: limit * page, scoreThreshold: -1 })).slice(limit * (page - 1));
    const { scoreThreshold } = parts.gallery;
    process.stdout.write(flags.json ? `${JSON.stringify({ threshold: scoreThreshold, pictures: found })}\n` : textOf(found, scoreThreshold));
    if (flags.open) await openPictures(parts.gallery, found, filter);
  } finally {
    await parts.close();
  }
}

async function vectorFor(engine: Engine, gallery: StoredGallery, text: string | undefined, flags: SearchFlags, filter: ImageFilter): Promise<Float32Array> {
  const { promptStyle } = await engine.info();
  const wanted: Float32Array[] = [];
  const words = (texts: readonly string[]) => engine.embedPrompts(texts.map((one) => retrievalPrompt(one, promptStyle)));
  if (text !== undefined) wanted.push(...(await words([text])));
  if (flags.image !== undefined) {
    const [pooled] = await engine.encodeImages([readPicture(flags.image)]);
    if (!(pooled instanceof Float32Array)) throw pooled ?? new FromageError({ code: 'CLI_OPTION', what: `${flags.image} could not be encoded` });
    wanted.push(...(await engine.projectImages([pooled])));
  }
  if (flags.like !== undefined) {
    const vector = await gallery.vectorOf(flags.like, filter);
    if (!vector) throw new FromageError({ code: 'CLI_OPTION', what: `there is no picture ${flags.like}`, todo: 'take an id that a search has printed' });
    wanted.push(vector);
  }
  if (wanted.length === 0) throw new FromageError({ code: 'CLI_OPTION', what: 'there is nothing to search for', todo: 'give a text, --image FILE or --like ID' });
  return avoidVector(averageVectors(wanted), flags.avoid ? await words(flags.avoid) : []);
}

function readPicture(file: string): Uint8Array {
  try {
    return new Uint8Array(readFileSync(file));
  } catch (cause) {
    throw new FromageError({ code: 'CLI_OPTION', what: `--image ${file} cannot be read: ${(cause as Error).message}`, cause });
  }
}

function filterOf({ tenant, tag, addedBy, after, before }: SearchFlags): ImageFilter {
  return {
    tenants: tenant,
    ...(tag ? { tags: tag } : {}),
    ...(addedBy === undefined ? {} : { addedBy }),
    ...(after === undefined ? {} : { addedAfter: time('--after', after) }),
    ...(before === undefined ? {} : { addedBefore: time('--before', before) }),
  };
}

function time(name: string, text: string): number {
  const value = Date.parse(text);
  if (Number.isNaN(value)) throw new FromageError({ code: 'CLI_OPTION', what: `${name} ${text} is no date`, todo: 'write it like 2026-05-31' });
  return value;
}

function textOf(found: readonly ScoredPicture[], threshold: number): string {
  if (found.length === 0) return 'nothing found\n';
  const lines = found.map(({ id, alt, score, source }) => `${score.toFixed(3)}  ${id}  ${alt}${source === null ? '' : `  (${source})`}`);
  const best = found[0]!.score;
  return `${lines.join('\n')}\n${best < threshold ? `the best score is below ${threshold.toFixed(3)}: in a chat the answer is "I have no picture of that"\n` : ''}`;
}

/** Hands each to the program that shows pictures here. */
async function openPictures(gallery: StoredGallery, found: readonly ScoredPicture[], filter: ImageFilter): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'fromage-search-'));
  const [command, ...first] = process.platform === 'darwin' ? ['open'] : process.platform === 'win32' ? ['cmd', '/c', 'start', ''] : ['xdg-open'];
  for (const [i, { id, mimeType }] of found.entries()) {
    const bytes = await gallery.bytes(id, filter);
    if (!bytes) continue;
    const file = join(folder, `${String(i + 1).padStart(2, '0')}.${extensions[mimeType] ?? 'img'}`);
    writeFileSync(file, bytes);
    const child = spawn(command!, [...first, file], { stdio: 'ignore', detached: true });
    child.on('error', () => process.stderr.write(`no program shows pictures here; the picture lies in ${file}\n`));
    child.unref();
  }
}
