// The chats, people, messages and updates of the fake Telegram, as its people see and make them.
import { randomBytes } from 'node:crypto';

export interface FakeUser {
  readonly id: number;
  readonly first_name: string;
  readonly is_bot: boolean;
  readonly username?: string;
  readonly language_code?: string;
}

export interface FakeChat {
  readonly id: number;
  readonly type: 'private' | 'group' | 'supergroup';
  readonly title?: string;
  readonly first_name?: string;
}

export type Json = Record<string, unknown>;

export interface FakeMessage extends Json {
  message_id: number;
  date: number;
  chat: FakeChat;
  from?: FakeUser;
  text?: string;
  caption?: string;
  photo?: { file_id: string }[];
  reply_markup?: { inline_keyboard: { text: string; callback_data?: string }[][] };
  reply_to_message?: FakeMessage;
  media_group_id?: string;
}

export interface FakeFile {
  readonly bytes: Uint8Array;
  path: string;
  expiresAt: number;
}

export interface SendOptions {
  /** When it was sent, seconds since 1970; now by default. */
  readonly date?: number;
  readonly entities?: readonly Json[];
  readonly replyTo?: FakeMessage;
  readonly topic?: number;
  readonly photo?: Uint8Array;
  readonly forwarded?: boolean;
  readonly albumId?: string;
  readonly senderChat?: FakeChat;
}

/** The oldest messages come first; those that were deleted are gone. */
export class TelegramWorld {
  readonly bot: FakeUser = { id: 4242, is_bot: true, first_name: 'Fromage', username: 'fromage_test_bot' };
  readonly messages = new Map<number, FakeMessage[]>();
  readonly files = new Map<string, FakeFile>();
  readonly updates: Json[] = [];
  readonly admins = new Map<number, FakeUser[]>();
  readonly blocked = new Set<number>();
  readonly migrated = new Map<number, number>();
  readonly clicks = new Map<string, { answered: boolean; text: string | null; at: number }>();
  readonly drafts = new Map<string, string[]>();
  onUpdate: () => void = () => {};
  #updateId = 1000;
  #messageId = 1;

  user(id: number, language = 'en'): FakeUser {
    return { id, is_bot: false, first_name: `User${id}`, username: `user${id}x`, language_code: language };
  }

  privateChat(user: FakeUser): FakeChat {
    return { id: user.id, type: 'private', first_name: user.first_name };
  }

  group(id: number, admins: readonly FakeUser[] = []): FakeChat {
    this.admins.set(id, [...admins]);
    return { id, type: 'supergroup', title: `Group ${id}` };
  }

  /** After a quiet week the ids of updates go on anywhere. */
  jumpTo(updateId: number): void {
    this.#updateId = updateId;
  }

