// Turns drawn examples into the sequences of a step, in the form that a run trains: the paper's bare
// captions or chat.
import { requestText, tidyCaption } from '../model/index.ts';
import type { Tokenizer } from '../tokenizer/index.ts';
import { type ChatForm, chatCaption, chatRequest, chatTalk, defaultQuestions, defaultRequests } from './chat-form.ts';
import type { TrainConfig } from './config.ts';
import { pictureKey, type PairExample, type PictureName, type TalkExample } from './examples.ts';
import { captionIds, joinPairs, plainCaption, plainText } from './plain-form.ts';
import type { Random } from './random.ts';
import type { Drawn } from './sampler.ts';
import type { CaptionSequence, TextSequence } from './sequences.ts';
import type { StepBatch } from './training-step.ts';

export type PictureFeatures = (picture: PictureName) => Float32Array;

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

  const caption = (example: PairExample, question: string): CaptionSequence => {
    const picture = features(example.picture);
    const sequence = config.form === 'chat' ? chatCaption(chat, example.question ?? question, textOf(example), picture) : plainCaption(ids(example), picture, config.visualTokens);
    return example.unlikely ? { ...sequence, unlikely: true } : sequence;
  };
  const words = (example: PairExample, request: string) => example.request ?? (example.isName ? request.replace('{}', () => example.caption) : requestText(request, example.caption));
  const request = (example: PairExample, template: string): TextSequence => {
    const [picture, key] = [features(example.picture), keyOf(example)];
    const text = config.form === 'chat' ? chatRequest(chat, words(example, template), picture, key) : example.request === undefined ? plainText(ids(example), picture, key) : plainRequest(tokenizer, example.request, picture, key);
    const rejected = example.rejected?.map((name) => ({ features: features(name), key: pictureKey(name) })) ?? [];
    return { ...text, ...(rejected.length > 0 ? { rejected } : {}), ...(example.unlikely ? { unlikely: true } : {}) };
  };
  const pick = (list: readonly string[], random: Random) => list[random.integer(list.length)]!;
  const talk = (example: TalkExample) => (config.form === 'chat' ? chatTalk(chat, example) : plainTalk(tokenizer, example, config.maxLength));

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

/** A request as the authors' demo writes it, answered by [RET]. */
function plainRequest(tokenizer: Tokenizer, request: string, picture: Float32Array, key: string | null): TextSequence {
  const tokenIds = tokenizer.encode(`Q: ${request}\nA:`, { trusted: false, begin: true });
  return { kind: 'text', tokenIds: [...tokenIds], labelAt: tokenizer.retTokenId === null ? [] : [tokenIds.length - 1], labels: tokenizer.retTokenId === null ? [] : [tokenizer.retTokenId], picture, pictureKey: key };
}

/** Questions and answers as the authors' demo writes them. */
function plainTalk(tokenizer: Tokenizer, { before = [], user, assistant }: TalkExample, maxLength: number): TextSequence {
  const written = [...before, user].map((text, i) => (i % 2 === 0 ? `Q: ${text}\nA:` : ` ${text}\n`)).join('');
  const prompt = tokenizer.encode(written, { trusted: false, begin: true });
  const { retTokenId } = tokenizer;
  const answer = assistant === '[RET]' && retTokenId !== null ? [retTokenId] : tokenizer.encode(` ${assistant}\n`, { trusted: false }).slice(0, maxLength);
  return { kind: 'text', tokenIds: [...prompt, ...answer.slice(0, -1)], labelAt: answer.map((_, i) => prompt.length - 1 + i), labels: answer, picture: null, pictureKey: null };
}
