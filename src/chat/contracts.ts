// What conversations need from a store, as plain values. `store/` implements all of it on SQLite and on
// PostgreSQL. Times are milliseconds since 1970; ids are opaque strings, those of users and chats random:
// nothing but their own row ties them to a person on a platform.
import type { FileStore } from '../retrieval/contracts.ts';

export type { FileStore, NewFile, StoredFile } from '../retrieval/contracts.ts';

export type JsonValue = string | number | boolean | null | readonly JsonValue[] | { readonly [key: string]: JsonValue };
export type JsonObject = { readonly [key: string]: JsonValue };

// ---- people and places

export interface User {
  /** Pseudonymous and random. */
  readonly id: string;
  /** `discord`, `telegram`, `web`, … */
  readonly platform: string;
  /** The platform's own id, as a string. */
  readonly externalId: string;
  readonly name: string | null;
  readonly locale: string | null;
}

export interface Chat {
  readonly id: string;
  readonly platform: string;
  /** Channel, thread, chat or `chat/topic`: whatever the platform names one place by. */
  readonly externalId: string;
  readonly kind: 'private' | 'group';
  /** The platform's guild (Discord) this place belongs to. */
  readonly guildId: string | null;
  readonly title: string | null;
}

export interface Conversation {
  readonly id: string;
  readonly chatId: string;
  readonly title: string | null;
  readonly createdAt: number;
  /** Of the last turn. */
  readonly updatedAt: number;
  /** Null for the one that is going on. */
  readonly closedAt: number | null;
}

// ---- turns and answers

export type TurnPart =
  /** `quoted`: user id of whose words or picture it is, in a quotation of somebody other than the turn's author. */
  | { readonly type: 'text'; readonly text: string; readonly quoted?: string }
  /** `pictureId` where a gallery picture was shown; `hash` names bytes in the file store ('' when it has only a link). */
  | { readonly type: 'image'; readonly hash: string; readonly pictureId?: string; readonly alt?: string; readonly quoted?: string };

export interface Turn {
  readonly id: string;
  readonly conversationId: string;
  /** 1, 2, 3 … within the conversation; gaps where turns were removed. */
  readonly seq: number;
  readonly role: 'user' | 'assistant';
  /** User id; null for the assistant. */
  readonly authorId: string | null;
  readonly parts: readonly TurnPart[];
  readonly createdAt: number;
  readonly editedAt: number | null;
}

export interface NewTurn {
  readonly role: 'user' | 'assistant';
  readonly authorId?: string | null;
  readonly parts: readonly TurnPart[];
  /** The platform's ids of the messages that are this turn (an album has several). */
  readonly messageIds?: readonly string[];
  /** The same key in the same conversation gives the turn that is already there. */
  readonly key?: string;
}

/** One [RET] of an answer. */
export interface AnswerRet {
  /** `[retrievalDim]`, unit length. */
  readonly embedding: Float32Array;
  /** Character offset (UTF-16) in the text. */
  readonly after: number;
  readonly probability: number;
}

export interface ShownPicture {
  readonly pictureId: string;
  /** Which [RET], from 0. */
  readonly ret: number;
  readonly score: number;
}

export interface NewAnswer {
  readonly conversationId: string;
  /** The turn that it answers. */
  readonly questionTurnId: string | null;
  readonly parts: readonly TurnPart[];
  readonly seed: number;
  /** Decoding options as they were used. */
  readonly options: JsonObject;
  readonly adapter: string;
  readonly model: string;
  /** The highest probability of [RET] at any step, before scaling. */
  readonly retProbability: number;
  readonly endReason: string;
  readonly usage?: JsonObject;
  readonly rets: readonly AnswerRet[];
  readonly shown: readonly ShownPicture[];
  /** The same key gives the answer that is already there: a question worked off again has one answer. */
  readonly key?: string;
}

export interface Answer extends Omit<NewAnswer, 'key'> {
  readonly id: string;
  /** The assistant's turn. */
  readonly turnId: string;
  readonly createdAt: number;
}

