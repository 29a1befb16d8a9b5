// `fromage evaluate <task>`: progress while it runs, the report as a page in the data folder, the figures as
// the last line.
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { cacheFolder, modelOptions, openEngine } from '../../app/index.ts';
import { type EvaluationProgress, type EvaluationTask, runEvaluation } from '../../evaluation/index.ts';
import type { AdapterInfo, Engine, PromptStyle } from '../../engine/types.ts';
import { FromageError } from '../../errors.ts';
import { findSources } from '../../model/index.ts';
import { createSafeFetcher } from '../../retrieval/index.ts';
import { configuration } from '../configuration.ts';
import { interruptSignal } from '../interrupt.ts';
import { createProgress, type Progress } from '../progress.ts';
import { number } from './generate.ts';

export interface EvaluateFlags extends Record<string, unknown> {
  readonly data?: string;
  readonly images?: string;
  readonly compare?: string;
  readonly limit?: string;
  readonly captions?: string;
  readonly queryStyle?: PromptStyle;
  readonly query?: string;
  readonly question?: string;
  readonly dense?: string;
  readonly retScale?: string;
  readonly samples: string;
  readonly seed: string;
  readonly resume?: boolean;
  readonly allowHost?: readonly string[];
  readonly json?: boolean;
}

export async function evaluate(task: EvaluationTask, flags: EvaluateFlags): Promise<void> {
  const config = configuration(flags);
  const signal = interruptSignal();
  const first = (name: string, text: string | undefined) => (text === undefined ? undefined : wholeNumber(name, text, 1));
  if (flags.query !== undefined && !flags.query.includes('{}')) throw new FromageError({ code: 'CLI_OPTION', what: '--query has no {}', todo: 'put {} where the caption stands: "Find a photo of {}"' });
  const optional = {
    data: place(flags.data),
    images: place(flags.images),
    limit: first('--limit', flags.limit),
    captions: first('--captions', flags.captions),
    question: flags.question,
    dense: place(flags.dense),
    retScaleFactor: flags.retScale === undefined ? undefined : number('--ret-scale', flags.retScale),
    resume: flags.resume,
  };
  const { threads } = modelOptions(config);
  const { visionEncoder } = await findSources(modelOptions(config));
  const fetcher = createSafeFetcher({ allowHosts: flags.allowHost ?? [] });
  const engine = await openEngine(config);
  const bars = createBars(flags.json ?? false);
  try {
    const { adapters } = await engine.ready();
    const second = flags.compare === undefined ? null : await loadSecond(engine, adapters, flags.compare);
    const request = {
      ...(Object.fromEntries(Object.entries(optional).filter(([, value]) => value !== undefined)) as { readonly [K in keyof typeof optional]?: NonNullable<(typeof optional)[K]> }),
      ...(second === null ? {} : { compare: second }),
      query: { ...(flags.queryStyle === undefined ? {} : { style: flags.queryStyle }), ...(flags.query === undefined ? {} : { template: flags.query }) },
      samples: wholeNumber('--samples', flags.samples, 1),
      seed: wholeNumber('--seed', flags.seed),
      cacheDir: cacheFolder(config),
      identity: identityOf(config),
      clip: { source: visionEncoder, ...(threads === undefined ? {} : { threads }) },
      fetchPicture: (url: string) => fetcher.fetch(url, signal),
      onProgress: (progress: EvaluationProgress) => bars.show(progress),
      signal,
    };
    const { result, html } = await runEvaluation(engine, task, request, commandLine(task, flags));
    bars.end();
    const folder = resolve(config.FROMAGE_DATA_DIR, 'reports');
    mkdirSync(folder, { recursive: true });
    const name = join(folder, `${task}-${new Date().toISOString().replace(/[:.]/g, '-')}`);
    writeFileSync(`${name}.html`, html);
    writeFileSync(`${name}.json`, `${JSON.stringify(result, null, 2)}\n`);
    if (!flags.json) process.stdout.write(`${JSON.stringify(result, null, 2)}\nreport: ${pathToFileURL(`${name}.html`).href}\n`);
    process.stdout.write(`${JSON.stringify({ ...result, report: `${name}.html` })}\n`);
  } catch (error) {
    bars.end();
    if (!signal.aborted) throw error;
    process.stderr.write('stopped; the same command with --resume goes on from there\n');
    process.exitCode = 130;
  } finally {
    await Promise.all([engine.close(), fetcher.close()]);
  }
}

/** @returns the id, named after the folder */
async function loadSecond(engine: Engine, loaded: readonly AdapterInfo[], folder: string): Promise<string> {
  const name = basename(resolve(folder));
  const id = loaded.some((adapter) => adapter.id === name) ? `${name}, the second` : name;
  await engine.loadAdapter(resolve(folder), id);
  return id;
}

/** What the engine's own facts leave out: which folders the frozen models come from. */
function identityOf(config: Parameters<typeof modelOptions>[0]): string {
  const { model, lm, vision, weights } = modelOptions(config);
  return createHash('sha256').update(JSON.stringify([model, lm, vision, weights])).digest('hex');
}

function place(path: string | undefined): string | undefined {
  return path === undefined ? undefined : resolve(path);
}

function wholeNumber(name: string, text: string, least = 0): number {
  const value = number(name, text);
  if (!Number.isSafeInteger(value) || value < least) throw new FromageError({ code: 'CLI_OPTION', what: `${name} ${text} is not a whole number of at least ${least}` });
  return value;
}

/** The options that were given, for the report. */
function commandLine(task: string, flags: EvaluateFlags): string {
  const words = Object.entries(flags).flatMap(([name, value]) => {
    const flag = `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
    if (value === true) return [flag];
    return (Array.isArray(value) ? value : [value]).flatMap((each: unknown) => (typeof each === 'string' ? [flag, /[^\w./:@=-]/.test(each) ? JSON.stringify(each) : each] : []));
  });
  return ['npx fromage evaluate', task, ...words].join(' ');
}

function createBars(quiet: boolean): { show(progress: EvaluationProgress): void; end(): void } {
  let current: { readonly stage: string; readonly bar: Progress } | null = null;
  return {
    show({ stage, unit, done, total }) {
      if (current?.stage !== stage) {
        current?.bar.end();
        current = { stage, bar: createProgress(stage, unit, quiet) };
      }
      current.bar.update(done, total);
    },
    end: () => current?.bar.end(),
  };
}
