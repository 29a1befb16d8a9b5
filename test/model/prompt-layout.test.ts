// Where tokens and pictures of a prompt stand: the authors' segments, the three styles, and what is left
// out when the context window is too small. The starter's tokenizer is in the repository.
import { resolve } from 'node:path';
import { beforeAll, describe, expect, test } from '@jest/globals';
import fc from '../setup/seeded.ts';
import { layOutPrompt, openTokenizerOf, type LayoutOptions } from '../../src/model/index.ts';
import { layOutChat } from '../../src/model/chat-template.ts';
import { readManifest } from '../../src/model/model-manifest.ts';
import type { EngineImage, Prompt, PromptSegment, PromptTurn } from '../../src/model/types.ts';
import { withFromageTokens, type Tokenizer } from '../../src/tokenizer/index.ts';

const folder = resolve(import.meta.dirname, '../../models/starter');
const manifest = readManifest(folder);
const ret = 49_152;

let tokenizer: Tokenizer;
let options: LayoutOptions;
beforeAll(() => {
  tokenizer = withFromageTokens(openTokenizerOf(resolve(folder, manifest.languageModel)), ret);
  options = { tokenizer, visualTokens: 4, maxPositions: 8000, style: 'chat', chatTemplate: manifest.chatTemplate ?? '' };
});

const photo: EngineImage = { pooled: Float32Array.of(1) };
const picture: PromptSegment = { type: 'image', image: photo };
const typed = (text: string): PromptSegment => ({ type: 'text', text });
const ours = (text: string): PromptSegment => ({ type: 'text', text, trusted: true });
const user = (...parts: PromptSegment[]): PromptTurn => ({ role: 'user', parts });
const assistant = (...parts: PromptSegment[]): PromptTurn => ({ role: 'assistant', parts });
const turns = (...list: PromptTurn[]): Extract<Prompt, { kind: 'turns' }> => ({ kind: 'turns', turns: list });
/** Pictures as ▢, so that a layout can be read. */
const readable = (ids: readonly number[]): string => {
  let text = '';
  let run: number[] = [];
  for (const id of [...ids, -2]) {
    if (id >= 0) run.push(id);
    else {
      text += tokenizer.decode(run, { skipSpecial: false }) + (id === -1 ? '▢' : '');
      run = [];
    }
  }
  return text;
};

describe('chat', () => {
  test('is the form that the starter was trained with: no system prompt, pictures after the role', () => {
    const layout = layOutPrompt(turns(user(picture, typed('What is in this picture?'))), options);
    expect(readable(layout.tokenIds)).toBe('<|im_start|>user\n▢▢▢▢What is in this picture?<|im_end|>\n<|im_start|>assistant\n');
    expect(layout.images).toEqual([{ position: 3, image: photo }]);
    const request = layOutPrompt(turns(user(typed('Show me a dog'))), options);
    expect(request.tokenIds).toEqual([1, 4093, 198, 21175, 549, 253, 2767, 2, 198, 1, 520, 9531, 198]);
  });

  test('keeps the whole conversation, [RET] where a picture was shown', () => {
    const layout = layOutPrompt(turns(user(typed('Show me a dog')), assistant(ours(' [RET]')), user(typed('another'))), options);
    expect(readable(layout.tokenIds)).toBe('<|im_start|>user\nShow me a dog<|im_end|>\n<|im_start|>assistant\n[RET]<|im_end|>\n<|im_start|>user\nanother<|im_end|>\n<|im_start|>assistant\n');
    expect(layout.retPositions).toEqual([layout.tokenIds.indexOf(ret)]);
  });

  test("with the model's own template, its system prompt stands first", () => {
    const { chatTemplate: _, ...own } = options;
    const layout = layOutPrompt(turns(user(typed('hi'))), own);
    expect(readable(layout.tokenIds)).toMatch(/^<\|im_start\|>system\nYou are a helpful AI assistant named SmolLM/);
  });

  test('nothing that a user types changes the structure of the conversation', () => {
    const structure = (ids: readonly number[]): number[] => ids.filter((id) => tokenizer.reservedIds.has(id));
    const expected = structure(layOutPrompt(turns(user(typed('hi'))), options).tokenIds);
    const hostile = fc.array(fc.constantFrom('<|im_end|>\n', '<|im_start|>', 'assistant\n', '[RET]', '\ue0000\ue001', '\ue0001\ue001', '{{ messages }}', '{% raw %}', ' ', 'x')).map((parts) => parts.join(''));
    fc.assert(
      fc.property(hostile, (text) => {
        const layout = layOutPrompt(turns(user(typed(text))), options);
        expect(structure(layout.tokenIds)).toEqual(expected);
        expect(readable(layout.tokenIds)).toBe(`<|im_start|>user\n${text}<|im_end|>\n<|im_start|>assistant\n`);
      }),
      { numRuns: 100 },
    );
  });

  test('a template that fails or loses a message is an error with a code', () => {
    const tokens = { bosToken: null, eosToken: null };
    expect(() => layOutChat('{% if %}', [user(typed('a'))], tokens)).toThrow(/MODEL_CHAT_TEMPLATE/);
    expect(() => layOutChat('{{ raise_exception("no") }}', [user(typed('a'))], tokens)).toThrow(/MODEL_CHAT_TEMPLATE/);
    expect(() => layOutChat('{{ messages[0].content }}', [user(typed('a')), user(typed('b'))], tokens)).toThrow(/placed 1 of 2.*MODEL_CHAT_TEMPLATE/);
    expect(() => layOutChat(' '.repeat(70_000), [user(typed('a'))], tokens)).toThrow(/MODEL_CHAT_TEMPLATE/);
  });
});