export interface ConversationStore {
  /** Finds or makes; a name or locale that is given replaces the kept one. */
  ensureUser(user: { readonly platform: string; readonly externalId: string; readonly name?: string; readonly locale?: string }): Promise<User>;
  user(id: string): Promise<User | null>;
  ensureChat(chat: { readonly platform: string; readonly externalId: string; readonly kind: 'private' | 'group'; readonly guildId?: string; readonly title?: string }): Promise<Chat>;
  chat(id: string): Promise<Chat | null>;
  /** By the platform's own id; null where nothing was ever said. */
  findChat(platform: string, externalId: string): Promise<Chat | null>;
  /** Telegram's `migrate_to_chat_id`: the place keeps its rows under its new platform id. */
  moveChat(chatId: string, externalId: string): Promise<void>;

  /** The conversation that is going on in a chat; one is opened if there is none. */
  current(chatId: string): Promise<Conversation>;
  /** Closes the current one and opens another. */
  reset(chatId: string, title?: string): Promise<Conversation>;
  conversation(id: string): Promise<Conversation | null>;
  /** Newest first. */
  conversations(chatId: string, limit?: number): Promise<readonly Conversation[]>;
  removeConversation(id: string): Promise<boolean>;

  appendTurn(conversationId: string, turn: NewTurn): Promise<Turn>;
  /** @returns the turn, null when it is gone */
  editTurn(turnId: string, parts: readonly TurnPart[]): Promise<Turn | null>;
  /** Removes a turn, and with a question its answers. */
  removeTurn(turnId: string): Promise<boolean>;
  /** Removes the last question with everything after it; gives what was removed, oldest first. */
  undo(conversationId: string): Promise<readonly Turn[]>;
  /** The newest `limit` (200 by default), oldest first. */
  turns(conversationId: string, limit?: number): Promise<readonly Turn[]>;
  turn(id: string): Promise<Turn | null>;

  /** Assistant's turn and answer in one transaction. */
  saveAnswer(answer: NewAnswer): Promise<Answer>;
  answer(id: string): Promise<Answer | null>;
  /** The answer whose assistant turn this is. */
  answerByTurn(turnId: string): Promise<Answer | null>;
  /** Of one question, newest first (🔁 makes several). */
  answersTo(questionTurnId: string): Promise<readonly Answer[]>;
  /** ➕: more pictures for one [RET]. */
  addShown(answerId: string, shown: readonly ShownPicture[]): Promise<void>;
  /** Every picture id shown in the conversation. */
  shownPictures(conversationId: string): Promise<ReadonlySet<string>>;

  /** Ties messages on the platform to a turn; a message tied before is tied anew. */
  bindMessages(chatId: string, turnId: string, messageIds: readonly string[]): Promise<void>;
  turnByMessage(chatId: string, messageId: string): Promise<Turn | null>;
  answerByMessage(chatId: string, messageId: string): Promise<Answer | null>;
  /** In the order of their numbers, in which they were sent. */
  messageIds(turnId: string): Promise<readonly string[]>;
}

// ---- inbox

export interface IncomingUpdate {
  readonly platform: string;
  /** Unique on the platform: update id, message id, interaction id. */
  readonly updateId: string;
  /** Updates of one lane are worked off one after the other, lanes side by side (`telegram:<chat>`). */
  readonly lane: string;
  readonly payload: JsonValue;
  /** Platform's user id: lets `forget` find what is still waiting. */
  readonly externalUserId?: string;
}

/** An update that nobody works on yet. */
export interface WaitingUpdate extends IncomingUpdate {
  readonly receivedAt: number;
}

/** A lease on a lane and the update at its head. Only the newest `fence` may finish it. */
export interface ClaimedUpdate extends IncomingUpdate {
  readonly id: string;
  /** 1 for the first. Above 1 the work may have been half done before. */
  readonly attempt: number;
  readonly receivedAt: number;
  readonly fence: number;
  readonly leaseUntil: number;
}

export interface DeadLetter {
  readonly id: string;
  readonly platform: string;
  readonly updateId: string;
  readonly lane: string;
  readonly attempts: number;
  readonly error: string | null;
  readonly diedAt: number;
}

