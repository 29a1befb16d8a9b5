// Ordinary talk as training sequences: what is learned, what stands before it, names put into lines.
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, expect, test } from '@jest/globals';
import { openTokenizer, type Tokenizer, withFromageTokens } from '../../src/tokenizer/index.ts';
import { parseTrainConfig } from '../../src/training/index.ts';
import { picturesOf, readSource, type TalkExample } from '../../src/training/examples.ts';
import { createPromptForm } from '../../src/training/prompt-form.ts';
import { createRandom } from '../../src/training/random.ts';
import { writeTinyLlama } from '../tiny/language-model.ts';

let folder: string;
let tokenizer: Tokenizer;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'fromage-talk-'));
  writeTinyLlama(join(folder, 'lm'), 1);
  const plain = openTokenizer(join(folder, 'lm'));
  tokenizer = withFromageTokens(plain, plain.vocabSize);
});

const sequenceOf = (form: 'chat' | 'plain', example: TalkExample) => {
  const config = parseTrainConfig({ run: 'r', form, maxLength: 50, visualTokens: 2 });
  const made = createPromptForm(config, { tokenizer, chatTemplate: tokenizer.chatTemplate, endTokenId: tokenizer.eosTokenId ?? 0, features: ({ name }) => Float32Array.of(name.length) });
  return made.batch({ captions: [], texts: [{ source: { name: '', weight: 1, captioning: false, retrieval: true, examples: [] }, example }] }, createRandom(0, 'x')).texts[0]!;
};
const textOf = (ids: readonly number[]) => tokenizer.decode([...ids], { skipSpecial: false });

test('words are learned from the end of the prompt on, turns before them are only read', () => {
  const { tokenIds, labelAt, labels, picture } = sequenceOf('chat', { kind: 'talk', before: ['hi', 'hello'], user: 'how old', assistant: 'nine' });
  const prompt = tokenIds.slice(0, labelAt[0]! + 1);
  expect(textOf(prompt)).toBe('<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\nhello<|im_end|>\n<|im_start|>user\nhow old<|im_end|>\n<|im_start|>assistant\n');
  expect(textOf(labels)).toBe('nine<|im_end|>');
  expect(labelAt).toEqual(labels.map((_, i) => prompt.length - 1 + i));
  expect(picture).toBeNull();
});

test('[RET] alone is the token, in words it is text', () => {
  expect(sequenceOf('chat', { kind: 'talk', before: ['a cat', 'yes'], user: 'show one', assistant: '[RET]' }).labels).toEqual([tokenizer.retTokenId]);
  expect(sequenceOf('chat', { kind: 'talk', user: 'what is it', assistant: 'a [RET]' }).labels).not.toContain(tokenizer.retTokenId);
  expect(sequenceOf('chat', { kind: 'talk', before: ['[RET]', '[RET]'], user: '[RET]', assistant: 'no' }).tokenIds).not.toContain(tokenizer.retTokenId);
});

test('the plain form writes Q and A', () => {
  const { tokenIds, labels, labelAt } = sequenceOf('plain', { kind: 'talk', before: ['hi', 'hello'], user: 'how old', assistant: 'nine' });
  expect(textOf(tokenIds.slice(tokenizer.beginIds.length, labelAt[0]! + 1))).toBe('Q: hi\nA: hello\nQ: how old\nA:');
  expect(textOf(labels)).toBe(' nine\n');
  expect(sequenceOf('plain', { kind: 'talk', user: 'show one', assistant: '[RET]' }).labels).toEqual([tokenizer.retTokenId]);
});

