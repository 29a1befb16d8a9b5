// `fromage bench`: our engine's parts beside node-llama-cpp on the same weights with the same threads,
// interleaved round by round, so that a noisy machine is noisy for both. Ratios are medians over rounds.
import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { modelOptions, openEngine } from '../../app/index.ts';
import { findSources } from '../../model/index.ts';
import { configuration } from '../configuration.ts';
import { interruptSignal } from '../interrupt.ts';
import { createProgress } from '../progress.ts';
import { firstWordMs } from '../bench/first-word.ts';
import { median, ratios } from '../bench/median.ts';
import { startOurs, startPeer } from '../bench/sides.ts';
import { number } from './generate.ts';

const batches = [1, 4, 8] as const;
const context = 128;
const steps = 24;
const promptLength = 256;

interface BenchOptions extends Record<string, unknown> {
  readonly rounds: string;
  readonly captions?: string;
  readonly peer: boolean;
  readonly json?: boolean;
}

export async function benchEngine(options: BenchOptions): Promise<void> {
  const config = configuration(options);
  const threads = config.FROMAGE_THREADS ?? 1;
  const rounds = number('--rounds', options.rounds);
  const signal = interruptSignal();
  const say = (line: string) => (options.json ? undefined : process.stdout.write(`${line}\n`));
  const source = (await findSources(modelOptions(config))).languageModel;
  const cacheDir = join(config.FROMAGE_DATA_DIR, 'cache');
  const model = await startOurs({ source, weights: config.FROMAGE_WEIGHTS, threads, cacheDir });
  const peer = options.peer && source.endsWith('.gguf') ? await startPeer(source, threads, say) : null;
  say(`${basename(source)}, weights ${model.weights}, ${threads} thread(s), ${rounds} rounds${peer ? ` beside ${peer.name}` : ''}`);

  const ours: Record<string, number[]> = { prefill: [], 1: [], 4: [], 8: [] };
  const theirs: Record<string, number[]> = { prefill: [], 1: [], 4: [], 8: [] };
  const bar = createProgress('measuring', 'rounds', options.json);
  for (let round = 0; round < rounds; round++) {
    signal.throwIfAborted();
    for (const batch of batches) {
      ours[batch]!.push(await model.decode(batch, context, steps));
      if (peer) theirs[batch]!.push(await peer.decode(batch, context, steps));
    }
    ours['prefill']!.push(await model.prefill(promptLength));
    if (peer) theirs['prefill']!.push(await peer.prefill(promptLength));
    bar.update(round + 1, rounds);
  }
  bar.end();
  const memory = model.residentBytes() / 2 ** 20;
  peer?.close();
  const quality = await model.quality({ source, cacheDir, threads, captions: options.captions ?? null, quiet: options.json ?? false });
  model.close();
  const whole = await measureEngine(config, threads);

  const result = {
    threads,
    weights: model.weights,
    ppl_ratio: round4(quality.ratio),
    ppl_texts: quality.texts,
    decode: Object.fromEntries(batches.map((batch) => [batch, round4(median(ours[batch]!))])),
    prefill: round4(median(ours['prefill']!)),
    first_word_ms: round4(whole.firstWordMs),
    image_encode: round4(whole.imagesPerSecond),
    memory_mb: Math.round(memory),
    ...(peer
      ? {
          peer: { name: peer.name, decode: Object.fromEntries(batches.map((batch) => [batch, round4(median(theirs[batch]!))])), prefill: round4(median(theirs['prefill']!)) },
          ratio: { decode: Object.fromEntries(batches.map((batch) => [batch, round4(median(ratios(ours[batch]!, theirs[batch]!)))])), prefill: round4(median(ratios(ours['prefill']!, theirs['prefill']!))) },
        }
      : {}),
  };
  if (!options.json) process.stdout.write(table(result));
  process.stdout.write(`${JSON.stringify(result)}\n`);
}

/** Through the whole engine in its own process: a short question to its first word, and pictures a second. */
async function measureEngine(config: Parameters<typeof openEngine>[0], threads: number): Promise<{ firstWordMs: number; imagesPerSecond: number }> {
  const engine = await openEngine({ ...config, FROMAGE_THREADS: threads });
  try {
    await engine.ready();
    const picture = new Uint8Array(await readFile(new URL('../../../docs/picture.jpg', import.meta.url)));
    const waits: number[] = [];
    for (let i = 0; i < 5; i++) waits.push(await firstWordMs(engine, i));
    const count = 16;
    // A byte behind the end of a JPEG changes nothing but its hash: the engine remembers pictures it has seen.
    const another = (n: number) => new Uint8Array(Buffer.concat([picture, Uint8Array.of(n)]));
    await engine.encodeImages([another(count)]);
    const began = performance.now();
    await engine.encodeImages(Array.from({ length: count }, (_, n) => another(n)));
    return { firstWordMs: median(waits), imagesPerSecond: (count * 1000) / (performance.now() - began) };
  } finally {
    await engine.close();
  }
}

function table(result: Record<string, unknown>): string {
  return `${Object.entries(result)
    .map(([name, value]) => `${name.padEnd(14)} ${typeof value === 'object' ? JSON.stringify(value) : String(value)}`)
    .join('\n')}\n`;
}

function round4(value: number): number {
  return Number(value.toPrecision(4));
}