export interface QueueStats {
  readonly pending: number;
  readonly running: number;
  readonly dead: number;
  /** Age of the oldest waiting entry in milliseconds, 0 when empty. */
  readonly oldestMs: number;
}

export interface ClaimOptions {
  /** Names the worker, for people who look. */
  readonly owner: string;
  /** Another worker may take over after this; extend it while working. */
  readonly leaseMs: number;
  /** Only of this platform. */
  readonly platform?: string;
  /**
   * Lanes that the caller itself is still working on. Their leases do not run out for it: on a machine that
   * is busy a lease may not be extended in time, and nothing shall be done twice by the same process.
   */
  readonly except?: readonly string[];
}

export interface Inbox {
  /** Durable once it resolves; only then may the platform be told. */
  accept(update: IncomingUpdate): Promise<'stored' | 'duplicate'>;
  /** One transaction for a batch; gives one word per update. */
  acceptAll(updates: readonly IncomingUpdate[]): Promise<readonly ('stored' | 'duplicate')[]>;
  /** The lane that has waited longest; null when nothing is ready. An expired lease is taken over. */
  claimNext(options: ClaimOptions): Promise<ClaimedUpdate | null>;
  /** False: the lease was lost, stop working. */
  extend(claim: ClaimedUpdate, leaseMs: number): Promise<boolean>;
  /**
   * Marks it done, drops its payload and enqueues `outgoing`, all in one transaction; so are those still
   * waiting behind it in its lane whose update ids are `joined` (an album's other pictures). False: the
   * lease was lost, nothing happened.
   */
  complete(claim: ClaimedUpdate, outgoing?: readonly OutgoingMessage[], joined?: readonly string[]): Promise<boolean>;
  /** Gives it back to be tried again after `retryInMs`; without it, or after `maxAttempts` (8), it goes to the dead letters. */
  fail(claim: ClaimedUpdate, error: string, options?: { readonly retryInMs?: number; readonly maxAttempts?: number }): Promise<'retry' | 'dead' | 'lost'>;
  /** Gives it back at once without counting the attempt (shutdown). */
  release(claim: ClaimedUpdate): Promise<boolean>;
  /** Puts still waiting updates of a lane away as done (a deleted question, `/stop`); gives their update ids. */
  cancel(platform: string, updateIds: readonly string[]): Promise<readonly string[]>;
  /** What waits (of one lane, if it is named), oldest first; at most `limit` (100). */
  waiting(platform: string, options?: { readonly lane?: string; readonly limit?: number }): Promise<readonly WaitingUpdate[]>;
  /** Milliseconds until something may be ready, null when nothing waits. */
  nextReadyInMs(): Promise<number | null>;
  /** Forgets finished updates older than `keepMs` (three days by default). Platforms redeliver for at most a day. */
  prune(keepMs?: number): Promise<number>;
  deadLetters(limit?: number): Promise<readonly DeadLetter[]>;
  retryDead(id: string): Promise<boolean>;
  stats(): Promise<QueueStats>;
  /** Waiting ahead of one lane (for "you are Nth"): lanes that would be served before it. */
  position(lane: string): Promise<number>;
  /** Where a platform's stream was read up to (Telegram offset, Discord session); any JSON. */
  cursor(name: string): Promise<JsonValue | null>;
  setCursor(name: string, value: JsonValue | null): Promise<void>;
}

// ---- outbox

export interface OutgoingMessage {
  /** Unique for ever: enqueuing it again changes nothing. */
  readonly key: string;
  readonly platform: string;
  readonly chatId: string;
  /** Messages of one lane leave in order. The chat id by default. */
  readonly lane?: string;
  readonly payload: JsonValue;
  /** The assistant's turn this message is part of: ids that the platform gives are tied to it. */
  readonly turnId?: string;
  /** Whom it answers, for `forget`. */
  readonly userId?: string;
  /** True where sending twice shows one message (an edit, a platform nonce): then an unknown outcome is sent again. */
  readonly idempotent?: boolean;
  /** Not before this time. */
  readonly notBefore?: number;
}

