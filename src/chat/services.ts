// What commands need from rooms above or beside the conversation: training jobs, adapters, the gallery's
// administration. Each is optional; a command whose service is missing says plainly that it is not there.
import type { Author, Locale, Place } from './types.ts';

export interface JobStatus {
  readonly id: string;
  readonly state: 'waiting' | 'running' | 'gating' | 'done' | 'failed' | 'cancelled' | 'refused';
  readonly startedAt: number;
  readonly endedAt: number | null;
  /** 0 to 1. */
  readonly progress: number;
  /** New examples in the snapshot. */
  readonly examples: number;
  /** One line for people, in the language asked for: reason, metrics, verdict of the gate. */
  readonly summary: string;
}

/** The life cycle of training; `learning/` implements it. What it says is in `locale`, English by default. */
export interface TrainingJobs {
  /** Too little data and a job that runs already are answers, not errors. */
  start(request: { readonly by: string; readonly reason: string; readonly locale?: Locale }): Promise<
    | { readonly started: true; readonly job: JobStatus }
    | { readonly started: false; readonly why: string }
  >;
  /** The job going on, else the last one; null when there never was one. */
  status(locale?: Locale): Promise<JobStatus | null>;
  /** False when nothing runs. */
  cancel(by: string): Promise<boolean>;
  /** Newest first. */
  history(limit: number, locale?: Locale): Promise<readonly JobStatus[]>;
  /** Calls back on each change until aborted. */
  watch?(id: string, onChange: (status: JobStatus) => void, signal: AbortSignal, locale?: Locale): void;
}

export interface AdapterVersion {
  readonly id: string;
  readonly serving: boolean;
  readonly parent: string | null;
  readonly createdAt: number;
  /** Lines for people, in the language asked for: snapshot, metrics, who promoted it and why. */
  readonly details: readonly string[];
}

export interface AdapterVersions {
  /** Newest first. */
  list(): Promise<readonly AdapterVersion[]>;
  show(id: string, locale?: Locale): Promise<AdapterVersion | null>;
  /** @throws FromageError with a `userMessage` when the gate or the id forbids it */
  promote(id: string, by: string, why?: string): Promise<AdapterVersion>;
  /** The version that serves afterwards; null when there is no earlier one. */
  rollback(by: string, why?: string): Promise<AdapterVersion | null>;
  /**
   * Lets one chat be answered by a version of its own; null lets it follow the one that serves.
   *
   * @returns the version's whole id
   * @throws FromageError with a `userMessage` when the gate or the id forbids it
   */
  pin(chatId: string, id: string | null): Promise<string | null>;
  pinned(chatId: string): Promise<string | null>;
}

export interface LearnRequest {
  readonly bytes: Uint8Array;
  readonly mimeType: string;
  readonly width: number;
  readonly height: number;
  readonly caption: string;
  readonly place: Place;
  readonly author: Author;
  /** Pseudonymous user id. */
  readonly userId: string;
  /** Tenant that may see it, e.g. `chat:telegram:2`. */
  readonly tenant: string;
}

/** Changing what can be shown; `retrieval/` implements it. */
export interface GalleryAdmin {
  /** Retrievable once it resolves. A picture that is there already, or on the deny list, is an answer. */
  learn(request: LearnRequest): Promise<
    | { readonly outcome: 'added'; readonly id: string; readonly total: number }
    | { readonly outcome: 'known'; readonly id: string }
    | { readonly outcome: 'denied' }
  >;
  /** Takes out pictures; with `addedBy` only those of that user. Gives the ids that went. */
  remove(request: { readonly ids: readonly string[]; readonly tenants: readonly string[]; readonly addedBy?: string; readonly deny: boolean }): Promise<readonly string[]>;
  /** What a chat sees. */
  stats(tenants: readonly string[]): Promise<{ readonly total: number; readonly own: number; readonly index: string }>;
}

/** Told of votes and corrections beside the store, e.g. to count them or to start a job by a threshold. */
export interface FeedbackListener {
  voted(answerId: string, userId: string, value: 'up' | 'down' | null): void;
}

export interface ChatServices {
  /** The adapter that answers a chat now (pinned, else serving): a request and its searches name it, and end with it. */
  readonly adapterFor?: (chatId: string) => Promise<string | undefined>;
  readonly jobs?: TrainingJobs;
  readonly adapters?: AdapterVersions;
  readonly galleryAdmin?: GalleryAdmin;
  readonly feedback?: FeedbackListener;
}
