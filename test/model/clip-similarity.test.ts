// CLIP's text tower and tokenizer against transformers (test/model/clip-tiny/make.py writes what it says).
import { cpSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { writeSafetensors } from '../../src/formats/index.ts';
import { loadClipSimilarity, loadVisionEncoder } from '../../src/model/index.ts';
import { dot } from '../../src/tensor/index.ts';
import { openClipTokenizer } from '../../src/tokenizer/index.ts';

interface Expected {
  readonly texts: readonly string[];
  readonly ids: readonly (readonly number[])[];
  readonly pixels: readonly number[];
  readonly cases: readonly { readonly hidden_act: string; readonly eos_token_id: number; readonly text_embeds: number[][]; readonly image_embeds: number[][]; readonly similarity: number[][] }[];
}

const golden = join(import.meta.dirname, 'clip-tiny');
const expected = JSON.parse(readFileSync(join(golden, 'expected.json'), 'utf8')) as Expected;
const root = realpathSync(mkdtempSync(join(tmpdir(), 'fromage-clip-')));
afterAll(() => rmSync(root, { recursive: true, force: true }));

let folders = 0;
type Config = Record<'text_config' | 'vision_config', Record<string, unknown>> & Record<string, unknown>;
function variant(change: (config: Config, folder: string) => void): string {
  const folder = join(root, String(folders++));
  cpSync(golden, folder, { recursive: true });
  const config = JSON.parse(readFileSync(join(golden, 'config.json'), 'utf8')) as Config;
  change(config, folder);
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
  return folder;
}

function worst(actual: readonly ArrayLike<number>[], wanted: readonly (readonly number[])[]): number {
  expect(actual.length).toBe(wanted.length);
  return Math.max(...wanted.map((row, i) => Math.max(...row.map((value, j) => Math.abs(value - actual[i]![j]!)))));
}

describe('the tokenizer', () => {
  test.each(expected.texts.map((text, i) => [text, expected.ids[i]!] as const))('%j has the ids that transformers gives', (text, ids) => {
    expect(openClipTokenizer(golden).encode(text, 77)).toEqual(ids);
  });

  test('tokenizer.json gives the same', () => {
    const folder = variant((_, here) => {
      const vocab = JSON.parse(readFileSync(join(here, 'vocab.json'), 'utf8')) as Record<string, number>;
      const merges = readFileSync(join(here, 'merges.txt'), 'utf8').trim().split('\n').slice(1).map((line) => line.split(' '));
      rmSync(join(here, 'merges.txt'));
      const { '<|endoftext|>': end, ...rest } = vocab;
      writeFileSync(join(here, 'tokenizer.json'), JSON.stringify({ added_tokens: [{ id: end, content: '<|endoftext|>', special: true }], model: { type: 'BPE', vocab: rest, merges } }));
    });
    const tokenizer = openClipTokenizer(folder);
    expect(expected.texts.map((text) => tokenizer.encode(text, 77))).toEqual(expected.ids);
  });

  test('a text that spells a special token stays text', () => {
    const tokenizer = openClipTokenizer(golden);
    const ids = tokenizer.encode('a <|endoftext|> b', 77);
    expect(ids.indexOf(tokenizer.endId)).toBe(ids.length - 1);
    expect(ids.length).toBeGreaterThan(5);
  });

  test('another tokenizer is refused', () => {
    const folder = variant((_, here) => writeFileSync(join(here, 'vocab.json'), '{"a":0}'));
    expect(() => openClipTokenizer(folder)).toThrow(expect.objectContaining({ code: 'TOKENIZER_FILE' }));
  });
});

describe.each(expected.cases)('$hidden_act with the end token $eos_token_id in the configuration', ({ hidden_act, eos_token_id, text_embeds, image_embeds, similarity }) => {
  test('texts, pictures and their similarity are what transformers gives', async () => {
    const source = variant((config) => {
      config.text_config['hidden_act'] = hidden_act;
      config.text_config['eos_token_id'] = eos_token_id;
      config.vision_config['hidden_act'] = hidden_act;
    });
    const [clip, vision] = await Promise.all([loadClipSimilarity({ source, threads: 1 }), loadVisionEncoder({ source, threads: 1 })]);
    try {
      const texts = await clip.embedTexts(expected.texts);
      expect(worst(texts, text_embeds)).toBeLessThan(2e-6);
      const pooled = await vision.encode(Float32Array.from(expected.pixels), 2);
      const pictures = clip.projectPictures([pooled.subarray(0, 12), pooled.subarray(12)]);
      expect(worst(pictures, image_embeds)).toBeLessThan(2e-6);
      expect(worst(texts.map((text) => pictures.map((picture) => dot(text, 0, picture, 0, text.length))), similarity)).toBeLessThan(3e-6);
      // Alone, without the others' padding.
      expect(worst(await clip.embedTexts([expected.texts[2]!]), [text_embeds[2]!])).toBeLessThan(2e-6);
      expect(await clip.embedTexts([])).toEqual([]);
    } finally {
      await Promise.all([clip.close(), vision.close()]);
    }
  });
});

describe('what is no whole CLIP is told with its reason', () => {
  const codeOf = async (source: string): Promise<unknown> => loadClipSimilarity({ source, threads: 1 }).then(() => 'loaded', ({ code, why }: { code: string; why?: string }) => [code, why]);
  const vision = { 'vision_model.embeddings.patch_embedding.weight': { shape: [12, 3, 5, 5], data: new Float32Array(12 * 75) } };
  const token = { 'text_model.embeddings.token_embedding.weight': { shape: [579, 12], data: new Float32Array(579 * 12) } };

  test.each([
    ['a vision tower alone', vision, 'its weights are a vision tower alone'],
    ['towers without projections', { ...vision, ...token }, expect.stringContaining('no projections')],
  ])('%s', async (_, tensors, why) => {
    const source = variant((__, here) => writeSafetensors(join(here, 'model.safetensors'), new Map(Object.entries(tensors))));
    expect(await codeOf(source)).toEqual(['MODEL_TEXT_TOWER', why]);
  });

  test('no text_config, no tokenizer, a tokenizer of another model, another size', async () => {
    expect(await codeOf(variant((config) => Reflect.deleteProperty(config, 'text_config')))).toEqual(['MODEL_TEXT_TOWER', 'its config.json has no text_config']);
    expect(await codeOf(variant((_, here) => rmSync(join(here, 'vocab.json'))))).toEqual(['TOKENIZER_MISSING', undefined]);
    expect(await codeOf(variant((config) => (config.text_config['vocab_size'] = 500)))).toEqual(['MODEL_TEXT_TOWER', expect.stringContaining('579 entries')]);
    expect(await codeOf(variant((config) => (config.text_config['intermediate_size'] = 24)))).toEqual(['MODEL_VISION_SHAPE', expect.any(String)]);
  });

  test('an end token that the tokenizer does not write', async () => {
    const clip = await loadClipSimilarity({ source: variant((config) => (config.text_config['eos_token_id'] = 5)), threads: 1 });
    await expect(clip.embedTexts(['a'])).rejects.toMatchObject({ code: 'MODEL_VISION_CONFIG' });
    await clip.close();
  });
});