export interface ClaimedSend extends OutgoingMessage {
  readonly id: string;
  readonly lane: string;
  readonly attempt: number;
  /** Same for every attempt, at most 25 characters: Discord's `nonce`. */
  readonly nonce: string;
  readonly fence: number;
}

export interface UnknownSend {
  readonly id: string;
  readonly key: string;
  readonly platform: string;
  readonly chatId: string;
  readonly payload: JsonValue;
  readonly startedAt: number;
}

/**
 * Answers on their way out. Life of one: pending → claimed → `started` recorded → sent. A crash before
 * `started` was recorded means surely not sent: it is claimed again. A crash after it means unknown:
 * idempotent ones are claimed again, the others rest as unknown until `resolve` says what became of them.
 */
export interface Outbox {
  /** Gives the ids, those of earlier ones with the same key included. */
  enqueue(messages: readonly OutgoingMessage[]): Promise<readonly string[]>;
  claimNext(options: ClaimOptions): Promise<ClaimedSend | null>;
  /** Durable once it resolves, and before the request leaves. False: the lease was lost, do not send. */
  markStarted(claim: ClaimedSend): Promise<boolean>;
  /** Done, with the platform's message ids (tied to `turnId`). The payload is dropped. */
  markSent(claim: ClaimedSend, messageIds: readonly string[]): Promise<boolean>;
  /** Surely not sent (refused, rate limited, no connection): again after `retryInMs`; without it, or after `maxAttempts` (8), dead. */
  markFailed(claim: ClaimedSend, error: string, options?: { readonly retryInMs?: number; readonly maxAttempts?: number }): Promise<'retry' | 'dead' | 'lost'>;
  /** The request left and nothing came back. */
  markUnknown(claim: ClaimedSend, error: string): Promise<'retry' | 'unknown' | 'lost'>;
  /** Gives back what was claimed and not started. */
  release(claim: ClaimedSend): Promise<boolean>;
  extend(claim: ClaimedSend, leaseMs: number): Promise<boolean>;
  /** Call at start and every minute: judges sends whose lease expired. `except`: as with `claimNext`. */
  sweep(options?: Pick<ClaimOptions, 'except'>): Promise<{ readonly retried: number; readonly unknown: number }>;
  unknown(limit?: number): Promise<readonly UnknownSend[]>;
  /** What was found out about an unknown send: it is there (with these ids), or it shall be sent again, or be given up. */
  resolve(id: string, outcome: { readonly sent: readonly string[] } | 'resend' | 'give-up'): Promise<boolean>;
  /** Takes back what was not yet started. */
  cancel(key: string): Promise<boolean>;
  find(key: string): Promise<{ readonly id: string; readonly state: 'pending' | 'running' | 'sent' | 'unknown' | 'dead'; readonly messageIds: readonly string[] } | null>;
  nextReadyInMs(): Promise<number | null>;
  prune(keepMs?: number): Promise<number>;
  stats(): Promise<QueueStats & { readonly unknown: number }>;
}

// ---- votes and consent

export type VoteValue = 'up' | 'down';

/** What a person says an answer should have been. */
export type Correction =
  | { readonly kind: 'not-this'; readonly pictureId: string }
  | { readonly kind: 'right-picture'; readonly pictureId: string }
  | { readonly kind: 'it-shows'; readonly text: string };

export interface Vote {
  readonly answerId: string;
  readonly userId: string;
  readonly value: VoteValue;
  readonly at: number;
}

export interface VoteStore {
  /** One per person and answer, the last one wins; null takes it back. False: no such answer. */
  set(answerId: string, userId: string, value: VoteValue | null): Promise<boolean>;
  of(answerId: string, userId: string): Promise<VoteValue | null>;
  count(answerId: string): Promise<{ readonly up: number; readonly down: number }>;
  /** One of each kind per person and answer, the last one wins. False: no such answer. */
  correct(answerId: string, userId: string, correction: Correction): Promise<boolean>;
  /** Takes back all that this person said of this answer beside the vote; gives how many corrections went. */
  retract(answerId: string, userId: string): Promise<number>;
  corrections(answerId: string): Promise<readonly (Correction & { readonly userId: string; readonly at: number })[]>;
  /** Votes per day (UTC, `2026-01-31`), oldest first. */
  daily(since: number): Promise<readonly { readonly day: string; readonly up: number; readonly down: number }[]>;
}

