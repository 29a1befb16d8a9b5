// Turns drawn examples into the sequences of a step, in the form that a run trains: the paper's bare
// captions or chat.
import type { Tokenizer } from '../tokenizer/index.ts';
import { type ChatForm, chatCaption, chatRequest, chatTalk, defaultQuestions, defaultRequests, requestText, tidyCaption } from './chat-form.ts';
import type { TrainConfig } from './config.ts';
import { pictureKey, type PairExample, type TalkExample } from './examples.ts';
import { captionIds, joinPairs, plainCaption, plainText } from './plain-form.ts';
import type { Random } from './random.ts';
import type { Drawn } from './sampler.ts';
import type { CaptionSequence, TextSequence } from './sequences.ts';
import type { StepBatch } from './training-step.ts';

export type PictureFeatures = (example: PairExample) => Float32Array;

export interface PromptForm {
  /** Sequences of a step; `both` are used for captioning and retrieval as their sources say. */
  batch(drawn: { readonly captions: readonly Drawn[]; readonly texts: readonly Drawn[] }, random: Random): StepBatch;
  /** One pair as it is validated: always in the same words. */
  validationCaption(example: PairExample): CaptionSequence;
  validationText(example: PairExample): TextSequence;
  /** A retrieval text in random words. */
  text(example: PairExample, random: Random): TextSequence;
}

export interface PromptFormOptions {
  readonly tokenizer: Tokenizer;
  readonly chatTemplate: string | null;
  readonly endTokenId: number;
  readonly features: PictureFeatures;
}

/** @param config what the run was told about forms */
export function createPromptForm(config: Pick<TrainConfig, 'form' | 'questions' | 'requests' | 'tidyCaptions' | 'maxLength' | 'visualTokens' | 'concatProbability' | 'maskSamePicture'>, options: PromptFormOptions): PromptForm {
  const { tokenizer, features } = options;
  const questions = config.questions ?? defaultQuestions;
  const requests = config.requests ?? defaultRequests;
  const chat: ChatForm = { tokenizer, visualTokens: config.visualTokens, chatTemplate: options.chatTemplate, endTokenId: options.endTokenId, maxLength: config.maxLength };
  const keyOf = (example: PairExample) => (config.maskSamePicture ? pictureKey(example.picture) : null);
  const textOf = (example: PairExample) => (config.tidyCaptions ? tidyCaption(example.caption) : example.caption);
  const ids = (example: PairExample) => captionIds(tokenizer, textOf(example), config.maxLength);

  const caption = (example: PairExample, question: string) =>
    config.form === 'chat' ? chatCaption(chat, question, textOf(example), features(example)) : plainCaption(ids(example), features(example), config.visualTokens);
  const request = (example: PairExample, words: string) =>
    config.form === 'chat'
      ? chatRequest(chat, example.isName ? words.replace('{}', () => example.caption) : requestText(words, example.caption), features(example), keyOf(example))
      : plainText(ids(example), features(example), keyOf(example));
  const pick = (list: readonly string[], random: Random) => list[random.integer(list.length)]!;
  const talk = ({ user, assistant }: TalkExample) => (config.form === 'chat' ? chatTalk(chat, user, assistant) : plainTalk(tokenizer, user, assistant, config.maxLength));

  return {
    batch({ captions, texts }, random) {
      const pairs = captions.flatMap(({ example }) => (example.kind === 'pair' ? [caption(example, pick(questions, random))] : []));
      // The paper's pairs are joined in its own form only: a chat of two pictures is another kind of talk.
      const joined = config.form === 'plain' && random.uniform() < config.concatProbability ? joinPairs(pairs) : pairs;
      return { captions: joined, texts: texts.map(({ example }) => (example.kind === 'pair' ? request(example, pick(requests, random)) : talk(example))) };
    },
    validationCaption: (example) => caption(example, questions[0]!),
    validationText: (example) => request(example, requests[Math.min(1, requests.length - 1)]!),
    text: (example, random) => request(example, pick(requests, random)),
  };
}

/** Question and answer as the authors' demo writes them. */
function plainTalk(tokenizer: Tokenizer, user: string, assistant: string, maxLength: number): TextSequence {
  const prompt = tokenizer.encode(`Q: ${user}\nA:`, { trusted: false, begin: true });
  const answer = tokenizer.encode(` ${assistant}\n`, { trusted: false }).slice(0, maxLength);
  return { kind: 'text', tokenIds: [...prompt, ...answer.slice(0, -1)], labelAt: answer.map((_, i) => prompt.length - 1 + i), labels: answer, picture: null, pictureKey: null };
}
