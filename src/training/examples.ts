// Training examples from files: captions with pictures, named pictures, ordinary talk. Pictures are only
// named here; their features come from pooled-features.ts.
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { FromageError } from '../errors.ts';
import { readTsv } from '../formats/index.ts';
import type { DataSource } from './config.ts';
import { createRandom } from './random.ts';

/** A picture by the name that its source gives it. */
export interface PictureName {
  /** Folder or tar archive; empty for pictures whose features the caller brought. */
  readonly images: string;
  readonly name: string;
}

/** What was said before, in turns, the user's first: words, or a picture that the assistant showed. */
export type EarlierTurns = readonly (string | PictureName)[];

export interface PairExample {
  readonly kind: 'pair';
  /** Before a request; form chat. */
  readonly before?: EarlierTurns;
  readonly caption: string;
  /** In a request, in place of the caption: names are asked for as they are. */
  readonly isName: boolean;
  readonly picture: PictureName;
  /** The picture is asked for in just these words. */
  readonly request?: string;
  /** What is asked about the picture, in just these words; form chat. */
  readonly question?: string;
  /** Pictures that this text must not find: hard negatives. */
  readonly rejected?: readonly PictureName[];
  /** The picture is wrong for this text, the words are wrong for this picture: learned with unlikelihood. */
  readonly unlikely?: boolean;
}

export interface TalkExample {
  readonly kind: 'talk';
  readonly before?: EarlierTurns;
  readonly user: string;
  /** `[RET]` alone asks for a picture without saying which. */
  readonly assistant: string;
}

export type TrainingExample = PairExample | TalkExample;

/** Examples that are drawn from with a common weight. */
export interface ExampleSource {
  readonly name: string;
  readonly weight: number;
  /** While the retrieval maps alone are trained; `weight` when absent. */
  readonly mapsWeight?: number;
  /** Texts per example then. */
  readonly mapsForms?: number;
  readonly captioning: boolean;
  readonly retrieval: boolean;
  readonly examples: readonly TrainingExample[];
}

const namesSchema = z.array(z.looseObject({ file: z.string(), name: z.string(), keywords: z.array(z.string()).default([]) }));
const talkSchema = z.strictObject({ before: z.array(z.string().min(1)).refine(({ length }) => length % 2 === 0, 'must end with the assistant').optional(), user: z.string().min(1), assistant: z.string().min(1) });
/** Names that are put into a line of talk with `{}`. */
const namesInLine = 12;

/** @throws FromageError `TRAINING_DATA`, and the readers' own */
export async function readSource(source: DataSource): Promise<ExampleSource> {
  const examples = await readExamples(source);
  if (examples.length === 0) throw new FromageError({ code: 'TRAINING_DATA', what: `${fileOf(source)} holds no examples`, todo: 'give a file with at least one row' });
  const talk = source.kind === 'talk';
  return { name: fileOf(source), weight: source.weight, ...mapsOf(source), captioning: !talk && source.captioning, retrieval: talk || source.retrieval, examples };
}

function mapsOf(source: DataSource): Pick<ExampleSource, 'mapsWeight' | 'mapsForms'> {
  if (source.kind !== 'named') return {};
  const { mapsWeight, mapsForms } = source;
  return { ...(mapsWeight === undefined ? {} : { mapsWeight }), ...(mapsForms === undefined ? {} : { mapsForms }) };
}

/** Every picture that an example needs. */
export function picturesOf(example: TrainingExample): readonly PictureName[] {
  const shown = shownIn(example.before);
  return example.kind === 'pair' ? [example.picture, ...(example.rejected ?? []), ...shown] : shown;
}

/** The pictures among earlier turns, in order. */
export function shownIn(before: EarlierTurns | undefined): readonly PictureName[] {
  return before?.filter((turn) => typeof turn !== 'string') ?? [];
}

export function pictureKey({ images, name }: PictureName): string {
  return `${images}\n${name}`;
}

async function readExamples(source: DataSource): Promise<TrainingExample[]> {
  switch (source.kind) {
    case 'captions': {
      const pairs: TrainingExample[] = [];
      for await (const { caption, image } of readTsv(source.tsv)) pairs.push({ kind: 'pair', caption, isName: false, picture: { images: source.images, name: image } });
      return pairs;
    }
    case 'named':
      // A picture is asked for by its name as often as by all its keywords together.
      return readNames(source.names).flatMap(({ file, name, keywords }) => [name, ...keywords.slice(1).map(() => name), ...keywords].map((caption): TrainingExample => ({ kind: 'pair', caption, isName: true, picture: { images: source.images, name: file } })));
    case 'talk':
      return readTalk(source);
  }
}

/** Lines with `{}` become several, with another name in each: the same names in every run. */
async function readTalk({ file, names: namesFile, images }: Extract<DataSource, { kind: 'talk' }>): Promise<TrainingExample[]> {
  const names = namesFile === undefined ? [] : readNames(namesFile);
  const lines = (await readText(file)).split('\n').filter((line) => line.trim() !== '');
  return lines.flatMap((line, i): TrainingExample[] => {
    const parsed = talkSchema.safeParse(parseJson(line, `line ${i + 1} of ${file}`));
    if (!parsed.success) throw new FromageError({ code: 'TRAINING_DATA', what: `line ${i + 1} of ${file} is not {"user", "assistant", "before"?}`, why: z.prettifyError(parsed.error).slice(0, 200) });
    const { before, user, assistant } = parsed.data;
    const shows = before?.some((text, turn) => turn % 2 === 1 && text === '[RET]') ?? false;
    const named = [...(before ?? []), user].some((text) => text.includes('{}'));
    if (shows && (names.length === 0 || images === undefined || !named)) throw new FromageError({ code: 'TRAINING_DATA', what: `line ${i + 1} of ${file} shows a picture and does not say which`, why: 'an earlier turn is [RET], which stands for the picture of the name that {} becomes', todo: 'write {} in the line, and give the source "names" and "images"' });
    if (names.length === 0 || !named) return [{ kind: 'talk', ...(before ? { before } : {}), user, assistant }];
    return createRandom(i, 'names').shuffled(names).slice(0, namesInLine).map(({ name, file: picture }) => {
      const filled = (text: string) => text.replaceAll('{}', () => name);
      const earlier = before?.map((text, turn) => (turn % 2 === 1 && text === '[RET]' ? { images: images ?? '', name: picture } : filled(text)));
      return { kind: 'talk', ...(earlier ? { before: earlier } : {}), user: filled(user), assistant: filled(assistant) };
    });
  });
}

function readNames(file: string): z.output<typeof namesSchema> {
  const parsed = namesSchema.safeParse(readJson(file));
  if (!parsed.success) throw new FromageError({ code: 'TRAINING_DATA', what: `${file} is not a list of {"file", "name"}`, why: z.prettifyError(parsed.error).slice(0, 200) });
  return parsed.data;
}

function fileOf(source: DataSource): string {
  return source.kind === 'captions' ? source.tsv : source.kind === 'named' ? source.names : source.file;
}

function readJson(file: string): unknown {
  try {
    return parseJson(readFileSync(file, 'utf8'), file);
  } catch (cause) {
    if (cause instanceof FromageError) throw cause;
    throw unreadable(file, cause);
  }
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    throw unreadable(file, cause);
  }
}

function parseJson(text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new FromageError({ code: 'TRAINING_DATA', what: `${where} is not JSON`, cause });
  }
}

function unreadable(file: string, cause: unknown): FromageError {
  return new FromageError({ code: 'TRAINING_DATA', what: `${file} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`, cause });
}
