// A train set: everything that may be used now, as rows in a fixed order, frozen under a hash. What it
// leaves out it counts, in words that can be told to people.
import type { Phrase } from '../chat/index.ts';
import type { Picture } from '../retrieval/types.ts';
import { everybody, type Gallery } from '../retrieval/types.ts';
import { allowFeedback } from './consent.ts';
import type { FeedbackRow, TrainRow, TrainSet } from './contracts.ts';
import { askedInWords, boundPeople, feedbackRows, lessonOf, splitOf, type TaughtFeedback } from './examples.ts';
import { Permissions } from './permissions.ts';
import type { LearningSettings } from './settings.ts';
import type { LearningStores } from './stores.ts';

export const lessonKinds: ReadonlySet<string> = new Set(['positive', 'negative', 'caption', 'unlikelihood', 'talk']);
const basePlace = { userId: null, consentId: null, platform: null, chatId: null, answerId: null } as const;

export interface Snapshot {
  readonly rows: readonly TrainRow[];
  /** Lessons and captions that may be trained on. */
  readonly examples: number;
  /** Of these, newer than what the last run saw. */
  readonly newExamples: number;
  readonly heldOut: number;
  readonly people: number;
  /** Time of the newest feedback or caption. */
  readonly until: number;
  /** Why something was left out (named as in the catalogue's `job.leftOut`), with how often. */
  readonly leftOut: Readonly<Record<string, number>>;
}

export interface SnapshotOptions {
  readonly store: LearningStores;
  readonly gallery: () => Gallery | null;
  readonly settings: LearningSettings;
  /** What is older was seen by a run already. */
  readonly since: number;
}

export async function takeSnapshot({ store, gallery, settings, since }: SnapshotOptions): Promise<Snapshot> {
  const permissions = new Permissions(store, settings.discord);
  const leftOut: Record<string, number> = {};
  const leave = (reason: string): void => void (leftOut[reason] = (leftOut[reason] ?? 0) + 1);
  const pictures = new PictureCheck(store, gallery(), permissions);
  const taught: TaughtFeedback[] = [];
  let until = since;
  for await (const row of allFeedback(store)) {
    until = Math.max(until, row.at);
    const allowed = await allowFeedback(row, permissions);
    if (typeof allowed === 'string') {
      leave(allowed);
      continue;
    }
    const lesson = lessonOf(allowed, { shown: shownIn(row), replaced: row.vote === 'up' ? await replacedBy(store, row.answerId) : [] });
    if (lesson === null) leave(askedInWords(row) ? 'nothingToLearn' : 'noWords');
    else if ('pictureId' in lesson && !(await pictures.may(lesson.pictureId))) leave('pictureGone');
    else taught.push({ allowed, lesson });
  }
  const own = feedbackRows(taught, settings.heldOutShare);
  const named = new Set(own.flatMap(({ pictureId, extra }) => [...(pictureId === null ? [] : [pictureId]), ...rejectedOf(extra)]));
  const captions = await captionRows(store, permissions, pictures, named);
  const rows = boundPeople([...own, ...captions.rows], settings.personWeight);
  rows.push(...(await replayRows(gallery(), settings, new Set(captions.rows.map(({ pictureId }) => pictureId ?? '')))));
  until = Math.max(until, captions.until);
  const lessons = rows.filter(({ kind }) => lessonKinds.has(kind));
  const counted = [...lessons, ...rows.filter(({ kind }) => kind === 'learn')];
  return {
    rows,
    examples: counted.filter(({ split }) => split === 'train').length,
    newExamples: taught.filter(({ allowed }) => allowed.row.at > since).length + captions.added.filter((at) => at > since).length,
    heldOut: lessons.filter(({ split }) => split === 'held-out').length,
    people: new Set(counted.map(({ provenance }) => provenance.userId)).size,
    until,
    leftOut,
  };
}

/** Why a run is not worth starting; null when it is. */
export function tooLittle({ newExamples, people, heldOut, leftOut }: Snapshot, settings: LearningSettings): readonly Phrase[] | null {
  const missing: Phrase[] = [];
  if (newExamples < settings.minNewExamples) missing.push({ key: 'job.fewNew', values: { count: newExamples, needed: settings.minNewExamples } });
  if (people < settings.minPeople) missing.push({ key: 'job.fewPeople', values: { count: people, needed: settings.minPeople } });
  if (heldOut < settings.minHeldOut) missing.push({ key: 'job.fewHeldOut', values: { count: heldOut, needed: settings.minHeldOut } });
  if (missing.length === 0) return null;
  const reasons = Object.entries(leftOut).map(([reason, count]): Phrase => ({ key: 'job.leftOut', values: { reason, count } }));
  return [{ key: 'job.tooLittle' }, ...missing, ...reasons];
}

export async function freezeSnapshot(store: LearningStores, { rows, leftOut, ...facts }: Snapshot): Promise<TrainSet> {
  return store.trainSets.freeze(rows, { ...facts, leftOut: { ...leftOut } });
}

