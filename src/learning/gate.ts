// The gate: a candidate beside the adapter that serves, on what neither was trained on: feedback that is
// kept back, and gallery pictures looked for by their captions. Both are asked through the engine that
// answers people, so that what is judged is what would be served.
import type { Phrase } from '../chat/index.ts';
import { type PairedDifference, pairedBootstrap } from '../evaluation/index.ts';
import { retrievalPrompt } from '../engine/index.ts';
import type { Engine, Prompt } from '../engine/types.ts';
import { galleryName, type Lessons, requestKey, sentName } from './materials.ts';
import type { LearningSettings } from './settings.ts';

const promptBatch = 16;
/** Captions cost a run through the language model each. */
const captionLimit = 48;

export interface GateFigure {
  readonly serving: number;
  readonly candidate: number;
  readonly difference: number;
  readonly low: number;
  readonly high: number;
  readonly count: number;
}

export interface Verdict {
  readonly passed: boolean;
  /** What was not good enough; empty when it passed. */
  readonly reasons: readonly Phrase[];
  /** Share of held-out answers that people would approve. */
  readonly approval: GateFigure | null;
  /** Mean reciprocal rank of a dev picture by its caption. */
  readonly recall: GateFigure | null;
  /** Mean negative log-likelihood of a token of right descriptions, in nats. */
  readonly captionLoss: GateFigure | null;
}

export interface GateOptions {
  readonly engine: Engine;
  readonly candidate: string;
  readonly serving: string;
  readonly lessons: Lessons;
  readonly features: ReadonlyMap<string, Float32Array>;
  readonly settings: LearningSettings;
  readonly signal?: AbortSignal;
}

export async function judge(options: GateOptions): Promise<Verdict> {
  const { settings } = options;
  const approval = await compare(options, approvals);
  const recall = await compare(options, devRanks);
  const captionLoss = await compare(options, captionLosses);
  const { minApprovalGain, approvalLoss, recallLoss, captionLoss: mostCaptionLoss } = settings.gate;
  const reasons: Phrase[] = [];
  if (approval === null || approval.count < settings.minHeldOut) reasons.push({ key: 'gate.fewHeldOut', values: { count: approval?.count ?? 0 } });
  else {
    if (approval.difference < minApprovalGain) reasons.push({ key: 'gate.approvalGain', values: { asked: minApprovalGain, difference: approval.difference } });
    if (approval.low < -approvalLoss) reasons.push({ key: 'gate.approvalLoss', values: { lost: -approval.low } });
  }
  if (recall !== null && recall.low < -recallLoss) reasons.push({ key: 'gate.recallLoss' });
  if (captionLoss !== null && captionLoss.high > mostCaptionLoss) reasons.push({ key: 'gate.captionLoss' });
  return { passed: reasons.length === 0, reasons, approval, recall, captionLoss };
}

type Measure = (options: GateOptions, adapter: string) => Promise<readonly number[]>;

async function compare(options: GateOptions, measure: Measure): Promise<GateFigure | null> {
  const serving = await measure(options, options.serving);
  if (serving.length === 0) return null;
  const candidate = await measure(options, options.candidate);
  const { difference, low, high }: PairedDifference = pairedBootstrap(serving, candidate);
  return { serving: mean(serving), candidate: mean(candidate), difference, low, high, count: serving.length };
}

/** 1 where the answer would be approved: an approved picture comes first; where none is known, none that was rejected. */
async function approvals({ engine, lessons, features, signal }: GateOptions, adapter: string): Promise<number[]> {
  const held = [...lessons.asked.map((one) => ({ ...one, right: true })), ...lessons.refused.map((one) => ({ ...one, right: false }))].filter(({ split, pictureId }) => split === 'held-out' && features.has(galleryName(pictureId)));
  if (held.length === 0) return [];
  const approved = new Map<string, Set<string>>();
  for (const { request, pictureId } of lessons.asked) approved.set(requestKey(request), (approved.get(requestKey(request)) ?? new Set()).add(galleryName(pictureId)));
  const pool = await projected(engine, features, adapter, (name) => name.startsWith(galleryName('')));
  const { promptStyle } = await engine.info();
  const vectors = await embedded(engine, held.map(({ request, verbatim }) => (verbatim ? asTyped(request) : retrievalPrompt(request, promptStyle))), adapter, signal);
  return held.map(({ request, pictureId, rejected, right }, i) => {
    const best = bestOf(vectors[i]!, pool);
    const wrong = new Set([...rejected.map(galleryName), ...(right ? [] : [galleryName(pictureId)])]);
    // What others approved for the same request is right here too.
    const known = approved.get(requestKey(request));
    return (known ? known.has(best) && !wrong.has(best) : !wrong.has(best)) ? 1 : 0;
  });
}

