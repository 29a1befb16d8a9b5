// From the rows of a frozen train set to what the trainer takes: examples in weighted sources. Rows of one
// answer are joined here; a row that lost its other half (somebody was forgotten) teaches nothing.
import type { ExampleSource, PairExample, PictureName, TrainingExample } from '../training/index.ts';
import type { TrainRow } from './contracts.ts';
import { rejectedOf } from './snapshot.ts';

/** A picture that the trainer shall know by its features. */
export interface NeededPicture {
  readonly name: string;
  /** Exactly one of the two is there. */
  readonly pictureId: string | null;
  readonly imageHash: string | null;
}

/** A request with the picture that was approved for it, and those that were not. */
export interface AskedPicture {
  readonly request: string;
  /** The asker's own words; else a caption, to be asked for in various words. */
  readonly verbatim: boolean;
  readonly pictureId: string;
  readonly rejected: readonly string[];
  readonly weight: number;
  readonly split: string;
}

/** A picture with words that describe it, or that do not. */
export interface DescribedPicture {
  readonly imageHash: string;
  readonly question: string | null;
  readonly text: string;
  readonly right: boolean;
  readonly weight: number;
  readonly split: string;
}

export interface Lessons {
  readonly asked: readonly AskedPicture[];
  /** Requests of which only wrong pictures are known; `pictureId` is the first of them. */
  readonly refused: readonly AskedPicture[];
  readonly described: readonly DescribedPicture[];
  readonly talk: readonly { readonly user: string; readonly assistant: string; readonly weight: number; readonly split: string }[];
  /** Captions of pictures: given to /learn, replayed, or kept for the gate (`dev`). */
  readonly captions: readonly { readonly kind: 'learn' | 'replay' | 'dev'; readonly text: string; readonly pictureId: string; readonly weight: number }[];
}

export function lessonsOf(rows: readonly TrainRow[]): Lessons {
  const questions = new Map<string, TrainRow>();
  const pictures = new Map<string, TrainRow>();
  const captionOf = new Map<string, string>();
  for (const row of rows) {
    const { answerId } = row.provenance;
    if (row.kind === 'question' && answerId !== null) questions.set(answerId, row);
    if (row.kind === 'picture' && answerId !== null) pictures.set(answerId, row);
    if ((row.kind === 'learn' || row.kind === 'gallery') && row.pictureId !== null && row.text !== null) captionOf.set(row.pictureId, row.text);
  }
  const asked: AskedPicture[] = [];
  const refused: AskedPicture[] = [];
  const described: DescribedPicture[] = [];
  const talk: { user: string; assistant: string; weight: number; split: string }[] = [];
  const captions: { kind: 'learn' | 'replay' | 'dev'; text: string; pictureId: string; weight: number }[] = [];
  for (const row of rows) {
    const { kind, weight, split, pictureId, text, provenance } = row;
    const question = questions.get(provenance.answerId ?? '');
    const said = question?.extra?.['answer'];
    const answer = typeof said === 'string' ? said : null;
    const imageHash = pictures.get(provenance.answerId ?? '')?.imageHash ?? null;
    if ((kind === 'positive' || kind === 'negative') && pictureId !== null) {
      const request = question?.text ?? captionOf.get(pictureId) ?? null;
      if (request !== null) (kind === 'positive' ? asked : refused).push({ request, verbatim: question !== undefined, pictureId, rejected: rejectedOf(row.extra), weight, split });
    } else if (kind === 'caption' || kind === 'unlikelihood') {
      const words = text ?? answer;
      if (words !== null && imageHash !== null) described.push({ imageHash, question: question?.text ?? null, text: words, right: kind === 'caption', weight, split });
    } else if (kind === 'talk' && question?.text != null && answer !== null) talk.push({ user: question.text, assistant: answer, weight, split });
    else if ((kind === 'learn' || kind === 'replay' || kind === 'dev') && pictureId !== null && text !== null) captions.push({ kind, text, pictureId, weight });
  }
  return { asked, refused, described, talk, captions };
}

/** Pictures of the lessons, each once. */
export function picturesOf({ asked, refused, described, captions }: Lessons): NeededPicture[] {
  const ids = new Set([...asked, ...refused].flatMap(({ pictureId, rejected }) => [pictureId, ...rejected]).concat(captions.map(({ pictureId }) => pictureId)));
  const hashes = new Set(described.map(({ imageHash }) => imageHash));
  return [...[...ids].map((pictureId) => ({ name: galleryName(pictureId), pictureId, imageHash: null })), ...[...hashes].map((imageHash) => ({ name: sentName(imageHash), pictureId: null, imageHash }))];
}

