// Turns drawn examples into the sequences of a step, in the form that a run trains: the paper's bare
// captions or chat.
import { requestText, tidyCaption } from '../model/index.ts';
import type { Tokenizer } from '../tokenizer/index.ts';
import { asTyped, type ChatForm, chatCaption, chatRequest, chatTalk, defaultQuestions, defaultRequests, type EarlierParts, shownIn } from './chat-form.ts';
import type { TrainConfig } from './config.ts';
import { type EarlierTurns, pictureKey, type PairExample, type PictureName, type TalkExample } from './examples.ts';
import { captionIds, joinPairs, plainCaption, plainText } from './plain-form.ts';
import type { Random } from './random.ts';
import type { Drawn } from './sampler.ts';
import { type CaptionSequence, pictureSlot, type TextSequence } from './sequences.ts';
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
  /** The words of such a text alone. */
  request(example: PairExample, random: Random): string;
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
  // People ask for "a dog" as often as for "dog"; names come without the article.
  const randomRequest = (example: PairExample, random: Random) => {
    const template = asTyped(pick(requests, random), random);
    return example.isName && random.uniform() < 0.5 ? template.replace('{}', () => withArticle('{}', example.caption)) : template;
  };
  const earlier = (before: EarlierTurns = []) => before.map((turn) => (typeof turn === 'string' ? turn : features(turn)));
  const request = (example: PairExample, template: string): TextSequence => {
    const [picture, key] = [features(example.picture), keyOf(example)];
    const text = config.form === 'chat' ? chatRequest(chat, words(example, template), picture, key, earlier(example.before)) : example.request === undefined ? plainText(ids(example), picture, key) : plainRequest(tokenizer, example.request, picture, key);
    const rejected = example.rejected?.map((name) => ({ features: features(name), key: pictureKey(name) })) ?? [];
    return { ...text, ...(rejected.length > 0 ? { rejected } : {}), ...(example.unlikely ? { unlikely: true } : {}) };
  };
  const pick = (list: readonly string[], random: Random) => list[random.integer(list.length)]!;
  const talk = (example: TalkExample) => (config.form === 'chat' ? chatTalk(chat, example, earlier(example.before)) : plainTalk(tokenizer, example, earlier(example.before), config));

  return {
    batch({ captions, texts }, random) {
      const pairs = captions.flatMap(({ example }) => (example.kind === 'pair' ? [caption(example, pick(questions, random))] : []));
      // The paper's pairs are joined in its own form only: a chat of two pictures is another kind of talk.
      const joined = config.form === 'plain' && random.uniform() < config.concatProbability ? joinPairs(pairs) : pairs;
      return { captions: joined, texts: texts.map(({ example }) => (example.kind === 'pair' ? request(example, randomRequest(example, random)) : talk(example))) };
    },
    validationCaption: (example) => caption(example, questions[0]!),
    validationText: (example) => request(example, requests[Math.min(1, requests.length - 1)]!),
    text: (example, random) => request(example, randomRequest(example, random)),
    request: (example, random) => words(example, randomRequest(example, random)),
  };
}

function withArticle(place: string, name: string): string {
  return `${/^[aeiou]/i.test(name) ? 'an' : 'a'} ${place}`;
}

/** A request as the authors' demo writes it, answered by [RET]. */
function plainRequest(tokenizer: Tokenizer, request: string, picture: Float32Array, key: string | null): TextSequence {
  const tokenIds = tokenizer.encode(`Q: ${request}\nA:`, { trusted: false, begin: true });
  return { kind: 'text', tokenIds: [...tokenIds], labelAt: tokenizer.retTokenId === null ? [] : [tokenIds.length - 1], labels: tokenizer.retTokenId === null ? [] : [tokenizer.retTokenId], picture, pictureKey: key };
}

/** Questions and answers as the authors' demo writes them; a picture that was shown stands behind its [RET]. */
function plainTalk(tokenizer: Tokenizer, { user, assistant }: TalkExample, before: EarlierParts, { maxLength, visualTokens }: Pick<TrainConfig, 'maxLength' | 'visualTokens'>): TextSequence {
  const { retTokenId } = tokenizer;
  const prompt: number[] = [];
  let written = '';
  const write = () => {
    prompt.push(...tokenizer.encode(written, { trusted: false, begin: prompt.length === 0 }));
    written = '';
  };
  [...before, user].forEach((said, i) => {
    if (typeof said === 'string') written += i % 2 === 0 ? `Q: ${said}\nA:` : ` ${said}\n`;
    else {
      write();
      prompt.push(...(retTokenId === null ? [] : [retTokenId]), ...Array.from({ length: visualTokens }, () => pictureSlot));
      written = '\n';
    }
  });
  write();
  const answer = assistant === '[RET]' && retTokenId !== null ? [retTokenId] : tokenizer.encode(` ${assistant}\n`, { trusted: false }).slice(0, maxLength);
  return { kind: 'text', tokenIds: [...prompt, ...answer.slice(0, -1)], ...shownIn(before), labelAt: answer.map((_, i) => prompt.length - 1 + i), labels: answer, picture: null, pictureKey: null };
}
