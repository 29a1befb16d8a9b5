// Answers of the model to many prompts: several at once, each written down when it is there.
import type { DecodingOptions, Engine, Prompt } from '../../engine/types.ts';
import type { EvaluationOptions } from '../types.ts';
import { modelSetting } from './embed.ts';
import { openJournal } from './journal.ts';

export interface Question {
  readonly key: string;
  readonly prompt: Prompt;
}

export interface Answer {
  /** [RET] is not part of it. */
  readonly text: string;
  /** Offsets of the [RET] in the text. */
  readonly rets: readonly number[];
  readonly tokens: number;
  readonly reason: string;
  /** The highest probability that [RET] had at any step before scaling. */
  readonly retProbability: number;
}

/** Requests that run at once; the engine's batch is 8 by default. */
const lanes = 8;

/**
 * @param task with model, seed and decoding it names the journal, so that each setting has its own
 * @returns answers in the order of the questions
 */
export async function askAll(engine: Engine, task: string, questions: readonly Question[], decoding: DecodingOptions, stage: string, options: EvaluationOptions): Promise<Answer[]> {
  const setting = [modelSetting(await engine.info(), options), options.seed ?? 1, decoding];
  const journal = openJournal<Answer>(task, setting, options);
  let next = 0;
  let done = 0;
  options.onProgress?.({ stage, unit: 'answers', done, total: questions.length });
  const answers: Answer[] = new Array(questions.length);
  const lane = async (): Promise<void> => {
    for (let i = next++; i < questions.length; i = next++) {
      const question = questions[i]!;
      options.signal?.throwIfAborted();
      let answer = journal.get(question.key);
      if (!answer) {
        answer = await ask(engine, question.prompt, decoding, options);
        journal.set(question.key, answer);
      }
      answers[i] = answer;
      options.onProgress?.({ stage, unit: 'answers', done: ++done, total: questions.length });
    }
  };
  await Promise.all(Array.from({ length: Math.min(lanes, questions.length) }, lane));
  return answers;
}

async function ask(engine: Engine, prompt: Prompt, decoding: DecodingOptions, { adapter, seed = 1, signal }: EvaluationOptions): Promise<Answer> {
  const rets: number[] = [];
  for await (const event of engine.generate({ prompt, seed, decoding, ...(adapter === undefined ? {} : { adapter }), ...(signal ? { signal } : {}) })) {
    if (event.type === 'ret') rets.push(event.after);
    if (event.type === 'end') {
      signal?.throwIfAborted();
      return { text: event.text, rets, tokens: event.tokenIds.length, reason: event.reason, retProbability: event.retProbability };
    }
  }
  throw new Error('the engine ended a request without saying so');
}
