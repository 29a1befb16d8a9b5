// What quantisation costs: the perplexity of the served weights over the exact ones, on the same texts.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { loadLanguageModel, openTokenizerOf } from '../../model/index.ts';
import type { LanguageModel } from '../../model/types.ts';
import { logSoftmaxAt } from '../../tensor/index.ts';
import type { Tokenizer } from '../../tokenizer/index.ts';
import { createProgress } from '../progress.ts';

const ownTexts = fileURLToPath(new URL('../../../bench/texts.txt', import.meta.url));
const maxTexts = 1000;
const rowsAtOnce = 16;

export interface QualityOptions {
  readonly source: string;
  readonly cacheDir: string;
  readonly threads: number;
  /** `caption<TAB>image` with a header; the project's own texts when null. */
  readonly captions: string | null;
  readonly quiet: boolean;
}

/** @returns perplexity of `served` divided by that of the exact float32 weights */
export async function compareQuality(served: LanguageModel, options: QualityOptions): Promise<{ ratio: number; texts: number }> {
  const tokenizer = openTokenizerOf(options.source);
  const texts = readTexts(options.captions);
  const bar = createProgress('perplexity', 'texts', options.quiet);
  const exact = await loadLanguageModel({ source: options.source, weights: 'fp32', threads: options.threads, cacheDir: options.cacheDir });
  let servedLoss = 0;
  let exactLoss = 0;
  let tokens = 0;
  for (let i = 0; i < texts.length; i += rowsAtOnce) {
    const rows = texts.slice(i, i + rowsAtOnce).map((text) => encode(tokenizer, text)).filter((row) => row.length > 1);
    tokens += rows.reduce((sum, row) => sum + row.length - 1, 0);
    servedLoss += await loss(served, rows);
    exactLoss += await loss(exact, rows);
    bar.update(Math.min(i + rowsAtOnce, texts.length), texts.length);
  }
  bar.end();
  await exact.close();
  return { ratio: Math.exp((servedLoss - exactLoss) / tokens), texts: texts.length };
}

/** Summed negative log-likelihood of every token but the first of each row. */
async function loss(model: LanguageModel, rows: readonly (readonly number[])[]): Promise<number> {
  const { logits } = await model.step(
    model.createCache(rows.length),
    rows.map((ids, slot) => ({ slot, embeds: model.embed(ids), select: ids.slice(1).map((_, position) => position) })),
  );
  const { vocabSize } = model.config;
  let at = 0;
  let sum = 0;
  for (const ids of rows) {
    for (const id of ids.slice(1)) {
      sum -= logSoftmaxAt(logits.subarray(at * vocabSize, (at + 1) * vocabSize), id);
      at += 1;
    }
  }
  return sum;
}

function encode(tokenizer: Tokenizer, text: string): readonly number[] {
  return tokenizer.encode(text, { trusted: false });
}

function readTexts(captions: string | null): string[] {
  const lines = readFileSync(captions ?? ownTexts, 'utf8').split('\n').filter((line) => line.trim() !== '');
  if (captions === null) return lines;
  // One caption of each picture, in the order of the file: five of a picture are nearly the same text.
  const seen = new Set<string>();
  const texts: string[] = [];
  for (const line of lines.slice(1)) {
    const [caption = '', image = ''] = line.split('\t');
    if (seen.has(image) || texts.length >= maxTexts) continue;
    seen.add(image);
    texts.push(caption);
  }
  return texts;
}
