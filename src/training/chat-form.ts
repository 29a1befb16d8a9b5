// Examples as talk in the language model's own chat template: a question about a picture and its caption
// as the answer, a request and [RET], ordinary talk. Only answers are learned.
import { layOutPrompt, type LayoutOptions } from '../model/index.ts';
import type { PromptSegment, PromptTurn } from '../model/types.ts';
import type { Tokenizer } from '../tokenizer/index.ts';
import { FromageError } from '../errors.ts';
import type { Random } from './random.ts';
import { type CaptionSequence, pictureSlot, type TextSequence } from './sequences.ts';

export const defaultQuestions: readonly string[] = [
  'What is in this picture?', 'Describe the image.', 'What do you see?', 'Describe this photo in one sentence.', 'What is happening here?', 'Caption this image.',
  'What does this picture show?', 'Tell me what you see in this photo.',
];

export const defaultRequests: readonly string[] = [
  'Show me {}', 'Show me a picture of {}', 'Show me a photo of {}', 'Find an image of {}', 'I want to see {}', 'Can you show me {}?', 'Please find a photo of {}',
  'Do you have a picture of {}?', 'Show me an image: {}', 'A picture of {}, please.', 'Could I see {}?', 'Send me a picture of {}.',
];

/** One request in four begins with a small letter, as people type. */
export function asTyped(request: string, random: Random): string {
  return random.uniform() < 0.25 ? request.charAt(0).toLowerCase() + request.slice(1) : request;
}

/** What was said before: words, or the pooled features of a picture that was shown. */
export type EarlierParts = readonly (string | Float32Array)[];

export interface ChatForm {
  readonly tokenizer: Tokenizer;
  readonly visualTokens: number;
  readonly chatTemplate: string | null;
  /** Ends an answer. */
  readonly endTokenId: number;
  /** Tokens of an answer that are learned. */
  readonly maxLength: number;
}

/** Picture and question, answered by the caption and the end of the turn. */
export function chatCaption(form: ChatForm, question: string, caption: string, picture: Float32Array): CaptionSequence {
  const prompt = layOut(form, [{ type: 'image', image: { pooled: picture } }, { type: 'text', text: question }]);
  return { kind: 'caption', pictures: [picture], ...answered(form, prompt, caption) };
}

/** A request, answered by [RET]; the [RET] itself is not part of the text. */
export function chatRequest(form: ChatForm, request: string, picture: Float32Array, pictureKey: string | null, before: EarlierParts = []): TextSequence {
  const { retTokenId } = form.tokenizer;
  if (retTokenId === null) throw new FromageError({ code: 'TRAINING_TOKENIZER', what: 'the tokenizer has no [RET]', todo: 'open it with withFromageTokens' });
  const prompt = layOut(form, [{ type: 'text', text: request }], before);
  return { kind: 'text', tokenIds: prompt, ...shownIn(before), labelAt: [prompt.length - 1], labels: [retTokenId], picture, pictureKey };
}

/** Words answered by words, or by a [RET] whose picture is not named. */
export function chatTalk(form: ChatForm, { user, assistant }: { readonly user: string; readonly assistant: string }, before: EarlierParts = []): TextSequence {
  const { retTokenId } = form.tokenizer;
  const prompt = layOut(form, [{ type: 'text', text: user }], before);
  const sequence = assistant === '[RET]' && retTokenId !== null ? { tokenIds: prompt, labelAt: [prompt.length - 1], labels: [retTokenId] } : answered(form, prompt, assistant);
  return { kind: 'text', ...sequence, ...shownIn(before), picture: null, pictureKey: null };
}

function layOut({ tokenizer, visualTokens, chatTemplate }: ChatForm, parts: readonly PromptSegment[], before: EarlierParts = []): number[] {
  const options: LayoutOptions = { tokenizer, visualTokens, maxPositions: Number.MAX_SAFE_INTEGER, style: 'chat', ...(chatTemplate === null ? {} : { chatTemplate }) };
  const earlier = before.map((said, i): PromptTurn => ({ role: i % 2 === 0 ? 'user' : 'assistant', parts: typeof said === 'string' ? [{ type: 'text', text: said }] : [{ type: 'text', text: ' [RET]', trusted: true }, { type: 'image', image: { pooled: said } }] }));
  return layOutPrompt({ kind: 'turns', turns: [...earlier, { role: 'user', parts }] }, options).tokenIds.map((id) => (id < 0 ? pictureSlot : id));
}

/** Of a text sequence, when pictures were shown before. */
export function shownIn(before: EarlierParts): Pick<TextSequence, 'shown'> {
  const shown = before.filter((said) => typeof said !== 'string');
  return shown.length === 0 ? {} : { shown };
}

function answered({ tokenizer, endTokenId, maxLength }: ChatForm, prompt: readonly number[], answer: string): { tokenIds: number[]; labelAt: number[]; labels: number[] } {
  const words = tokenizer.encode(answer, { trusted: false });
  const labels = words.length > maxLength ? words.slice(0, maxLength) : [...words, endTokenId];
  // The last label needs no position of its own.
  const tokenIds = [...prompt, ...labels.slice(0, -1)];
  return { tokenIds, labelAt: labels.map((_, i) => prompt.length - 1 + i), labels };
}
