// The values of a conversation, the same on every platform: what comes in (ChatEvent), what an answer is
// made of (ComposedAnswer) and what goes out (Reply). All of them are plain JSON, so that inbox and outbox
// can hold them. What is kept of them is described in contracts.ts.
import type { DecodingOptions, EndReason, GenerateUsage } from '../engine/types.ts';

/** `discord`, `telegram`, `web`; every id below is qualified by it. */
export type PlatformName = 'discord' | 'telegram' | 'web';

export type Locale = 'en' | 'ru';

/** Who speaks: `id` is `platform:native id`, e.g. `telegram:42`. */
export interface Author {
  readonly id: string;
  readonly name: string;
  /** What the platform says of the person's language, e.g. `ru`, `en-GB`. */
  readonly locale?: string;
  /** True when the platform says that the person administers this chat or server. */
  readonly chatAdmin: boolean;
}

/**
 * Where something was said. `key` names the conversation (chat plus thread or topic) and is the unit of
 * order, memory and isolation; `chat` is the unit of settings and limits.
 */
export interface Place {
  readonly platform: PlatformName;
  /** `platform:channel[:topic]`. */
  readonly key: string;
  /** `platform:chat`; on Discord the server, or the channel of a direct message. */
  readonly chat: string;
  /** Discord's server, `guild:discord:1` as a tenant names it; absent elsewhere. */
  readonly guild?: string;
  readonly isPrivate: boolean;
  /** What the platform needs to send there: ids only, never a secret. */
  readonly native: Readonly<Record<string, string>>;
}

/** A picture at the platform, not yet fetched. `handle` is the platform's own way to fetch it (never a URL that holds a token). */
export interface PictureRef {
  /** Stable within the platform: attachment id, file_unique_id. */
  readonly key: string;
  readonly handle: string;
  readonly mimeType?: string;
  readonly byteLength?: number;
}

/** The message that was replied to, or that was forwarded. */
export interface QuotedMessage {
  readonly messageId: string;
  /** True when the bot itself wrote it. */
  readonly own: boolean;
  /** True when it was forwarded with the question: then it is part of it, not a message replied to. */
  readonly forwarded?: boolean;
  /** Who wrote it, `platform:native id`, where the platform tells. */
  readonly author?: string;
  readonly text: string;
  readonly pictures: readonly PictureRef[];
}

interface EventBase {
  /** Unique per platform; a second event of the same id is a repeat. */
  readonly id: string;
  readonly place: Place;
  readonly author: Author;
  /** Milliseconds since 1970. */
  readonly at: number;
}

/** Why a message may be meant for the bot; `none` is talk among others. */
export type Addressed = 'private' | 'mention' | 'reply' | 'menu' | 'none';

export interface MessageEvent extends EventBase {
  readonly type: 'message';
  readonly messageId: string;
  /** Mentions of the bot taken out. */
  readonly text: string;
  readonly pictures: readonly PictureRef[];
  readonly addressed: Addressed;
  /** Messages of one album share it; they are one turn. */
  readonly albumId?: string;
  /** All messages that are this turn, when they are several. */
  readonly messageIds?: readonly string[];
  readonly replyTo?: QuotedMessage;
  readonly forwarded?: boolean;
  /** Who wrote what was forwarded, `platform:native id`, where the platform tells. */
  readonly forwardedFrom?: string;
  readonly via?: ReplyHandle;
}

/** The question was changed after it was sent. */
export interface EditEvent extends EventBase {
  readonly type: 'edit';
  readonly message: MessageEvent;
}

/** The question is gone. */
export interface DeleteEvent extends EventBase {
  readonly type: 'delete';
  readonly messageId: string;
}

export interface CommandEvent extends EventBase {
  readonly type: 'command';
  readonly messageId?: string;
  /** Without slash: `ask`, `retrain`. */
  readonly command: string;
  /** By option name as the command table has it; free text stands under the command's text option. */
  readonly options: Readonly<Record<string, string>>;
  readonly pictures: readonly PictureRef[];
  /** The command is the caption of an album. */
  readonly albumId?: string;
  readonly messageIds?: readonly string[];
  readonly replyTo?: QuotedMessage;
  readonly via?: ReplyHandle;
}

