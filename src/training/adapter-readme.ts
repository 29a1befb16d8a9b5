// The card that goes with an adapter: between which models it stands, what it learned from, under which
// terms, how long it took and how well it does. Holds no path of the machine that made it.
import { basename } from 'node:path';
import type { AdapterCard } from '../model/index.ts';
import type { TrainConfig } from './config.ts';

export interface DataFacts {
  readonly sources: readonly Readonly<Record<string, string | number | boolean>>[];
  readonly heldOut: string;
  readonly terms: string | null;
}

export function describeData({ data, validation, dataTerms }: TrainConfig): DataFacts {
  const places = new Set(['tsv', 'names', 'images', 'file']);
  const sources = data.map((source) => Object.fromEntries(Object.entries(source).flatMap(([key, value]) => (value === undefined ? [] : [[key, places.has(key) ? basename(String(value)) : value]]))));
  return { sources, heldOut: validation.tsv === undefined ? 'pictures of the training data, held out' : basename(validation.tsv), terms: dataTerms ?? null };
}

/** Every setting that shaped the result. */
export function describeTraining(config: TrainConfig): Readonly<Record<string, unknown>> {
  const { run: _run, cacheDir: _cacheDir, model: _model, lm: _lm, vision: _vision, from: _from, data: _data, validation: _validation, threads: _threads, checkpointEvery: _every, dataTerms: _terms, ...settings } = config;
  return settings;
}

export function adapterReadme(card: AdapterCard, facts: { readonly data: DataFacts; readonly metrics: Readonly<Record<string, unknown>>; readonly training: Readonly<Record<string, unknown>>; readonly made: string }): string {
  const { metrics } = facts;
  const percent = (key: string): string => (typeof metrics[key] === 'number' ? (100 * metrics[key]).toFixed(1) : '–');
  const seconds = typeof metrics['seconds'] === 'number' ? metrics['seconds'] : 0;
  const table = [
    '| held-out pairs | R@1 | R@5 | R@10 | median rank |',
    '| --- | --- | --- | --- | --- |',
    ...([['caption → picture', 't2i'], ['picture → caption', 'i2t']] as const).map(([name, key]) => `| ${name} (${String(metrics['pairs'] ?? '–')}) | ${percent(`${key}RecallAt1`)} | ${percent(`${key}RecallAt5`)} | ${percent(`${key}RecallAt10`)} | ${String(metrics[`${key}MedianRank`] ?? '–')} |`),
  ];
  return [
    `# FROMAGe adapter: ${card.languageModel?.id ?? 'language model'} ↔ ${card.visionEncoder?.id ?? 'visual encoder'}`,
    '',
    `Trained maps between a frozen language model and a frozen visual encoder: ${card.visualTokens} visual tokens, retrieval width ${card.retrievalDim}, hidden layers ${card.textLayers.join(', ')}, [RET] = id ${card.retTokenId}.${card.promptStyle ? ` Prompt form: ${card.promptStyle}.` : ''}`,
    '',
    '## Data',
    ...facts.data.sources.map((source) => `- ${Object.entries(source).map(([key, value]) => `${key}: ${String(value)}`).join(', ')}`),
    `- held out: ${facts.data.heldOut}`,
    '',
    `Terms of the data: ${facts.data.terms ?? 'not stated; the terms of the captions and pictures apply to what may be done with this adapter'}. They are apart from the licence of the program.`,
    '',
    '## Figures',
    ...table,
    '',
    `Caption cross entropy on held-out pairs: ${typeof metrics['captionLoss'] === 'number' ? metrics['captionLoss'].toFixed(3) : '–'} nats a token.`,
    '',
    '## Training',
    `${String(metrics['steps'])} steps in ${Math.round(seconds / 60)} minutes, ended ${facts.made}. Settings:`,
    '',
    '```json',
    JSON.stringify(facts.training, null, 2),
    '```',
    '',
  ].join('\n');
}