export const galleryName = (pictureId: string): string => `gallery ${pictureId}`;
export const sentName = (imageHash: string): string => `sent ${imageHash}`;

const named = (name: string): PictureName => ({ images: '', name });

/** Two requests that differ in nothing but capitals, marks and spaces are one. */
export function requestKey(request: string): string {
  return request.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, ' ').trim();
}

/**
 * Weighted sources of the part that is trained on. Examples of equal weight form a source whose weight is
 * their sum, so that each example is drawn in proportion to its own.
 *
 * @param known pictures whose features are there; examples of others are left out
 * @param replayShare of all draws
 */
export function trainingSources(lessons: Lessons, known: ReadonlySet<string>, replayShare: number): ExampleSource[] {
  const wrongFor = new Map<string, Set<string>>();
  for (const { request, pictureId, rejected } of lessons.refused.filter(({ split }) => split === 'train')) {
    const wrong = wrongFor.get(requestKey(request)) ?? new Set();
    for (const id of [pictureId, ...rejected]) wrong.add(id);
    wrongFor.set(requestKey(request), wrong);
  }
  const approvedFor = new Set(lessons.asked.map(({ request }) => requestKey(request)));
  const weighed: { readonly weight: number; readonly captioning: boolean; readonly retrieval: boolean; readonly example: TrainingExample }[] = [];
  const pair = (name: string, caption: string, more: Partial<PairExample>): PairExample => ({ kind: 'pair', caption, isName: true, picture: named(name), ...more });
  const rejectedNames = (ids: Iterable<string>): PictureName[] => [...new Set(ids)].map(galleryName).filter((name) => known.has(name)).map(named);

  for (const { request, verbatim, pictureId, rejected, weight, split } of lessons.asked) {
    if (split !== 'train' || !known.has(galleryName(pictureId))) continue;
    const wrong = rejectedNames([...rejected, ...(wrongFor.get(requestKey(request)) ?? [])].filter((id) => id !== pictureId));
    weighed.push({ weight, captioning: false, retrieval: true, example: pair(galleryName(pictureId), request, { ...(verbatim ? { request } : {}), ...(wrong.length > 0 ? { rejected: wrong } : {}) }) });
  }
  for (const { request, verbatim, pictureId, weight, split } of lessons.refused) {
    // Where something was approved for the same request these are its hard negatives already.
    if (split !== 'train' || approvedFor.has(requestKey(request)) || !known.has(galleryName(pictureId))) continue;
    weighed.push({ weight, captioning: false, retrieval: true, example: pair(galleryName(pictureId), request, { ...(verbatim ? { request } : {}), unlikely: true }) });
  }
  for (const { imageHash, question, text, right, weight, split } of lessons.described) {
    if (split !== 'train' || !known.has(sentName(imageHash))) continue;
    weighed.push({ weight, captioning: true, retrieval: false, example: pair(sentName(imageHash), text, { isName: false, ...(question === null ? {} : { question }), ...(right ? {} : { unlikely: true }) }) });
  }
  for (const { user, assistant, weight, split } of lessons.talk) if (split === 'train') weighed.push({ weight, captioning: false, retrieval: true, example: { kind: 'talk', user, assistant } });
  const learnt = (kind: 'learn' | 'replay') => lessons.captions.filter((one) => one.kind === kind && known.has(galleryName(one.pictureId)));
  for (const { text, pictureId, weight } of learnt('learn')) weighed.push({ weight, captioning: true, retrieval: true, example: pair(galleryName(pictureId), text, { isName: false }) });

  const groups = new Map<string, typeof weighed>();
  for (const one of weighed) {
    const key = `${one.captioning} ${one.retrieval} ${one.weight.toFixed(4)}`;
    groups.set(key, [...(groups.get(key) ?? []), one]);
  }
  const total = weighed.reduce((sum, { weight }) => sum + weight, 0);
  const sources = [...groups].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, group]): ExampleSource => ({
    name: `feedback ${name}`,
    weight: (group.reduce((sum, { weight }) => sum + weight, 0) / total) * (1 - replayShare),
    captioning: group[0]!.captioning,
    retrieval: group[0]!.retrieval,
    examples: group.map(({ example }) => example),
  }));
  const replay = learnt('replay').map(({ text, pictureId }) => pair(galleryName(pictureId), text, {}));
  // Captions are replayed only where captioning is trained at all.
  const captioning = sources.some((source) => source.captioning);
  return replay.length === 0 || replayShare === 0 ? sources : [...sources, { name: 'replay', weight: replayShare, captioning, retrieval: true, examples: replay }];
}