/** Reciprocal ranks of the dev pictures among themselves. */
async function devRanks({ engine, lessons, features, signal }: GateOptions, adapter: string): Promise<number[]> {
  const dev = lessons.captions.filter(({ kind, pictureId }) => kind === 'dev' && features.has(galleryName(pictureId)));
  if (dev.length < 2) return [];
  const names = new Set(dev.map(({ pictureId }) => galleryName(pictureId)));
  const pool = await projected(engine, features, adapter, (name) => names.has(name));
  const { promptStyle } = await engine.info();
  const vectors = await embedded(engine, dev.map(({ text }) => retrievalPrompt(text, promptStyle)), adapter, signal);
  return dev.map(({ pictureId }, i) => {
    const own = dot(vectors[i]!, pool.get(galleryName(pictureId))!);
    let rank = 1;
    for (const [name, vector] of pool) if (name !== galleryName(pictureId) && dot(vectors[i]!, vector) >= own) rank++;
    return 1 / rank;
  });
}

/** Of descriptions that people approved on held-out answers, and of dev captions. */
async function captionLosses({ engine, lessons, features, signal }: GateOptions, adapter: string): Promise<number[]> {
  const held = lessons.described.filter(({ split, right }) => split === 'held-out' && right).map(({ imageHash, question, text }) => ({ name: sentName(imageHash), question, text }));
  // Without any lesson about descriptions the map of pictures into words was not trained.
  const dev = lessons.described.length === 0 ? [] : lessons.captions.filter(({ kind }) => kind === 'dev').map(({ pictureId, text }) => ({ name: galleryName(pictureId), question: null, text }));
  const losses: number[] = [];
  for (const { name, question, text } of [...held, ...dev].filter(({ name }) => features.has(name)).slice(0, captionLimit)) {
    signal?.throwIfAborted();
    const prompt: Prompt = { kind: 'turns', turns: [{ role: 'user', parts: [{ type: 'image', image: { pooled: features.get(name)! } }, { type: 'text', text: question ?? 'What is in this picture?' }] }] };
    const [score] = await engine.scoreCandidates(prompt, [text], adapter);
    losses.push(-(score ?? 0));
  }
  return losses;
}

/** A request as a conversation lays it out. */
export function asTyped(request: string): Prompt {
  return { kind: 'turns', turns: [{ role: 'user', parts: [{ type: 'text', text: request }] }] };
}

async function embedded(engine: Engine, prompts: readonly Prompt[], adapter: string, signal?: AbortSignal): Promise<Float32Array[]> {
  const vectors: Float32Array[] = [];
  for (let i = 0; i < prompts.length; i += promptBatch) {
    signal?.throwIfAborted();
    vectors.push(...(await engine.embedPrompts(prompts.slice(i, i + promptBatch), adapter)));
  }
  return vectors;
}

export async function projected(engine: Pick<Engine, 'projectImages'>, features: ReadonlyMap<string, Float32Array>, adapter: string, wanted: (name: string) => boolean): Promise<Map<string, Float32Array>> {
  const names = [...features.keys()].filter(wanted);
  const vectors = await engine.projectImages(names.map((name) => features.get(name)!), adapter);
  return new Map(names.map((name, i) => [name, vectors[i]!]));
}

function bestOf(vector: Float32Array, pool: ReadonlyMap<string, Float32Array>): string {
  let best = '';
  let most = Number.NEGATIVE_INFINITY;
  for (const [name, other] of pool) {
    const score = dot(vector, other);
    if (score > most) [best, most] = [name, score];
  }
  return best;
}

function dot(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
