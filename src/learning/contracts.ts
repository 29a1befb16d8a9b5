// What learning needs from a store: adapter versions with their lineage, training runs with their curves,
// frozen train sets with provenance, jobs, and the votes as training material. `store/` implements it.
import type { Consent, Correction, JsonObject, JsonValue, TurnPart, VoteValue } from '../chat/contracts.ts';

// ---- adapter versions

export interface AdapterVersion {
  readonly id: string;
  readonly parentId: string | null;
  /** Path of the folder, relative to the data folder. */
  readonly folder: string;
  /** SHA-256 over all its tensors. */
  readonly hash: string;
  /** SHA-256 over `visual_fc`: gallery vectors belong to it. */
  readonly visualHash: string;
  readonly state: 'candidate' | 'refused' | 'serving' | 'retired';
  readonly trainSetId: string | null;
  readonly runId: string | null;
  readonly metrics: JsonObject;
  /** What the gate decided and by which figures. */
  readonly verdict: JsonObject | null;
  readonly createdAt: number;
  /** Rows of people who have since been forgotten; above 0 a retraining without them is due. */
  readonly forgottenRows: number;
}

export type NewAdapterVersion = Omit<AdapterVersion, 'state' | 'createdAt' | 'forgottenRows' | 'verdict'>;

export interface Promotion {
  readonly adapterId: string;
  readonly previousId: string | null;
  readonly kind: 'promote' | 'rollback';
  readonly by: string | null;
  readonly why: string | null;
  readonly at: number;
}

export interface AdapterStore {
  /** As a candidate. The same id twice is an error (STORE_CONFLICT). */
  add(version: NewAdapterVersion): Promise<AdapterVersion>;
  get(id: string): Promise<AdapterVersion | null>;
  /** Newest first. */
  list(limit?: number): Promise<readonly AdapterVersion[]>;
  judge(id: string, verdict: JsonObject, refused: boolean): Promise<void>;
  serving(): Promise<AdapterVersion | null>;
  /** One transaction: the serving one retires, this one serves, the promotion is recorded. */
  promote(id: string, facts: { readonly by?: string; readonly why?: string; readonly kind?: 'promote' | 'rollback' }): Promise<Promotion>;
  /** Newest first. */
  promotions(limit?: number): Promise<readonly Promotion[]>;
  /** Pins a chat to a version; null unpins. */
  pin(chatId: string, adapterId: string | null): Promise<void>;
  pinned(chatId: string): Promise<string | null>;
  remove(id: string): Promise<boolean>;
}

// ---- train sets

/** Where a row comes from and why it may be used. */
export interface Provenance {
  /** Whose it is; null for base data. */
  readonly userId: string | null;
  readonly consentId: string | null;
  readonly platform: string | null;
  readonly chatId: string | null;
  readonly answerId: string | null;
  /** `gallery`, `vote`, `correction`, `learn`, `base`, … */
  readonly origin: string;
  readonly contentClass: string;
}

export interface TrainRow {
  /** `caption`, `positive`, `negative`, `unlikelihood`, `replay`, … */
  readonly kind: string;
  /** `train` or `held-out`. */
  readonly split: string;
  readonly weight: number;
  readonly text: string | null;
  /** Bytes in the file store. */
  readonly imageHash: string | null;
  readonly pictureId: string | null;
  /** Anything else the trainer reads. */
  readonly extra: JsonObject | null;
  readonly provenance: Provenance;
}

export interface TrainSet {
  readonly id: string;
  /** SHA-256 over the rows as they were frozen. */
  readonly hash: string;
  readonly rowCount: number;
  /** Rows taken out since (forget, takedown). A set with any is no longer what its hash says. */
  readonly removedRows: number;
  readonly createdAt: number;
  /** When training first read it. */
  readonly usedAt: number | null;
  readonly facts: JsonObject;
}

export interface TrainSetStore {
  /** Freezes rows in this order; the hash is over their canonical JSON. */
  freeze(rows: readonly TrainRow[], facts?: JsonObject): Promise<TrainSet>;
  get(id: string): Promise<TrainSet | null>;
  list(limit?: number): Promise<readonly TrainSet[]>;
  /** In order, in pages; `after` is the position of the last row of the page before. */
  rows(id: string, page?: { readonly after?: number; readonly limit?: number }): Promise<readonly (TrainRow & { readonly position: number })[]>;
  /** From now on adapters trained on it are named by `forget`. False: rows were removed, freeze anew. */
  markUsed(id: string): Promise<boolean>;
  remove(id: string): Promise<boolean>;
}

// ---- training runs

