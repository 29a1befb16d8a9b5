// Ordinary talk as training sequences: what is learned, what stands before it, names put into lines.
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, expect, test } from '@jest/globals';
import { openTokenizer, type Tokenizer, withFromageTokens } from '../../src/tokenizer/index.ts';
import { parseTrainConfig } from '../../src/training/index.ts';
import { readSource, type TalkExample } from '../../src/training/examples.ts';
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
  const config = parseTrainConfig({ run: 'r', form, maxLength: 50 });
  const made = createPromptForm(config, { tokenizer, chatTemplate: tokenizer.chatTemplate, endTokenId: tokenizer.eosTokenId ?? 0, features: () => new Float32Array(0) });
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