export function rejectedOf(extra: TrainRow['extra']): string[] {
  const rejected = extra?.['rejected'];
  return Array.isArray(rejected) ? rejected.filter((id): id is string => typeof id === 'string') : [];
}

async function* allFeedback(store: LearningStores): AsyncGenerator<FeedbackRow, void, undefined> {
  for (let since = 0; ; ) {
    const page = await store.feedback.since(since);
    yield* page;
    const last = page.at(-1);
    if (last === undefined) return;
    since = last.at;
  }
}

/** Pictures of an answer: those of the gallery's rows with their scores, and those that come with the program. */
function shownIn({ shown, answer }: FeedbackRow): string[] {
  return [...new Set([...shown.map(({ pictureId }) => pictureId), ...answer.flatMap((part) => (part.type === 'image' && part.pictureId !== undefined ? [part.pictureId] : []))])];
}

/** Pictures of earlier answers to the same question. */
async function replacedBy({ conversations }: LearningStores, answerId: string): Promise<string[]> {
  const answer = await conversations.answer(answerId);
  if (!answer?.questionTurnId) return [];
  const answers = await conversations.answersTo(answer.questionTurnId);
  return answers.filter(({ id, createdAt }) => id !== answerId && createdAt <= answer.createdAt).flatMap(({ shown }) => shown.map(({ pictureId }) => pictureId));
}

class PictureCheck {
  readonly #store: LearningStores;
  readonly #gallery: Gallery | null;
  readonly #permissions: Permissions;
  readonly #known = new Map<string, Promise<Picture | null>>();

  constructor(store: LearningStores, gallery: Gallery | null, permissions: Permissions) {
    this.#store = store;
    this.#gallery = gallery;
    this.#permissions = permissions;
  }

  async may(id: string): Promise<boolean> {
    const picture = await this.find(id);
    return picture !== null && picture.contentClass === 'safe' && (await this.#permissions.pictureConsent(picture)).allowed;
  }

  find(id: string): Promise<Picture | null> {
    const found = this.#known.get(id) ?? this.#find(id);
    this.#known.set(id, found);
    return found;
  }

  async #find(id: string): Promise<Picture | null> {
    const row = await this.#store.pictures.get(id);
    if (row) return row.dead ? null : row;
    return (await this.#gallery?.get(id, { tenants: [everybody] })) ?? null;
  }
}

/** Captions given to /learn by people who consent, and those of the operator's pictures that were voted on. */
async function captionRows(store: LearningStores, permissions: Permissions, pictures: PictureCheck, named: ReadonlySet<string>): Promise<{ rows: TrainRow[]; added: number[]; until: number }> {
  const rows: TrainRow[] = [];
  const added: number[] = [];
  let until = 0;
  for (let after: string | undefined; ; ) {
    const page = await store.pictures.list({}, after === undefined ? {} : { after });
    for (const picture of page) {
      if (picture.addedBy === null || picture.caption === null || picture.contentClass !== 'safe') continue;
      const { consent } = await permissions.pictureConsent(picture);
      if (consent === null) continue;
      added.push(picture.addedAt);
      until = Math.max(until, picture.addedAt);
      rows.push({
        kind: 'learn', split: 'train', weight: 1, text: picture.caption, imageHash: null, pictureId: picture.id, extra: null,
        provenance: { userId: picture.addedBy, consentId: consent.id, platform: consent.platform, chatId: consent.chatId, answerId: null, origin: 'learn', contentClass: picture.contentClass },
      });
    }
    after = page.at(-1)?.id;
    if (after === undefined) break;
  }
  for (const id of named) {
    const picture = await pictures.find(id);
    if (picture?.addedBy !== null) continue;
    const text = picture.caption ?? picture.alt;
    rows.push({ kind: 'gallery', split: 'train', weight: 0, text, imageHash: null, pictureId: id, extra: null, provenance: { ...basePlace, origin: 'gallery', contentClass: picture.contentClass } });
  }
  return { rows, added, until };
}

/** The gallery's own pictures by their captions: trained along against forgetting, or looked for by the gate. */
async function replayRows(gallery: Gallery | null, { replay }: LearningSettings, taken: ReadonlySet<string>): Promise<TrainRow[]> {
  const wanted = replay.pictures + replay.dev;
  const pictures = wanted === 0 ? [] : ((await gallery?.sample?.({ tenants: [everybody] }, wanted)) ?? []);
  return pictures
    .filter(({ id, addedBy, contentClass }) => addedBy === null && contentClass === 'safe' && !taken.has(id))
    .map(({ id, caption, alt, contentClass }): TrainRow => {
      const split = splitOf(id, replay.dev / wanted);
      return { kind: split === 'train' ? 'replay' : 'dev', split, weight: 1, text: caption ?? alt, imageHash: null, pictureId: id, extra: null, provenance: { ...basePlace, origin: 'base', contentClass } };
    });
}