export interface TrainingRun {
  readonly id: string;
  readonly state: 'waiting' | 'running' | 'done' | 'failed' | 'cancelled';
  readonly why: string | null;
  readonly requestedBy: string | null;
  readonly trainSetId: string | null;
  readonly parentAdapterId: string | null;
  readonly config: JsonObject;
  readonly folder: string | null;
  readonly step: number;
  readonly totalSteps: number | null;
  readonly error: string | null;
  readonly createdAt: number;
  readonly startedAt: number | null;
  readonly finishedAt: number | null;
}

export interface RunPoint {
  readonly step: number;
  readonly at: number;
  readonly values: Readonly<Record<string, number>>;
}

export interface RunStore {
  create(run: { readonly why?: string; readonly requestedBy?: string; readonly trainSetId?: string; readonly parentAdapterId?: string; readonly config?: JsonObject }): Promise<TrainingRun>;
  get(id: string): Promise<TrainingRun | null>;
  list(limit?: number): Promise<readonly TrainingRun[]>;
  update(id: string, change: Partial<Pick<TrainingRun, 'state' | 'folder' | 'step' | 'totalSteps' | 'error' | 'trainSetId'>>): Promise<TrainingRun | null>;
  /** Points of the curves; the same step again replaces. */
  record(id: string, points: readonly RunPoint[]): Promise<void>;
  curve(id: string): Promise<readonly RunPoint[]>;
}

// ---- jobs

export interface Job {
  readonly id: string;
  readonly kind: string;
  readonly payload: JsonValue;
  readonly state: 'waiting' | 'running' | 'done' | 'failed' | 'cancelled';
  readonly progress: JsonValue;
  readonly result: JsonValue;
  readonly error: string | null;
  readonly attempts: number;
  readonly cancelRequested: boolean;
  readonly requestedBy: string | null;
  readonly createdAt: number;
  readonly finishedAt: number | null;
}

export interface ClaimedJob extends Job {
  readonly fence: number;
  readonly leaseUntil: number;
}

export interface JobStore {
  /** With `key`, one unfinished job of that key at a time: asking again gives it, `created: false`. */
  enqueue(job: { readonly kind: string; readonly payload?: JsonValue; readonly key?: string; readonly requestedBy?: string }): Promise<{ readonly job: Job; readonly created: boolean }>;
  /** The oldest waiting one of these kinds, or one whose lease expired (its worker died). */
  claim(kinds: readonly string[], options: { readonly owner: string; readonly leaseMs: number }): Promise<ClaimedJob | null>;
  /** Renews the lease, keeps the progress, tells whether somebody asked to stop. Lost: stop, another worker has it. */
  heartbeat(claim: ClaimedJob, leaseMs: number, progress?: JsonValue): Promise<'go-on' | 'cancel' | 'lost'>;
  finish(claim: ClaimedJob, end: { readonly state: 'done'; readonly result?: JsonValue } | { readonly state: 'failed'; readonly error: string } | { readonly state: 'cancelled' }): Promise<boolean>;
  /** A waiting job is cancelled at once, a running one is asked to. False: it is over already. */
  cancel(id: string): Promise<boolean>;
  get(id: string): Promise<Job | null>;
  list(options?: { readonly kind?: string; readonly limit?: number }): Promise<readonly Job[]>;
}

// ---- feedback

/** One person's word on one answer, with what is needed to make an example of it, and to refuse to. */
export interface FeedbackRow {
  readonly answerId: string;
  readonly userId: string;
  readonly platform: string;
  readonly chatId: string;
  readonly vote: VoteValue | null;
  readonly corrections: readonly Correction[];
  readonly at: number;
  readonly adapter: string;
  /** Who wrote the question, and its parts; quotations of people without a `train-text` consent here are left out. */
  readonly questionAuthorId: string | null;
  readonly question: readonly TurnPart[];
  readonly answer: readonly TurnPart[];
  readonly shown: readonly { readonly pictureId: string; readonly imageHash: string; readonly score: number }[];
  /** Consents in force now: the voter's, and the author's to use the text. */
  readonly voterConsents: readonly Consent[];
  readonly authorConsents: readonly Consent[];
}

export interface FeedbackStore {
  /** Changed since `since` (exclusive), oldest first. */
  since(since: number, limit?: number): Promise<readonly FeedbackRow[]>;
  /** How many votes and corrections changed since. */
  countSince(since: number): Promise<number>;
}

export interface LearningStore {
  readonly adapters: AdapterStore;
  readonly trainSets: TrainSetStore;
  readonly runs: RunStore;
  readonly jobs: JobStore;
  readonly feedback: FeedbackStore;
}
