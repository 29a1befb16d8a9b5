// A run's folder: config.json, metrics.jsonl, checkpoint.safetensors, best.safetensors, plots, and in the
// end the adapter.
import { appendFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { FromageError } from '../errors.ts';
import { writeFileWhole } from '../formats/index.ts';
import { type TrainConfig, trainConfigSchema } from './config.ts';
import { drawPlot, type PlotLine } from './plot.ts';

export type MetricLine = Readonly<Record<string, string | number | null>>;

/** What may differ when a run is resumed: where things lie, how quickly they go, and in how much memory. */
const free = new Set<keyof TrainConfig>(['run', 'cacheDir', 'threads', 'checkpointEvery', 'recomputeLayers']);

export class RunFolder {
  readonly path: string;
  readonly checkpoint: string;
  readonly best: string;
  readonly adapter: string;
  readonly retStates: string;

  constructor(path: string) {
    this.path = path;
    this.checkpoint = join(path, 'checkpoint.safetensors');
    this.best = join(path, 'best.safetensors');
    this.adapter = join(path, 'adapter');
    this.retStates = join(path, 'ret-states.safetensors');
  }

  /**
   * Makes the folder, or checks that it belongs to this configuration. One that holds no step yet takes any.
   *
   * @throws FromageError `TRAINING_RESUME` naming what differs
   */
  open(config: TrainConfig): void {
    const file = join(this.path, 'config.json');
    const before = existsSync(file) ? configOf(file) : null;
    if (before === null || !existsSync(this.checkpoint)) {
      mkdirSync(this.path, { recursive: true });
      this.#write('config.json', `${JSON.stringify(config, null, 2)}\n`);
      return;
    }
    const keys = new Set([...Object.keys(before), ...Object.keys(config)] as (keyof TrainConfig)[]);
    const different = [...keys].filter((key) => !free.has(key) && JSON.stringify(before[key]) !== JSON.stringify(config[key]));
    if (different.length === 0) return;
    throw new FromageError({ code: 'TRAINING_RESUME', what: `${this.path} holds a run with other settings: ${different.join(', ')}`, why: 'a run is resumed with the settings that it began with', todo: 'name another run folder, or the settings of its config.json' });
  }

  /** Drops metrics of steps that will be taken again. */
  truncateMetrics(step: number): void {
    const kept = this.metrics().filter((line) => typeof line['step'] === 'number' && line['step'] <= step);
    this.#write('metrics.jsonl', kept.map((line) => `${JSON.stringify(line)}\n`).join(''));
  }

  appendMetric(line: MetricLine): void {
    appendFileSync(join(this.path, 'metrics.jsonl'), `${JSON.stringify(line)}\n`);
  }

  metrics(): MetricLine[] {
    const file = join(this.path, 'metrics.jsonl');
    if (!existsSync(file)) return [];
    return readFileSync(file, 'utf8').split('\n').flatMap((line) => {
      try {
        return line === '' ? [] : [JSON.parse(line) as MetricLine];
      } catch {
        // The last line of a run that was killed.
        return [];
      }
    });
  }

  writeText(name: string, text: string): void {
    this.#write(name, text);
  }

  /** Losses and recall over steps as SVG. */
  writePlots(): void {
    const metrics = this.metrics();
    const line = (name: string, type: string, key: string, times = 1): PlotLine => ({ name, points: metrics.flatMap((metric) => (metric['type'] === type && typeof metric[key] === 'number' ? [[metric['step'] as number, times * metric[key]] as const] : [])) });
    mkdirSync(join(this.path, 'plots'), { recursive: true });
    this.#write('plots/losses.svg', drawPlot({ title: 'Losses', x: 'step', y: 'nats', lines: [line('captioning', 'step', 'captioning'), line('retrieval', 'step', 'retrieval'), line('text to image', 'step', 'textToImage'), line('image to text', 'step', 'imageToText'), line('captioning, held out', 'validation', 'captionLoss')] }));
    this.#write('plots/recall.svg', drawPlot({ title: 'Recall on held-out pairs', x: 'step', y: 'recall in percent', lines: ['1', '5', '10'].flatMap((k) => [line(`text to image @${k}`, 'validation', `t2iRecallAt${k}`, 100), line(`image to text @${k}`, 'validation', `i2tRecallAt${k}`, 100)]) }));
  }

  #write(name: string, text: string): void {
    writeFileWhole(join(this.path, name), [Buffer.from(text)]);
  }
}

/** With defaults for what was no setting yet when the run began. */
function configOf(file: string): TrainConfig {
  try {
    return trainConfigSchema.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch (cause) {
    throw new FromageError({ code: 'TRAINING_RESUME', what: `${file} is not the configuration of a run`, why: 'the folder holds something else, or the file is damaged', todo: 'name another run folder', cause });
  }
}
