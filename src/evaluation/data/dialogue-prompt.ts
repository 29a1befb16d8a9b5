// Prompts of Visual Dialog: a picture with the dialogue so far, and the whole dialogue as a request for it.
import type { Prompt, PromptStyle, PromptTurn } from '../../engine/types.ts';
import type { KeyedPrompt, QueryForm } from '../types.ts';
import { textQuery } from './embed.ts';
import type { PictureDialogue } from './visdial.ts';

/** `Q: is it day? A: yes.`: the authors' form, one round after the other. */
export function dialogueText({ rounds }: PictureDialogue): string {
  return rounds.map(({ question, answer }) => `Q: ${asQuestion(question)} A: ${asSentence(answer)}`).join(' ');
}

/**
 * @param round asked now, from 0; the answers before it are the true ones
 * @returns the prompt up to where the answer begins, and how a candidate goes on from there
 */
export function answerPrompt({ rounds }: PictureDialogue, round: number, pooled: Float32Array, style: PromptStyle): { readonly prompt: Prompt; readonly asCandidate: (answer: string) => string } {
  const picture = { type: 'image' as const, image: { pooled } };
  const question = asQuestion(rounds[round]!.question);
  const before = rounds.slice(0, round);
  if (style !== 'chat') {
    const text = [...before.map((each) => `Q: ${asQuestion(each.question)} A: ${asSentence(each.answer)}`), `Q: ${question} A:`].join(' ');
    return { prompt: { kind: 'segments', segments: [picture, { type: 'text', text }] }, asCandidate: (answer) => ` ${asSentence(answer)}` };
  }
  const turns = [...before.flatMap((each): PromptTurn[] => [userTurn(asQuestion(each.question)), { role: 'assistant', parts: [{ type: 'text', text: asSentence(each.answer) }] }]), userTurn(question)];
  const [first, ...rest] = turns;
  return { prompt: { kind: 'turns', style, turns: [{ ...first!, parts: [picture, ...first!.parts] }, ...rest] }, asCandidate: asSentence };
}

/** The dialogue as a request for its picture. */
export function picturePrompt(dialogue: PictureDialogue, form: QueryForm, ownStyle: PromptStyle): KeyedPrompt {
  return textQuery(dialogueText(dialogue), form, form.style ?? ownStyle);
}

function userTurn(text: string): PromptTurn {
  return { role: 'user', parts: [{ type: 'text', text }] };
}

/** The data leave punctuation out. */
function asQuestion(text: string): string {
  return /[?.!]$/.test(text.trim()) ? text.trim() : `${text.trim()}?`;
}

function asSentence(text: string): string {
  return /[.!?]$/.test(text.trim()) ? text.trim() : `${text.trim()}.`;
}
