// `fromage train`: settings from a recipe and the options, progress while it runs, the result in the end.
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { FromageError } from '../../errors.ts';
import { type DataSource, recipe, type RecipeName, settingsFrom, train, type TrainInput, type TrainProgress, trainSettings } from '../../training/index.ts';
import { interruptSignal } from '../interrupt.ts';
import { createProgress, type Progress } from '../progress.ts';

interface TrainFlags {
  readonly recipe: RecipeName;
  /** A JSON file. */
  readonly config?: string;
  readonly data?: readonly string[];
  readonly images?: readonly string[];
  readonly talk?: readonly string[];
  readonly json?: boolean;
}

export async function trainCommand(command: Command): Promise<void> {
  const flags = command.opts<TrainFlags & Record<string, unknown>>();
  const input = trainInput(flags);
  const signal = interruptSignal();
  const report = flags.json ? (progress: TrainProgress) => process.stdout.write(`${JSON.stringify(progress)}\n`) : showProgress();
  const result = await train(input, { signal, onProgress: report });
  if (flags.json) process.stdout.write(`${JSON.stringify(result)}\n`);
  else if (result.status === 'interrupted') process.stdout.write(`stopped after ${result.steps} steps; the same command goes on from there\n`);
  else {
    const best = result.best === null ? '' : `, best at step ${result.best.step} (score ${result.best.score.toFixed(4)})`;
    const skipped = result.skippedRows === 0 ? '' : `; ${result.skippedRows} rows were skipped, ${result.unreadablePictures} pictures cannot be read (unreadable-pictures.txt)`;
    process.stdout.write(`${result.status} after ${result.steps} steps and ${Math.round(result.seconds)} s${best}: ${result.adapter}${skipped}\n`);
  }
  if (result.status === 'interrupted') process.exitCode = 130;
}

/** @throws FromageError `CLI_OPTION` */
export function trainInput(flags: TrainFlags & Record<string, unknown>): TrainInput {
  const { data: recipeData, ...recipeSettings } = recipe(flags.recipe);
  const { data: fileData = [], ...fileSettings } = flags.config === undefined ? {} : readConfig(flags.config);
  const base = over(recipeSettings, fileSettings);
  const given = over(base, settingsFrom(Object.fromEntries(trainSettings().map(({ flag }) => [flag, flags[camelCase(flag)] as string | undefined]))));
  if (typeof given['run'] !== 'string') throw new FromageError({ code: 'CLI_OPTION', what: '--run is missing', todo: 'name the folder of the run: --run runs/first' });
  const files = flags.data ?? [];
  const images = flags.images ?? [];
  if (files.length !== images.length) throw new FromageError({ code: 'CLI_OPTION', what: `--data names ${files.length} files and --images ${images.length} places`, todo: 'give one folder or archive of pictures for each file' });
  const data: DataSource[] = [
    ...files.map((tsv, i): DataSource => ({ kind: 'captions', tsv: resolve(tsv), images: resolve(images[i]!), weight: 1, captioning: true, retrieval: true })),
    ...(flags.talk ?? []).map((file): DataSource => ({ kind: 'talk', file: resolve(file), weight: 0.1 })),
    ...fileData,
    ...recipeData,
  ];
  return { ...given, data } as TrainInput;
}

type Settings = Readonly<Record<string, unknown>>;

/** The second ones above the first, group by group. */
function over(lower: Settings, upper: Settings): Settings {
  const nested = (key: string) => (isGroup(lower[key]) && isGroup(upper[key]) ? { [key]: { ...lower[key], ...upper[key] } } : {});
  return { ...lower, ...upper, ...nested('validation'), ...nested('retrievalMaps') };
}

function isGroup(value: unknown): value is Settings {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** What is in it is checked with all the other settings. */
function readConfig(file: string): Settings & { readonly data?: readonly DataSource[] } {
  const wrong = (why: string) => new FromageError({ code: 'CLI_OPTION', what: `--config ${file} cannot be used`, why, todo: 'give a JSON file like the config.json of a run' });
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw wrong(cause instanceof Error ? cause.message : String(cause));
  }
  if (!isGroup(value)) throw wrong('it is not an object of settings');
  if (value['data'] !== undefined && !Array.isArray(value['data'])) throw wrong('"data" is not a list');
  return value as Settings & { readonly data?: readonly DataSource[] };
}

function camelCase(flag: string): string {
  return flag.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

function showProgress(): (progress: TrainProgress) => void {
  const bars = new Map<string, Progress>();
  const bar = (title: string, unit: string): Progress => {
    const known = bars.get(title) ?? createProgress(title, unit);
    bars.set(title, known);
    return known;
  };
  let said = Number.NEGATIVE_INFINITY;
  return (progress) => {
    switch (progress.stage) {
      case 'pictures':
      case 'states': {
        const shown = progress.stage === 'pictures' ? bar('reading the pictures', 'pictures') : bar('reading the requests', 'texts');
        shown.update(progress.done, progress.total);
        if (progress.done === progress.total) shown.end();
        return;
      }
      case 'validation': {
        const { result, score, best } = progress;
        const percent = (value: number) => `${(100 * value).toFixed(1)} %`;
        process.stdout.write(`held out (${result.pairs} ${result.pairs === 1 ? 'pair' : 'pairs'}): caption loss ${result.captionLoss.toFixed(3)}, recall@1/5/10 text to image ${percent(result.textToImage.recallAt1)} ${percent(result.textToImage.recallAt5)} ${percent(result.textToImage.recallAt10)}, image to text ${percent(result.imageToText.recallAt1)} ${percent(result.imageToText.recallAt5)} ${percent(result.imageToText.recallAt10)}; score ${score.toFixed(4)}${best ? ', the best so far' : ''}\n`);
        return;
      }
      case 'joint':
      case 'maps': {
        // A line now and then: losses say more than a bar.
        if (performance.now() - said < 5000 && progress.done !== progress.total) return;
        said = performance.now();
        const loss = (name: string, value: number) => (Number.isFinite(value) ? `${name} ${value.toFixed(3)} ` : '');
        process.stdout.write(`step ${progress.done} of ${progress.total}: ${loss('captioning', progress.captioning)}${loss('retrieval', progress.retrieval)}${loss('InfoNCE', progress.infoNce)}| ${progress.examplesPerSecond.toFixed(1)} examples/s | ${duration(progress.etaSeconds)} to go\n`);
      }
    }
  };
}

function duration(seconds: number): string {
  const minutes = Math.floor(seconds / 60);
  return minutes >= 60 ? `${Math.floor(minutes / 60)} h ${minutes % 60} min` : minutes > 0 ? `${minutes} min` : `${Math.round(seconds)} s`;
}
