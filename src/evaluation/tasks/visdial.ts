// Visual Dialog, zero-shot: which of a hundred answers is likeliest after picture and dialogue, and which
// picture the dialogue is about.
import type { Engine } from '../../engine/types.ts';
import { createRandom } from '../../training/index.ts';
import { answerPrompt, dialogueText, picturePrompt } from '../data/dialogue-prompt.ts';
import { type ClipBaseline, clipBaseline } from '../data/clip.ts';
import { embedKeyed, modelSetting } from '../data/embed.ts';
import { openJournal } from '../data/journal.ts';
import { hashFeatures } from '../data/pool.ts';
import type { PictureDialogue } from '../data/visdial.ts';
import { intervalOf, meanPercent, type Ranks, recallIntervals, recalls, rounded } from '../figures.ts';
import { byProduct, rankQueries } from '../metrics/rank-queries.ts';
import { mean, meanReciprocalRank, ndcg, rankAmong } from '../metrics/ranking.ts';
import { createTfIdf } from '../metrics/tf-idf.ts';
import type { EvaluationOptions, Intervals, QueryForm, Recalls } from '../types.ts';

export interface VisdialOptions extends EvaluationOptions {
  readonly query?: QueryForm;
  readonly noBaselines?: boolean;
  /** Scores the candidates of one question one by one too, to tell what sharing saves. */
  readonly measureSharing?: boolean;
}

export interface AnswerFigures extends Omit<Recalls, 'median_rank'> {
  /** Null without dense annotations. */
  readonly ndcg: number | null;
  readonly mrr: number;
  readonly mean_rank: number;
}

export interface VisdialFigures {
  readonly image_and_text_to_text: AnswerFigures;
  readonly text_to_image: Recalls;
  readonly intervals: { readonly image_and_text_to_text: Intervals; readonly text_to_image: Intervals };
  readonly n_dialogues: number;
  readonly n_questions: number;
  readonly n_dense: number;
  readonly sharing: Sharing | null;
  /** Of CLIP pictures alone: it gives answers no likelihood. */
  readonly baselines: (ClipBaseline<{ readonly text_to_image: Recalls }> & {
    readonly random: { readonly image_and_text_to_text: AnswerFigures; readonly text_to_image: Recalls };
    /** Answers nearest to question and history; pictures whose caption is nearest to the dialogue. */
    readonly tf_idf: { readonly image_and_text_to_text: AnswerFigures; readonly text_to_image: Recalls };
  }) | null;
}

/** One question's candidates behind a shared prompt, against each read from the beginning. */
export interface Sharing {
  readonly candidates: number;
  readonly together_seconds: number;
  readonly alone_seconds: number;
  readonly times_faster: number;
  /** Between the scores of both ways. */
  readonly largest_difference: number;
}

export interface VisdialResult {
  readonly figures: VisdialFigures;
  readonly ranks: { readonly image_and_text_to_text: Ranks; readonly text_to_image: Ranks };
  /** Reciprocal rank of each question, for comparisons. */
  readonly values: { readonly reciprocal_rank: readonly number[] };
}

/** @param pooled features of the dialogues' pictures by image id */
export async function evaluateVisdial(engine: Engine, dialogues: readonly PictureDialogue[], pooled: ReadonlyMap<number, Float32Array>, options: VisdialOptions = {}): Promise<VisdialResult> {
  const questions = dialogues.flatMap(({ rounds }, dialogue) => rounds.map((round, i) => ({ dialogue, i, round })));
  const judge = (scores: readonly (readonly number[])[]): Judged => {
    const ranks = questions.map(({ round }, i) => rankAmong(scores[i]!, [round.right]));
    const gains = questions.flatMap(({ round, dialogue }, i) => (round.relevance ? [{ gain: ndcg(scores[i]!, round.relevance), dialogue }] : []));
    return { ranks: { ranks, groups: questions.map(({ dialogue }) => dialogue) }, gains };
  };
  const { promptStyle } = await engine.info();
  const scores = await scoreAnswers(engine, dialogues, questions, pooled, options);
  const answered = judge(scores);

  // A picture that several dialogues are about is one candidate.
  const ids = [...new Set(dialogues.map(({ imageId }) => imageId))];
  // The reference leaves the pictures' vectors unnormalised here, unlike everywhere else.
  const images = await engine.projectImages(ids.map((id) => pooled.get(id)!), options.adapter, 'own');
  const texts = await embedKeyed(engine, dialogues.map((dialogue) => picturePrompt(dialogue, options.query ?? {}, promptStyle)), 'reading the dialogues', options);
  const findPictures = async (score: (query: number, scores: Float32Array) => void): Promise<Ranks> => ({
    ranks: await rankQueries({ queries: dialogues.length, candidates: ids.length, score, right: (query) => [ids.indexOf(dialogues[query]!.imageId)], signal: options.signal }),
    groups: dialogues.map((_, i) => i),
  });
  const found = await findPictures(byProduct(texts, images));

  const gainValues = answered.gains.map(({ gain }) => gain);
  const gainGroups = answered.gains.map(({ dialogue }) => dialogue);
  const reciprocal = answered.ranks.ranks.map((rank) => 1 / rank);
  return {
    figures: {
      image_and_text_to_text: answerFigures(answered),
      text_to_image: recalls(found),
      intervals: {
        image_and_text_to_text: { ...recallIntervals(answered.ranks, options), mrr: intervalOf(reciprocal, answered.ranks.groups, options), ...(gainValues.length > 0 ? { ndcg: intervalOf(gainValues, gainGroups, options) } : {}) },
        text_to_image: recallIntervals(found, options),
      },
      n_dialogues: dialogues.length,
      n_questions: questions.length,
      n_dense: gainValues.length,
      sharing: options.measureSharing ? await measureSharing(engine, dialogues[0]!, pooled, options) : null,
      baselines: options.noBaselines ? null : await baselines(),
    },
    ranks: { image_and_text_to_text: answered.ranks, text_to_image: found },
    values: { reciprocal_rank: reciprocal },
  };

  async function baselines(): Promise<VisdialFigures['baselines']> {
    const random = createRandom(options.seed ?? 1, 'random baseline');
    const drawnAnswers = questions.map(({ round }) => round.candidates.map(() => random.uniform()));
    const drawnPictures = await findPictures((_, row) => {
      for (let i = 0; i < row.length; i++) row[i] = random.uniform();
    });
    const byWords = questions.map(({ dialogue, i, round }) => {
      const row = new Float32Array(round.candidates.length);
      const { caption, rounds } = dialogues[dialogue]!;
      createTfIdf(round.candidates).score([caption, ...rounds.slice(0, i).flatMap(({ question, answer }) => [question, answer]), round.question].join(' '), row);
      return [...row];
    });
    const captions = createTfIdf(ids.map((id) => dialogues.find(({ imageId }) => imageId === id)!.caption));
    const picturesByWords = await findPictures((query, row) => captions.score(dialogueText(dialogues[query]!), row));
    const byClip = await clipBaseline(options, async (clip) => {
      const spoken = await clip.texts(dialogues.map(dialogueText));
      return { text_to_image: recalls(await findPictures(byProduct(spoken, clip.pictures(ids.map((id) => pooled.get(id)!))))) };
    });
    return {
      random: { image_and_text_to_text: answerFigures(judge(drawnAnswers)), text_to_image: recalls(drawnPictures) },
      tf_idf: { image_and_text_to_text: answerFigures(judge(byWords)), text_to_image: recalls(picturesByWords) },
      ...byClip,
    };
  }
}

