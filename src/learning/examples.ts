// Signals as rows of a train set: votes, "not this one", another answer asked for, corrections, captions
// given to /learn. One person gives at most one example per answer, and all of one person's together weigh
// no more than a bound. A row holds the data of one person alone, so that forgetting finds all of theirs.
import { createHash } from 'node:crypto';
import type { AllowedFeedback, Granted } from './consent.ts';
import type { FeedbackRow, Provenance, TrainRow } from './contracts.ts';

/** What a word on an answer teaches; `null` where it teaches nothing. */
export type Lesson =
  /** The request of the answer shall find this picture and not those. */
  | { readonly kind: 'positive' | 'negative'; readonly pictureId: string; readonly rejected: readonly string[] }
  /** The asker's picture is described so; `text` null means in the bot's own words. */
  | { readonly kind: 'caption'; readonly text: string | null }
  /** The asker's picture is not described so. */
  | { readonly kind: 'unlikelihood' }
  /** Words were the right answer: no picture. */
  | { readonly kind: 'talk' };

export interface ShownPictures {
  /** Pictures of this answer, best first. */
  readonly shown: readonly string[];
  /** Pictures of answers to the same question that were replaced by this one (🔁). */
  readonly replaced: readonly string[];
}

/** Whether there were words that a picture could be the answer to: /similar has none, nor has a picture sent alone. */
export function askedInWords({ question }: Pick<FeedbackRow, 'question'>): boolean {
  return question.some((part) => part.type === 'text' && part.text.trim() !== '');
}

/** The one lesson of one person's word on one answer: a correction says more than a vote. */
export function lessonOf({ row, picture, answer, question, correction }: AllowedFeedback, { shown, replaced }: ShownPictures): Lesson | null {
  const inWords = askedInWords(row);
  const right = inWords ? row.corrections.find(({ kind }) => kind === 'right-picture') : undefined;
  if (right?.kind === 'right-picture') return { kind: 'positive', pictureId: right.pictureId, rejected: without([...shown, ...replaced], right.pictureId) };
  if (correction !== null && picture !== null) return { kind: 'caption', text: correction.value };
  // Such votes are counted, but no words may be made up for them.
  if (!inWords && shown.length > 0) return null;
  const wrong = row.corrections.flatMap((one) => (one.kind === 'not-this' ? [one.pictureId] : []));
  const [first] = shown;
  if (wrong.length > 0) {
    // With 👍 beside it the others were right.
    const approved = row.vote === 'up' ? shown.find((id) => !wrong.includes(id)) : undefined;
    return approved === undefined ? refused(question, wrong) : { kind: 'positive', pictureId: approved, rejected: wrong };
  }
  if (row.vote === null) return null;
  if (first !== undefined) {
    return row.vote === 'up' ? { kind: 'positive', pictureId: first, rejected: replaced.filter((id) => !shown.includes(id)) } : refused(question, shown);
  }
  if (answer === null) return null;
  if (picture !== null) return row.vote === 'up' ? { kind: 'caption', text: null } : { kind: 'unlikelihood' };
  return row.vote === 'up' && question !== null ? { kind: 'talk' } : null;
}

/** What a picture is wrong for only the asker's words say: for its own caption it is the right one. */
function refused(question: Granted<string> | null, [pictureId, ...rejected]: readonly string[]): Lesson | null {
  return question === null || pictureId === undefined ? null : { kind: 'negative', pictureId, rejected };
}

function without(ids: readonly string[], id: string): string[] {
  return [...new Set(ids)].filter((other) => other !== id);
}

/** The split of everything said about an answer: it never changes, so that held-out stays held out. */
export function splitOf(id: string, heldOutShare: number): 'train' | 'held-out' {
  const first = createHash('sha256').update(id).digest().readUInt32BE(0) / 2 ** 32;
  return first < heldOutShare ? 'held-out' : 'train';
}

export interface TaughtFeedback {
  readonly allowed: AllowedFeedback;
  readonly lesson: Lesson;
}

const aboutAskersPicture: ReadonlySet<Lesson['kind']> = new Set(['caption', 'unlikelihood']);

/** Rows of equal weight; `boundPeople` gives them theirs. */
export function feedbackRows(taught: readonly TaughtFeedback[], heldOutShare: number): TrainRow[] {
  const answersOf = (kinds: ReadonlySet<Lesson['kind']>): ReadonlySet<string> => new Set(taught.filter(({ lesson }) => kinds.has(lesson.kind)).map(({ allowed }) => allowed.row.answerId));
  const describing = answersOf(aboutAskersPicture);
  const saying = answersOf(new Set([...aboutAskersPicture, 'talk']));
  const rows: TrainRow[] = [];
  const asked = new Set<string>();
  for (const { allowed, lesson } of taught) {
    const { row, question, picture, answer } = allowed;
    const split = splitOf(row.answerId, heldOutShare);
    const from = (granted: Granted<unknown>, origin: string): Provenance => ({ userId: granted.userId, consentId: granted.consentId, platform: row.platform, chatId: row.chatId, answerId: row.answerId, origin, contentClass: 'safe' });
    // What the asker said and sent, and what it was answered, once per answer: votes of others join it by the answer's id.
    if (!asked.has(row.answerId)) {
      asked.add(row.answerId);
      const saidAnswer = answer !== null && saying.has(row.answerId) ? { answer } : null;
      if (question !== null) rows.push({ kind: 'question', split, weight: 0, text: question.value, imageHash: null, pictureId: null, extra: saidAnswer, provenance: from(question, 'question') });
      if (picture !== null && describing.has(row.answerId)) rows.push({ kind: 'picture', split, weight: 0, text: null, imageHash: picture.value, pictureId: null, extra: null, provenance: from(picture, 'question') });
    }
    const origin = row.corrections.length > 0 ? 'correction' : 'vote';
    const text = lesson.kind === 'caption' && lesson.text !== null ? lesson.text : null;
    // A correction in words is used by the consent to use text.
    const provenance = from(text !== null && allowed.correction !== null ? allowed.correction : allowed.vote, origin);
    const pictureId = 'pictureId' in lesson ? lesson.pictureId : null;
    rows.push({ kind: lesson.kind, split, weight: 1, text, imageHash: null, pictureId, extra: 'rejected' in lesson && lesson.rejected.length > 0 ? { rejected: [...lesson.rejected] } : null, provenance });
  }
  return rows;
}

/** All examples of one person together, feedback and captions, weigh at most `personWeight`. */
export function boundPeople(rows: readonly TrainRow[], personWeight: number): TrainRow[] {
  const counts = new Map<string, number>();
  for (const { weight, provenance: { userId } } of rows) if (weight > 0 && userId !== null) counts.set(userId, (counts.get(userId) ?? 0) + 1);
  return rows.map((row) => {
    const count = counts.get(row.provenance.userId ?? '');
    return row.weight > 0 && count !== undefined ? { ...row, weight: Math.min(row.weight, personWeight / count) } : row;
  });
}