describe('qa and plain', () => {
  test("qa is the authors' demo: pictures first, Q and A, an answer ends its line", () => {
    const prompt: Prompt = { ...turns(user(picture, typed('What is this?')), assistant(typed('a dog'), ours(' [RET]')), user(picture), user(typed('And this?'), picture)), style: 'qa' };
    expect(readable(layOutPrompt(prompt, options).tokenIds)).toBe('▢▢▢▢Q: What is this?\nA: a dog [RET]\n▢▢▢▢Q: And this?▢▢▢▢\nA:');
  });

  test('a question is encoded as one string with the Q and A around it', () => {
    const layout = layOutPrompt({ ...turns(user(typed('What?'))), style: 'qa' }, options);
    expect(layout.tokenIds).toEqual(tokenizer.encode('Q: What?\nA:', { trusted: false }));
  });

  test('plain puts line breaks between turns and nothing else', () => {
    const prompt: Prompt = { ...turns(user(typed('one')), assistant(typed('two')), user(typed('three'))), style: 'plain' };
    expect(readable(layOutPrompt(prompt, options).tokenIds)).toBe('one\ntwo\nthree');
  });
});

describe('segments', () => {
  test('are encoded one by one, special tokens only where the text is ours', () => {
    const layout = layOutPrompt({ kind: 'segments', segments: [picture, ours('a [RET]'), typed('[RET]')] }, options);
    expect(layout.tokenIds).toEqual([-1, -1, -1, -1, ...tokenizer.encode('a ', { trusted: true }), ret, ...tokenizer.encode('[RET]', { trusted: false })]);
    expect(layout.retPositions).toEqual([layout.tokenIds.indexOf(ret)]);
  });

  test('that do not fit are refused with both numbers', () => {
    expect(() => layOutPrompt({ kind: 'segments', segments: [picture, picture, ours('a')] }, { ...options, maxPositions: 8 })).toThrow(/9 positions, 8 fit.*MODEL_PROMPT_TOO_LONG/);
  });
});

describe('what does not fit', () => {
  const history = Array.from({ length: 40 }, (_, i) => (i % 2 === 0 ? user(typed(`question ${i}`)) : assistant(typed(`answer ${i}`))));
  const conversation = turns(...history, user(typed('the last question')));

  test('goes oldest first, an answer with its question, and no more than needed', () => {
    const whole = layOutPrompt(conversation, options);
    expect(whole.droppedTurns).toBe(0);
    for (const maxPositions of [whole.length, whole.length - 1, 200, 100, 40]) {
      const layout = layOutPrompt(conversation, { ...options, maxPositions });
      expect(layout.length).toBeLessThanOrEqual(maxPositions);
      expect(layout.droppedTurns % 2).toBe(0);
      expect(readable(layout.tokenIds)).toContain('the last question');
      if (layout.droppedTurns === 0) continue;
      const oneMore = layOutPrompt(turns(...history.slice(layout.droppedTurns - 2), user(typed('the last question'))), options);
      expect(oneMore.length).toBeGreaterThan(maxPositions);
    }
  });

  test('of the last turn is cut from the left of its text; its pictures stay', () => {
    const words = Array.from({ length: 500 }, (_, i) => `word${i}`).join(' ');
    const layout = layOutPrompt(turns(...history, user(picture, typed(words))), { ...options, maxPositions: 100 });
    expect(layout).toMatchObject({ droppedTurns: 40, images: [{ position: 3 }] });
    expect(layout.length).toBeLessThanOrEqual(100);
    expect(layout.length).toBeGreaterThan(90);
    const text = readable(layout.tokenIds);
    expect(text).toMatch(/^<\|im_start\|>user\n▢▢▢▢.*word499<\|im_end\|>\n<\|im_start\|>assistant\n$/);
    expect(layout.cutCharacters).toBe(words.length - (text.length - '<|im_start|>user\n▢▢▢▢<|im_end|>\n<|im_start|>assistant\n'.length));
  });

  test('never cuts inside a code point', () => {
    const layout = layOutPrompt(turns(user(typed('🦊日本'.repeat(300)))), { ...options, maxPositions: 60 });
    expect(readable(layout.tokenIds)).not.toContain('\ufffd');
    expect(readable(layout.tokenIds)).toMatch(/(?:🦊|日|本)+<\|im_end\|>/u);
  });

  test('and cannot be left out is refused', () => {
    expect(() => layOutPrompt(turns(user(...Array<PromptSegment>(30).fill(picture), typed('hi'))), { ...options, maxPositions: 100 })).toThrow(/MODEL_PROMPT_TOO_LONG/);
  });
});
