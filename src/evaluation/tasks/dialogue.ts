// Manners in conversation: whether a picture comes when one is asked for and words otherwise, whether the
// answer repeats itself, and how long it is, on a small labelled set of our own.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { Engine, PromptTurn } from '../../engine/types.ts';
import { FromageError } from '../../errors.ts';
import { askAll, type Answer } from '../data/answers.ts';
import { intervalOf, meanPercent, rounded } from '../figures.ts';
import { mean } from '../metrics/ranking.ts';
import { repetition } from '../metrics/repetition.ts';
import { wordsOf } from '../metrics/words.ts';
import type { EvaluationOptions, Intervals } from '../types.ts';

/** `[RET]` in an assistant's turn stands for a picture that was shown. */
const lineSchema = z.strictObject({
  expect: z.enum(['picture', 'words']),
  /** Alternating, the user first and last. */
  turns: z.array(z.string().min(1)).min(1).refine(({ length }) => length % 2 === 1, 'must begin and end with the user'),
});
const setSchema = z.array(lineSchema).min(1);

export type DialogueLine = z.output<typeof lineSchema>;

export interface DialogueOptions extends EvaluationOptions {
  /** Default 1. */
  readonly retScaleFactor?: number;
  readonly maxNewTokens?: number;
}

export interface DialogueFigures {
  /** Of the answers with a picture, those where one was asked for; null where no picture came. */
  readonly ret_precision: number | null;
  readonly ret_recall: number;
  readonly ret_f1: number | null;
  /** Both kinds right. */
  readonly accuracy: number;
  /** Percent of three-word pieces that an answer has said before, mean over the answers in words. */
  readonly repetition: number;
  /** Percent of the answers in words that repeat more than a fifth of themselves. */
  readonly repeating_answers: number;
  readonly mean_words: number;
  readonly empty_answers: number;
  readonly intervals: Intervals;
  readonly n: number;
  readonly n_asking: number;
  /** Always a picture; never one; a coin that falls on pictures as often as they are asked for. */
  readonly baselines: { readonly always: DialogueBaseline; readonly never: DialogueBaseline; readonly coin: DialogueBaseline };
}

export interface DialogueBaseline {
  readonly ret_precision: number | null;
  readonly ret_recall: number;
  readonly accuracy: number;
}

export interface DialogueResult {
  readonly figures: DialogueFigures;
  readonly lines: readonly { readonly line: DialogueLine; readonly answer: string; readonly picture: boolean; readonly probability: number }[];
  /** For comparisons: 1 where picture or words came as expected; the repetition of each answer in words. */
  readonly values: { readonly right: readonly number[] };
}

/** The set that comes with the project, or another file of its form. @throws FromageError `EVALUATION_DATA` */
export async function loadDialogueSet(file: string = join(import.meta.dirname, '../dialogue-set.json')): Promise<DialogueLine[]> {
  let value: unknown;
  try {
    value = JSON.parse(await readFile(file, 'utf8'));
  } catch (cause) {
    throw new FromageError({ code: 'EVALUATION_DATA', what: `${file} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`, todo: 'give a JSON list of {"expect": "picture" | "words", "turns": [...]}', cause });
  }
  const parsed = setSchema.safeParse(value);
  if (!parsed.success) throw new FromageError({ code: 'EVALUATION_DATA', what: `${file}: ${z.prettifyError(parsed.error)}`, todo: 'give a JSON list of {"expect": "picture" | "words", "turns": [...]}' });
  return parsed.data;
}

export async function evaluateDialogue(engine: Engine, lines: readonly DialogueLine[], options: DialogueOptions = {}): Promise<DialogueResult> {
  const decoding = { maxNewTokens: options.maxNewTokens ?? 64, retScaleFactor: options.retScaleFactor ?? 1, retScaleMode: 'odds' as const };
  const questions = lines.map(({ turns }) => ({ key: JSON.stringify(turns), prompt: { kind: 'turns' as const, turns: turns.map(turnOf) } }));
  const answers = await askAll(engine, 'dialogue', questions, decoding, 'answering', options);
  return judgeDialogue(lines, answers, options);
}

/** Figures of answers that are there already. */
export function judgeDialogue(lines: readonly DialogueLine[], answers: readonly Pick<Answer, 'text' | 'rets' | 'retProbability'>[], options: EvaluationOptions = {}): DialogueResult {
  const asked = lines.map(({ expect }) => expect === 'picture');
  const shown = answers.map(({ rets }) => rets.length > 0);
  const right = asked.map((wanted, i): number => (wanted === shown[i] ? 1 : 0));
  const only = (values: readonly number[], keep: readonly boolean[]) => values.filter((_, i) => keep[i]);
  const inWords = answers.filter((_, i) => !shown[i]).map(({ text }) => text);
  const repeated = inWords.map(repetition);
  const precision = shown.some(Boolean) ? meanPercent(only(right, shown)) : null;
  const recall = asked.some(Boolean) ? meanPercent(only(right, asked)) : 0;
  const share = asked.filter(Boolean).length / asked.length;
  const percentOf = (value: number) => meanPercent([value]);
  return {
    figures: {
      ret_precision: precision,
      ret_recall: recall,
      ret_f1: precision === null ? null : precision + recall === 0 ? 0 : rounded((2 * precision * recall) / (precision + recall), 2),
      accuracy: meanPercent(right),
      repetition: inWords.length === 0 ? 0 : meanPercent(repeated),
      repeating_answers: inWords.length === 0 ? 0 : meanPercent(repeated.map((value) => (value > 0.2 ? 1 : 0))),
      mean_words: inWords.length === 0 ? 0 : rounded(mean(inWords.map((text) => wordsOf(text).length)), 1),
      empty_answers: inWords.filter((text) => text.trim() === '').length,
      intervals: {
        ...(precision === null ? {} : { ret_precision: intervalOf(only(right, shown), undefined, options) }),
        ...(asked.some(Boolean) ? { ret_recall: intervalOf(only(right, asked), undefined, options) } : {}),
        accuracy: intervalOf(right, undefined, options),
      },
      n: lines.length,
      n_asking: asked.filter(Boolean).length,
      baselines: {
        always: { ret_precision: percentOf(share), ret_recall: share > 0 ? 100 : 0, accuracy: percentOf(share) },
        never: { ret_precision: null, ret_recall: 0, accuracy: percentOf(1 - share) },
        coin: { ret_precision: percentOf(share), ret_recall: percentOf(share), accuracy: percentOf(share ** 2 + (1 - share) ** 2) },
      },
    },
    lines: lines.map((line, i) => ({ line, answer: answers[i]!.text, picture: shown[i]!, probability: answers[i]!.retProbability })),
    values: { right },
  };
}

function turnOf(text: string, index: number): PromptTurn {
  if (index % 2 === 0) return { role: 'user', parts: [{ type: 'text', text }] };
  // Only our own [RET] is a token; what stands around it is text.
  const parts = text.split('[RET]').flatMap((piece, i) => [...(i === 0 ? [] : [{ type: 'text' as const, text: '[RET]', trusted: true }]), ...(piece === '' ? [] : [{ type: 'text' as const, text: piece }])]);
  return { role: 'assistant', parts };
}