interface Judged {
  readonly ranks: Ranks;
  readonly gains: readonly { readonly gain: number; readonly dialogue: number }[];
}

function answerFigures({ ranks, gains }: Judged): AnswerFigures {
  const { r1, r5, r10 } = recalls(ranks);
  return { ndcg: gains.length === 0 ? null : meanPercent(gains.map(({ gain }) => gain)), mrr: rounded(100 * meanReciprocalRank(ranks.ranks), 2), r1, r5, r10, mean_rank: rounded(mean(ranks.ranks), 2) };
}

async function scoreAnswers(engine: Engine, dialogues: readonly PictureDialogue[], questions: readonly { readonly dialogue: number; readonly i: number }[], pooled: ReadonlyMap<number, Float32Array>, options: VisdialOptions): Promise<(readonly number[])[]> {
  const info = await engine.info();
  const journal = openJournal<readonly number[]>('visdial', modelSetting(info, options), options);
  const results: (readonly number[])[] = [];
  const report = () => options.onProgress?.({ stage: 'weighing the answers', unit: 'questions', done: results.length, total: questions.length });
  report();
  for (const { dialogue, i } of questions) {
    options.signal?.throwIfAborted();
    const each = dialogues[dialogue]!;
    const features = pooled.get(each.imageId)!;
    const key = JSON.stringify([hashFeatures(features), each.rounds.slice(0, i).map(({ question, answer }) => [question, answer]), each.rounds[i]!.question, each.rounds[i]!.candidates]);
    let scores = journal.get(key);
    if (!scores) {
      const { prompt, asCandidate } = answerPrompt(each, i, features, info.promptStyle);
      scores = await engine.scoreCandidates(prompt, each.rounds[i]!.candidates.map(asCandidate), options.adapter);
      journal.set(key, scores);
    }
    results.push(scores);
    report();
  }
  return results;
}

async function measureSharing(engine: Engine, dialogue: PictureDialogue, pooled: ReadonlyMap<number, Float32Array>, { adapter, signal, onProgress }: VisdialOptions): Promise<Sharing> {
  const round = dialogue.rounds.length - 1;
  const { prompt, asCandidate } = answerPrompt(dialogue, round, pooled.get(dialogue.imageId)!, (await engine.info()).promptStyle);
  const candidates = dialogue.rounds[round]!.candidates.map(asCandidate);
  const seconds = async <T>(work: () => Promise<T>): Promise<[T, number]> => {
    const began = performance.now();
    return [await work(), (performance.now() - began) / 1000];
  };
  // Once before, so that neither way pays for warming up.
  await engine.scoreCandidates(prompt, candidates.slice(0, 2), adapter);
  const [together, togetherSeconds] = await seconds(() => engine.scoreCandidates(prompt, candidates, adapter));
  const [alone, aloneSeconds] = await seconds(async () => {
    const scores: number[] = [];
    for (const candidate of candidates) {
      signal?.throwIfAborted();
      scores.push((await engine.scoreCandidates(prompt, [candidate], adapter))[0]!);
      onProgress?.({ stage: 'measuring what sharing saves', unit: 'answers', done: scores.length, total: candidates.length });
    }
    return scores;
  });
  return {
    candidates: candidates.length,
    together_seconds: rounded(togetherSeconds),
    alone_seconds: rounded(aloneSeconds),
    times_faster: rounded(aloneSeconds / togetherSeconds, 2),
    largest_difference: rounded(Math.max(...together.map((score, i) => Math.abs(score - alone[i]!))), 6),
  };
}
