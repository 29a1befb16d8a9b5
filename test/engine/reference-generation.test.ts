// The authors' generation: each quirk, as theirs and mended, on a golden model and on hand-made tokens.
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { generateReferenceTokens, interleaveReference, mendedQuirks, referenceQuirks, truncateCaption, type ReferenceImages } from '../../src/engine/index.ts';
import { encodePrompt, loadFromage, openTokenizerOf, type EncodedPrompt, type FromageModel } from '../../src/model/index.ts';
import type { AddedToken, PromptSegment } from '../../src/model/types.ts';
import { withFromageTokens, type Tokenizer } from '../../src/tokenizer/index.ts';

const folder = resolve(import.meta.dirname, '../../../shared/golden/fromage-k1');
const present = existsSync(folder);
const withGolden = present ? test : test.skip; // skipped where ../shared is not there
const cacheDir = mkdtempSync(join(tmpdir(), 'fromage-reference-'));

interface Expected {
  readonly image_token_idx: number;
  readonly image_token_embedding: number[];
  readonly images: { readonly file: string; readonly pooled: number[] }[];
  readonly prompts: { readonly prompt: ({ readonly text: string } | { readonly image: string })[]; readonly text_retrieval_embedding_last: number[] }[];
}

let model: FromageModel;
let expected: Expected;
let added: AddedToken[];
beforeAll(async () => {
  if (!present) return;
  model = await loadFromage({ model: folder, weights: 'fp32', cacheDir, threads: 1 });
  expected = JSON.parse(readFileSync(join(folder, 'expected.json'), 'utf8')) as Expected;
  added = [{ id: expected.image_token_idx, row: Float32Array.from(expected.image_token_embedding) }];
});
afterAll(async () => {
  await model?.close();
  rmSync(cacheDir, { recursive: true, force: true });
});

function prompt(index: number): EncodedPrompt {
  const segments = expected.prompts[index]!.prompt.map((part): PromptSegment => {
    if ('text' in part) return { type: 'text', text: part.text, trusted: true };
    return { type: 'image', image: { pooled: Float32Array.from(expected.images.find((image) => image.file === part.image)!.pooled) } };
  });
  return encodePrompt({ kind: 'segments', segments }, { tokenizer: model.tokenizer, languageModel: model.languageModel, adapter: model.adapter, added, maxPositions: 128, style: 'qa', pooledOf: (image) => ('pooled' in image ? image.pooled : new Float32Array()) });
}
const rows = () => ({ languageModel: model.languageModel, adapter: model.adapter, added });

withGolden('a last [RET] has no embedding in the reference; fed once more, it has the one of its own position', async () => {
  const options = { numWords: 3, retScaleFactor: 100 };
  const theirs = await generateReferenceTokens(prompt(0), rows(), { ...options, quirks: referenceQuirks });
  const ours = await generateReferenceTokens(prompt(0), rows(), { ...options, quirks: { ...referenceQuirks, lastRet: 'fed' } });
  expect(theirs.ids).toEqual([401, 401, 401]);
  expect(theirs.embeddings[2]).toBeNull();
  const longer = await generateReferenceTokens(prompt(0), rows(), { ...options, numWords: 4, quirks: referenceQuirks });
  ours.embeddings[2]!.forEach((value, i) => expect(value).toBeCloseTo(longer.embeddings[2]![i]!, 5));
});

withGolden('without new words, [RET] after a picture is looked up at its true position when mended', async () => {
  const theirs = await generateReferenceTokens(prompt(5), rows(), { numWords: 0, quirks: referenceQuirks });
  const ours = await generateReferenceTokens(prompt(5), rows(), { numWords: 0, quirks: mendedQuirks });
  expect(ours.ids.at(-1)).toBe(401);
  const truth = expected.prompts[5]!.text_retrieval_embedding_last;
  ours.embeddings.at(-1)!.forEach((value, i) => expect(value).toBeCloseTo(truth[i]!, 4));
  expect(Math.abs(theirs.embeddings.at(-1)![0]! - truth[0]!)).toBeGreaterThan(0.01);
});