export type ButtonAction = 'up' | 'down' | 'again' | 'more' | 'wrong' | 'confirm' | 'cancel';

export interface ButtonEvent extends EventBase {
  readonly type: 'button';
  readonly action: ButtonAction;
  /** The answer's id, or that of the question being confirmed; with `wrong` also which of its pictures (`pictureSubject`). */
  readonly subject: string;
  readonly messageId: string;
  readonly via?: ReplyHandle;
}

export interface ReactionEvent extends EventBase {
  readonly type: 'reaction';
  readonly messageId: string;
  /** Null when the person took the vote back. */
  readonly vote: 'up' | 'down' | null;
}

export type ChatEvent = MessageEvent | EditEvent | DeleteEvent | CommandEvent | ButtonEvent | ReactionEvent;

/** How a platform answers this very event (an interaction), as long as it lives. Opaque to the bot. */
export interface ReplyHandle {
  readonly kind: string;
  /** Milliseconds since 1970 after which an ordinary message is sent instead. */
  readonly expiresAt: number;
  readonly values: Readonly<Record<string, string>>;
}

/** A picture as it was shown: enough to render, credit and replay it. */
export interface AnswerPicture {
  readonly id: string;
  /** SHA-256 of the bytes. */
  readonly hash: string;
  readonly alt: string;
  readonly caption: string | null;
  readonly source: string | null;
  readonly licence: string | null;
  readonly mimeType: string;
  readonly width: number;
  readonly height: number;
  /** Cosine with the retrieval embedding. */
  readonly score: number;
}

/** Why there is no picture at a [RET]: none is good enough, all that are have been shown, or the gallery failed. */
export type NoPictureReason = 'nothing_good_enough' | 'gallery_unavailable';

/** A piece of an answer, in the order in which it is shown. `ret` counts the [RET]s of the answer from 0. */
export type AnswerPart =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'pictures'; readonly ret: number; readonly pictures: readonly AnswerPicture[] }
  | { readonly type: 'no_picture'; readonly ret: number; readonly reason: NoPictureReason };

/** One [RET] of an answer: enough to ask the gallery again ("more"). */
export interface ServedRet {
  /** Offset in the answer's text, UTF-16 units. */
  readonly after: number;
  /** What the model gave [RET] before scaling. */
  readonly probability: number;
  /** Unit length, rounded to 6 decimals. */
  readonly embedding: readonly number[];
}

/** Everything needed to store an answer and to make it again. */
export interface ComposedAnswer {
  readonly parts: readonly AnswerPart[];
  /** The text parts joined. */
  readonly text: string;
  readonly rets: readonly ServedRet[];
  readonly reason: EndReason;
  readonly seed: number;
  readonly decoding: DecodingOptions;
  readonly maxImgPerRet: number;
  readonly adapter: string;
  /** The highest probability that [RET] had at any step before scaling. */
  readonly retProbability: number;
  readonly tokenCount: number;
  readonly usage: GenerateUsage;
}

/** A button under a reply; its label comes from the i18n catalogue of `locale`. */
export interface ReplyButton {
  readonly action: ButtonAction;
  readonly subject: string;
  readonly label: string;
  /** Which of several pictures it is about, from 1. */
  readonly number?: number;
}

/** A file that goes with a reply: a person's export, made when it is sent. */
export interface ReplyFile {
  readonly name: string;
  readonly mimeType: string;
  /** Pseudonymous user id. */
  readonly exportOf: string;
}

export type ReplyPart =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'pictures'; readonly pictures: readonly AnswerPicture[] }
  | { readonly type: 'file'; readonly file: ReplyFile };

/** What the bot says, before a platform's renderer lays it out within its limits. */
export interface Reply {
  readonly parts: readonly ReplyPart[];
  readonly buttons: readonly ReplyButton[];
  readonly locale: Locale;
  /** Only the person who asked should see it, where the platform can do that. */
  readonly quiet?: boolean;
  /** False while an answer still grows. */
  readonly complete: boolean;
}
