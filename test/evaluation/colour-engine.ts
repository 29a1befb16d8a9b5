// An engine whose answers can be worked out on paper: a picture is its mean colour, a text the sum of the
// colours that it names, a prompt the sum of its texts and pictures.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Engine, EngineInfo, GenerateEvent, Prompt, PromptSegment } from '../../src/engine/types.ts';
import { l2Normalize } from '../../src/tensor/index.ts';
import { decodePicture } from '../../src/vision/index.ts';
import { fromRgb } from '../vision/drawn.ts';

export const colours: Readonly<Record<string, readonly [number, number, number]>> = {
  red: [1, 0, 0],
  green: [0, 1, 0],
  blue: [0, 0, 1],
  yellow: [1, 1, 0],
  cyan: [0, 1, 1],
  magenta: [1, 0, 1],
  white: [1, 1, 1],
};

export function colour(name: string): Float32Array {
  return l2Normalize(Float32Array.from(colours[name]!));
}

/** PNG files of single colours. @param files name of the file -> name of the colour */
export async function drawColours(folder: string, files: Readonly<Record<string, string>>): Promise<void> {
  mkdirSync(folder, { recursive: true });
  for (const [file, name] of Object.entries(files)) {
    const rgb = Uint8Array.from({ length: 16 * 16 * 3 }, (_, i) => colours[name]![i % 3]! * 255);
    writeFileSync(join(folder, file), await fromRgb(rgb, 16, 16).png().toBuffer());
  }
}

export interface ColourEngine extends Engine {
  readonly embedded: Prompt[];
  readonly scored: { readonly prompt: Prompt; readonly candidates: readonly string[] }[];
  readonly encoded: { count: number };
  readonly generated: Prompt[];
}

/**
 * Adapter `swapped` takes red for green, so that it is worse.
 *
 * @param answer what `generate` says to a prompt; a `[RET]` in it shows a picture
 */
export function colourEngine(answer: (text: string, picture: Float32Array | null) => string = () => ''): ColourEngine {
  const adapters = ['colours', 'swapped'].map((id) => ({ id, visualTokens: 1, retrievalDim: 3, hash: `hash of ${id}`, visualHash: id, metadata: {} }));
  const info: EngineInfo = { model: 'colours', family: 'opt', device: 'cpu', weights: 'fp32', hiddenSize: 3, visionHiddenSize: 3, vocabSize: 1, contextWindow: 1000, promptStyle: 'plain', visionHash: 'eyes', servingAdapter: 'colours', adapters };
  const see = (vector: Float32Array, adapter = 'colours') => (adapter === 'swapped' ? Float32Array.of(vector[1]!, vector[0]!, vector[2]!) : vector);
  const embedded: Prompt[] = [];
  const scored: { prompt: Prompt; candidates: readonly string[] }[] = [];
  const generated: Prompt[] = [];
  const encoded = { count: 0 };
  const engine: ColourEngine = {
    embedded,
    scored,
    encoded,
    generated,
    ready: async () => info,
    info: async () => info,
    stats: () => Promise.reject(new Error('not asked here')),
    async *generate({ prompt, adapter }): AsyncGenerator<GenerateEvent> {
      generated.push(prompt);
      const text = answer(textOf(prompt), pictures(prompt)[0] ?? null);
      const at = text.indexOf('[RET]');
      if (at >= 0) yield { type: 'ret', embedding: sumOf(prompt), after: at, probability: 0.9 };
      const usage = { promptTokens: 1, cachedTokens: 0, newTokens: 1, droppedTurns: 0, queuedMs: 0, firstTokenMs: 0, totalMs: 0 };
      yield { type: 'end', reason: 'stop', text: text.replace('[RET]', ''), tokenIds: [1], seed: 1, adapter: adapter ?? 'colours', retProbability: at >= 0 ? 0.9 : 0.1, usage };
    },
    async encodeImages(images) {
      encoded.count += images.length;
      return Promise.all(
        images.map(async (bytes) => {
          try {
            const { data } = await decodePicture(bytes);
            return Float32Array.of(data[0]! / 255, data[1]! / 255, data[2]! / 255);
          } catch (error) {
            return error as Error;
          }
        }),
      );
    },
    projectImages: async (pooled, _, length = 'unit') => pooled.map((each) => (length === 'unit' ? l2Normalize(each) : each)),
    async embedPrompts(prompts, adapter) {
      embedded.push(...prompts);
      return prompts.map((prompt) => see(sumOf(prompt), adapter));
    },
    async scoreCandidates(prompt, candidates, adapter) {
      scored.push({ prompt, candidates });
      const picture = l2Normalize(pictures(prompt)[0]!);
      return candidates.map((text) => see(named(text), adapter).reduce((sum, value, i) => sum + value * picture[i]!, 0));
    },
    loadAdapter: async () => adapters[0]!,
    serveAdapter: async () => undefined,
    unloadAdapter: async () => undefined,
    close: async () => undefined,
  };
  return engine;
}

export function segmentsOf(prompt: Prompt): readonly PromptSegment[] {
  return prompt.kind === 'segments' ? prompt.segments : prompt.turns.flatMap(({ parts }) => parts);
}

export function textOf(prompt: Prompt): string {
  return segmentsOf(prompt).flatMap((each) => (each.type === 'text' ? [each.text] : [])).join('|');
}

function pictures(prompt: Prompt): Float32Array[] {
  return segmentsOf(prompt).flatMap((each) => (each.type === 'image' && 'pooled' in each.image ? [each.image.pooled] : []));
}

function sumOf(prompt: Prompt): Float32Array {
  const sum = named(textOf(prompt));
  for (const picture of pictures(prompt)) l2Normalize(picture).forEach((value, i) => (sum[i] = sum[i]! + value));
  return l2Normalize(sum);
}

function named(text: string): Float32Array {
  const sum = new Float32Array(3);
  for (const word of text.toLowerCase().match(/[a-z]+/g) ?? []) if (colours[word]) colour(word).forEach((value, i) => (sum[i] = sum[i]! + value));
  return sum;
}