withGolden('mended, a large factor makes [RET] come at every step, and 0 bans it', async () => {
  const count = async (retScale: 'reference' | 'signed', retScaleFactor: number): Promise<number> =>
    (await generateReferenceTokens(prompt(4), rows(), { numWords: 6, retScaleFactor, quirks: { ...referenceQuirks, retScale } })).ids.filter((id) => id === 401).length;
  expect(await count('signed', 1)).toBe(0);
  expect(await count('signed', 1000)).toBe(6);
  expect(await count('signed', 0)).toBe(0);
});

withGolden('one seed gives one answer, another seed another', async () => {
  const sample = (seed: number) => generateReferenceTokens(prompt(0), rows(), { numWords: 8, temperature: 1.5, topP: 0.95, seed });
  expect((await sample(1)).ids).toEqual((await sample(1)).ids);
  expect((await sample(1)).ids).not.toEqual((await sample(2)).ids);
});

/** Tokens of the starter's vocabulary, each with an embedding that names its place. */
function tokens(tokenizer: Tokenizer, text: string) {
  const ids = tokenizer.encode(text, { trusted: true });
  return { ids, embeddings: ids.map((_, at) => Float32Array.of(at)) };
}
function pictures(order: readonly number[], broken: readonly number[] = []): ReferenceImages<number> {
  const scores = new Float32Array(order.length);
  order.forEach((index, rank) => (scores[index] = -rank));
  return { scores: () => scores.slice(), load: async (index) => (broken.includes(index) ? null : index) };
}

let starter: Tokenizer;
beforeAll(() => {
  starter = withFromageTokens(openTokenizerOf(resolve(import.meta.dirname, '../../models/starter/SmolLM2-135M-Instruct.Q4_1.gguf')), 49_152);
});

test('pictures shown before are pushed back, those that do not load are passed over within three more tries', async () => {
  const options = { numWords: 9, maxNumRets: 2, maxImgPerRet: 2, quirks: referenceQuirks };
  const text = tokens(starter, 'one[RET] two[RET] three');
  expect(await interleaveReference(text, starter, pictures([4, 3, 2, 1, 0]), options)).toEqual(['one [RET]', [4, 3], ' two [RET]', [2, 1]]);
  expect(await interleaveReference(text, starter, pictures([4, 3, 2, 1, 0], [4, 2]), options)).toEqual(['one [RET]', [3, 1], ' two [RET]', [0, 3]]);
  const many = pictures([9, 8, 7, 6, 5, 4, 3, 2, 1, 0], [9, 8, 7, 6]);
  expect(await interleaveReference(text, starter, many, { ...options, maxNumRets: 1 })).toEqual(['one [RET]', [5]]);
});

test('text after the last served [RET] is dropped by the reference and kept when mended', async () => {
  const text = tokens(starter, 'one[RET] two[RET] three. Four');
  const images = pictures([0, 1, 2]);
  expect(await interleaveReference(text, starter, images, { numWords: 9, quirks: referenceQuirks })).toEqual(['one [RET]', [0]]);
  expect(await interleaveReference(text, starter, images, { numWords: 9, maxNumRets: 2 })).toEqual(['one [RET]', [0], ' two [RET]', [1], ' three.']);
});

test('everything from the first line break on is dropped unless it comes first, and captions end at their first full stop', async () => {
  const images = pictures([0]);
  const of = (text: string) => interleaveReference(tokens(starter, text), starter, images, { numWords: 9, quirks: referenceQuirks });
  expect(await of('a dog. It runs\nfar[RET]')).toEqual(['a dog.']);
  expect(await of('\na dog. It')).toEqual(['\n']);
  expect(truncateCaption('a. b\nc')).toBe('a. b\n');
  expect(truncateCaption('no end')).toBe('no end');
});

test('a served [RET] without a state makes the reference fail', async () => {
  const text = tokens(starter, 'one[RET]');
  const last = { ...text, embeddings: text.embeddings.map((embedding, at) => (at === text.ids.length - 1 ? null : embedding)) };
  expect(await interleaveReference(last, starter, pictures([0]), { numWords: 9, quirks: referenceQuirks })).toBeNull();
});