export type ConsentPurpose = 'train-text' | 'train-pictures' | 'train-votes';

export interface Consent {
  readonly id: string;
  readonly userId: string;
  readonly purpose: ConsentPurpose;
  /** One chat; null means everywhere on the platform. */
  readonly chatId: string | null;
  readonly platform: string;
  readonly grantedAt: number;
  readonly revokedAt: number | null;
}

export interface ConsentStore {
  /** Giving what is given already changes nothing. */
  grant(userId: string, purpose: ConsentPurpose, chatId: string | null): Promise<Consent>;
  /** Without `chatId` every scope, with it that chat and the platform-wide one. Gives how many ended. */
  revoke(userId: string, purpose?: ConsentPurpose, chatId?: string): Promise<number>;
  /** The one that allows it in this chat now, the chat's own first; null when none does. */
  active(userId: string, purpose: ConsentPurpose, chatId: string | null): Promise<Consent | null>;
  /** All that were ever given, newest first. */
  history(userId: string): Promise<readonly Consent[]>;
}

// ---- settings, limits, bans

/** `global`, `chat:<id>`, `guild:<platform>:<id>` or `user:<id>`. */
export type SettingsScope = string;

export interface SettingsStore {
  all(scope: SettingsScope): Promise<JsonObject>;
  get(scope: SettingsScope, key: string): Promise<JsonValue | undefined>;
  set(scope: SettingsScope, key: string, value: JsonValue): Promise<void>;
  unset(scope: SettingsScope, key?: string): Promise<void>;
}

export interface LimitStore {
  /** Counts one use of `key` (`user:<id>:message`) in a sliding window unless `max` is reached. */
  take(key: string, options: { readonly max: number; readonly windowMs: number; readonly now?: number }): Promise<{ readonly allowed: boolean; readonly used: number; readonly retryInMs: number }>;
  reset(key: string): Promise<void>;
  prune(olderThanMs?: number): Promise<number>;
}

export interface Ban {
  readonly userId: string;
  /** Null: everywhere. */
  readonly chatId: string | null;
  readonly by: string | null;
  readonly reason: string | null;
  readonly at: number;
  readonly until: number | null;
}

export interface BanStore {
  ban(userId: string, options?: { readonly chatId?: string | null; readonly by?: string; readonly reason?: string; readonly until?: number }): Promise<void>;
  unban(userId: string, chatId?: string | null): Promise<boolean>;
  /** The ban that holds in this chat now. */
  active(userId: string, chatId: string | null): Promise<Ban | null>;
  list(chatId?: string | null): Promise<readonly Ban[]>;
}

// ---- a person's data

export interface ForgetReport {
  readonly turns: number;
  readonly answers: number;
  readonly pictures: number;
  readonly files: number;
  readonly votes: number;
  readonly consents: number;
  /** Rows taken out of train sets. */
  readonly trainRows: number;
  /** Gallery ids that were removed: the image index must drop them too. */
  readonly pictureIds: readonly string[];
  /** Adapter versions that were trained on the person's rows. */
  readonly adapters: readonly string[];
}

export interface UserData {
  /** A zip: `data.json` (everything stored about the user) and `pictures/<hash>.<ext>`. */
  mydata(userId: string): Promise<AsyncIterable<Uint8Array>>;
  /**
   * Removes everything of a user: rows, write-ahead log, free pages, picture files, gallery rows, train
   * rows. Bytes are gone from the disk once it resolves (as far as a file system can promise).
   */
  forget(userId: string): Promise<ForgetReport>;
}

/** Everything that a conversation needs, in one bundle. */
export interface ChatStore {
  readonly conversations: ConversationStore;
  readonly inbox: Inbox;
  readonly outbox: Outbox;
  readonly files: FileStore;
  readonly votes: VoteStore;
  readonly consents: ConsentStore;
  readonly settings: SettingsStore;
  readonly limits: LimitStore;
  readonly bans: BanStore;
  readonly userData: UserData;
}