  /** Adds an update as Telegram would deliver it. */
  push(body: Json): void {
    this.updates.push({ update_id: this.#updateId++, ...body });
    this.onUpdate();
  }

  /** What the person writes; commands and mentions of the bot are marked as Telegram marks them. */
  say(chat: FakeChat, from: FakeUser, text: string, options: SendOptions = {}): FakeMessage {
    const message = this.#compose(chat, from, text, options);
    this.push({ message });
    return message;
  }

  /** One update per picture, in random order, the words on one of them. */
  album(chat: FakeChat, from: FakeUser, text: string, photos: readonly Uint8Array[], options: SendOptions = {}): FakeMessage[] {
    const albumId = String(10_000 + this.#messageId);
    const messages = photos.map((photo, i) => this.#compose(chat, from, i === 0 ? text : '', { ...options, photo, albumId }));
    for (const message of messages.toSorted(() => Math.random() - 0.5)) this.push({ message });
    return messages;
  }

  edit(message: FakeMessage, text: string): void {
    const edited = { ...message, ...this.#words(text, message.photo !== undefined), edit_date: now() };
    Object.assign(message, edited);
    this.push({ edited_message: edited });
  }

  click(message: FakeMessage, from: FakeUser, data: string): string {
    const id = String(Math.floor(Math.random() * 1e15));
    this.clicks.set(id, { answered: false, text: null, at: Date.now() });
    this.push({ callback_query: { id, from, message, chat_instance: '77', data } });
    return id;
  }

  react(message: FakeMessage, user: FakeUser, emoji: string | null): void {
    const reaction = emoji === null ? [] : [{ type: 'emoji', emoji }];
    this.push({ message_reaction: { chat: message.chat, message_id: message.message_id, user, date: now(), old_reaction: [], new_reaction: reaction } });
  }

  /** What the bot has said in a chat and is still there. */
  said(chat: FakeChat): FakeMessage[] {
    return this.in(chat.id).filter(({ from }) => from?.id === this.bot.id);
  }

  in(chatId: number): FakeMessage[] {
    let list = this.messages.get(chatId);
    if (!list) this.messages.set(chatId, (list = []));
    return list;
  }

  find(chatId: number, messageId: number): FakeMessage | undefined {
    return this.in(chatId).find((message) => message.message_id === messageId);
  }

  /** A message of the bot. */
  post(chat: FakeChat, body: Json): FakeMessage {
    const message: FakeMessage = { message_id: this.#messageId++, date: now(), chat, from: this.bot, ...body };
    this.in(chat.id).push(message);
    return message;
  }

  addFile(bytes: Uint8Array): string {
    const id = `file-${randomBytes(9).toString('base64url')}`;
    this.files.set(id, { bytes, path: `photos/${id}.jpg`, expiresAt: Date.now() + 3_600_000 });
    return id;
  }

  photoSizes(bytes: Uint8Array): Json[] {
    return [90, 800].map((side) => ({ file_id: this.addFile(bytes), file_unique_id: `u${randomBytes(6).toString('hex')}`, width: side, height: side, file_size: bytes.length }));
  }

  #compose(chat: FakeChat, from: FakeUser, text: string, options: SendOptions): FakeMessage {
    const { replyTo, topic, photo, forwarded, albumId, senderChat, date = now() } = options;
    const message: FakeMessage = {
      message_id: this.#messageId++,
      date,
      chat,
      from,
      ...this.#words(text, photo !== undefined, options.entities),
      ...(photo ? { photo: this.photoSizes(photo) as { file_id: string }[] } : {}),
      ...(replyTo ? { reply_to_message: bare(replyTo) } : {}),
      ...(topic === undefined ? {} : { message_thread_id: topic, is_topic_message: true }),
      ...(forwarded ? { forward_origin: { type: 'hidden_user', sender_user_name: 'Somebody', date: now() } } : {}),
      ...(albumId === undefined ? {} : { media_group_id: albumId }),
      ...(senderChat ? { sender_chat: senderChat } : {}),
    };
    this.in(chat.id).push(message);
    return message;
  }

  #words(text: string, isCaption: boolean, given?: readonly Json[]): Json {
    if (text === '') return {};
    const entities = given ?? this.#entities(text);
    const marked = entities.length === 0 ? {} : isCaption ? { caption_entities: entities } : { entities };
    return isCaption ? { caption: text, ...marked } : { text, ...marked };
  }

  #entities(text: string): Json[] {
    const out: Json[] = [];
    const command = /^\/[a-z_0-9]+(@\w+)?/i.exec(text);
    if (command) out.push({ type: 'bot_command', offset: 0, length: command[0].length });
    for (const match of text.matchAll(/(?<![\w/])@[A-Za-z]\w{3,}/g)) out.push({ type: 'mention', offset: match.index, length: match[0].length });
    return out;
  }
}

function bare(message: FakeMessage): FakeMessage {
  const { reply_to_message: _nested, ...rest } = message;
  return rest as FakeMessage;
}

export function now(): number {
  return Math.floor(Date.now() / 1000);
}