test('a line with {} becomes a dozen lines with names, the same in every run', async () => {
  const [file, names] = [join(folder, 'talk.jsonl'), join(folder, 'names.json')];
  writeFileSync(file, '{"user":"hi","assistant":"hello"}\n{"before":["What is {}?","A {}."],"user":"Show me one","assistant":"[RET]"}\n');
  writeFileSync(names, JSON.stringify(Array.from({ length: 30 }, (_, i) => ({ file: `${i}.png`, name: `thing ${i}` }))));
  const { examples } = await readSource({ kind: 'talk', file, names, weight: 1 });
  expect(examples).toHaveLength(13);
  expect(new Set(examples.map((example) => JSON.stringify(example))).size).toBe(13);
  expect(examples[1]).toEqual({ kind: 'talk', before: [expect.stringMatching(/^What is thing \d+\?$/), expect.stringMatching(/^A thing \d+\.$/)], user: 'Show me one', assistant: '[RET]' });
  expect((await readSource({ kind: 'talk', file, names, weight: 1 })).examples).toEqual(examples);
  // Without names braces are text.
  expect((await readSource({ kind: 'talk', file, weight: 1 })).examples).toHaveLength(2);
  writeFileSync(file, '{"before":["one"],"user":"hi","assistant":"hello"}\n');
  await expect(readSource({ kind: 'talk', file, weight: 1 })).rejects.toMatchObject({ code: 'TRAINING_DATA', message: expect.stringContaining('line 1') });
});

test('a picture that was shown before stands behind its [RET], in both forms', () => {
  const example: TalkExample = { kind: 'talk', before: ['show a cat', { images: 'icons', name: 'cat.png' }], user: 'thanks', assistant: 'ok' };
  const slots = [tokenizer.retTokenId, -1, -1];
  for (const [form, before, after] of [['chat', 'show a cat<|im_end|>\n<|im_start|>assistant\n', '<|im_end|>\n<|im_start|>user\nthanks'], ['plain', 'Q: show a cat\nA:', '\nQ: thanks\nA:']] as const) {
    const { tokenIds, shown, labels, labelAt } = sequenceOf(form, example);
    expect(shown).toEqual([Float32Array.of(7)]);
    const at = tokenIds.indexOf(slots[0]!);
    expect(tokenIds.slice(at, at + 3)).toEqual(slots);
    expect(textOf(tokenIds.slice(0, at))).toContain(before);
    expect(textOf(tokenIds.slice(at + 3, labelAt[0]! + 1))).toContain(after);
    expect(textOf(labels)).toContain('ok');
  }
});

test('an earlier [RET] shows the picture of the name that {} becomes', async () => {
  const [file, names] = [join(folder, 'shown.jsonl'), join(folder, 'shown.json')];
  writeFileSync(file, '{"before":["Show me {}","[RET]"],"user":"Why?","assistant":"You asked."}\n');
  writeFileSync(names, JSON.stringify([{ file: 'cat.png', name: 'cat' }, { file: 'dog.png', name: 'dog' }]));
  const { examples } = await readSource({ kind: 'talk', file, names, images: 'icons', weight: 1 });
  expect(examples).toHaveLength(2);
  for (const name of ['cat', 'dog']) expect(examples).toContainEqual({ kind: 'talk', before: [`Show me ${name}`, { images: 'icons', name: `${name}.png` }], user: 'Why?', assistant: 'You asked.' });
  expect(examples.flatMap(picturesOf).map(({ name }) => name).sort()).toEqual(['cat.png', 'dog.png']);
  // Whose picture it would be is not known.
  await expect(readSource({ kind: 'talk', file, names, weight: 1 })).rejects.toMatchObject({ code: 'TRAINING_DATA', message: expect.stringContaining('does not say which') });
  writeFileSync(file, '{"before":["Show me one","[RET]"],"user":"Why?","assistant":"You asked."}\n');
  await expect(readSource({ kind: 'talk', file, names, images: 'icons', weight: 1 })).rejects.toMatchObject({ code: 'TRAINING_DATA' });
});

test('names are asked for with and without an article, requests typed large and small', () => {
  const config = parseTrainConfig({ run: 'r', form: 'chat', requests: ['Show me {}'] });
  const made = createPromptForm(config, { tokenizer, chatTemplate: tokenizer.chatTemplate, endTokenId: 0, features: () => new Float32Array(0) });
  const requests = (caption: string, isName: boolean) => new Set(Array.from({ length: 100 }, (_, i) => made.request({ kind: 'pair', caption, isName, picture: { images: '', name: 'a' } }, createRandom(i, 'r'))));
  expect([...requests('owl', true)].sort()).toEqual(['Show me an owl', 'Show me owl', 'show me an owl', 'show me owl']);
  expect(requests('bell', true)).toContain('Show me a bell');
  expect([...requests('A bell rings.', false)].sort()).toEqual(['Show me a bell rings', 'show me a bell rings']);
});
