// Telegram's updates as chat events. Pure but for what it is told about the bot itself and about who
// administers a chat; anything it does not know gives null.
import type { Message, MessageEntity, Update, User } from 'telegraf/types';
import { type Addressed, type Author, type ChatEvent, findCommand, type MessageEvent, parseOptions, type PictureRef, type Place, type QuotedMessage } from '../../src/chat/index.ts';
import { readCallbackData } from './render.ts';

/** What must be listed, or Telegram leaves reactions out. */
export const allowedUpdates = ['message', 'edited_message', 'callback_query', 'message_reaction'] as const;

export interface Self {
  readonly id: number;
  readonly username: string;
}

export interface ReadOptions {
  readonly self: Self;
  /** True when the person administers the group. */
  readonly isAdmin: (chatId: number, userId: number) => boolean;
}

type AnyMessage = Message.TextMessage & Message.PhotoMessage & Message.DocumentMessage & Message.StickerMessage & {
  forward_origin?: { readonly type: string; readonly sender_user?: User };
  migrate_to_chat_id?: number;
  quote?: { text: string };
};

/** GroupAnonymousBot: speaks for administrators who hide their names. */
const anonymousAdmin = 1087968824;

export function readUpdate(update: Update, options: ReadOptions): ChatEvent | null {
  if ('message' in update) return readMessage(update.message as unknown as AnyMessage, options);
  if ('edited_message' in update) {
    const event = readMessage(update.edited_message as unknown as AnyMessage, options);
    if (!event) return null;
    const id = `update:${update.update_id}`;
    const message = event.type === 'command' ? asQuestion(event) : event.type === 'message' ? event : null;
    return message && { type: 'edit', id, place: event.place, author: event.author, at: Date.now(), message };
  }
  if ('callback_query' in update) {
    const { callback_query: query } = update;
    const read = 'data' in query ? readCallbackData(query.data) : null;
    if (!read || !query.message) return null;
    const place = placeOf(query.message as AnyMessage);
    return { type: 'button', id: `callback:${query.id}`, place, author: authorOf(query.from, place, options), at: Date.now(), messageId: String(query.message.message_id), ...read };
  }
  if ('message_reaction' in update) {
    const { message_reaction: reaction } = update;
    if (!reaction.user) return null;
    const place = placeOf({ chat: reaction.chat } as AnyMessage);
    const emojis = reaction.new_reaction.flatMap((kind) => (kind.type === 'emoji' ? [kind.emoji as string] : []));
    const vote = emojis.includes('👍') ? 'up' : emojis.includes('👎') ? 'down' : null;
    return { type: 'reaction', id: `update:${update.update_id}`, place, author: authorOf(reaction.user, place, options), at: reaction.date * 1000, messageId: String(reaction.message_id), vote };
  }
  return null;
}

/** The new id of a group that became a supergroup, if that is what the message says. */
export function readMigration(update: Update): { from: string; to: string } | null {
  const message = 'message' in update ? (update.message as unknown as AnyMessage) : null;
  return message?.migrate_to_chat_id === undefined ? null : { from: String(message.chat.id), to: String(message.migrate_to_chat_id) };
}

function readMessage(message: AnyMessage, options: ReadOptions): ChatEvent | null {
  const { from, sender_chat: senderChat } = message;
  const hidden = from?.id === anonymousAdmin && senderChat?.id === message.chat.id;
  // Own messages, other bots and channels are never answered.
  if (!from || (from.is_bot && !hidden) || message.chat.type === 'channel' || (senderChat && !hidden)) return null;
  const place = placeOf(message);
  const author = hidden ? { id: `telegram:${message.chat.id}`, name: '', chatAdmin: true } : authorOf(from, place, options);
  const whole = message.text ?? message.caption ?? '';
  const entities = message.entities ?? message.caption_entities ?? [];
  const pictures = picturesOf(message);
  if (whole === '' && pictures.length === 0) return null;
  const replyTo = quotedOf(message, options.self);
  const base = { id: `message:${message.chat.id}:${message.message_id}`, place, author, at: message.date * 1000, messageId: String(message.message_id) };
  const quote = replyTo === null ? {} : { replyTo };

  const album = message.media_group_id === undefined ? {} : { albumId: message.media_group_id };
  // What somebody else wrote is a command to nobody.
  const command = message.forward_origin === undefined ? commandOf(whole, entities, options.self) : null;
  if (command === 'foreign') return null;
  if (command) {
    const spec = findCommand(command.name === 'start' ? 'help' : command.name);
    // Unknown commands in groups are for somebody else.
    if (!spec && !place.isPrivate && !command.named) return null;
    return { ...base, ...quote, ...album, type: 'command', command: spec?.name ?? command.name, options: spec ? parseOptions(spec, command.rest) : {}, pictures };
  }
  const { text, mentioned } = withoutMention(whole, entities, options.self);
  const addressed: Addressed = place.isPrivate ? 'private' : mentioned ? 'mention' : replyTo?.own ? 'reply' : 'none';
  return {
    ...base, ...quote, ...album, type: 'message', text, pictures, addressed,
    ...(message.forward_origin === undefined ? {} : forwardOf(message.forward_origin)),
  };
}

function forwardOf({ sender_user: from }: NonNullable<AnyMessage['forward_origin']>): Partial<MessageEvent> {
  return { forwarded: true, ...(from && !from.is_bot ? { forwardedFrom: `telegram:${from.id}` } : {}) };
}

function asQuestion(event: Extract<ChatEvent, { type: 'command' }>): MessageEvent | null {
  if (event.command !== 'ask' && event.command !== 'show') return null;
  const { id, place, author, at, messageId = '', pictures, replyTo, albumId } = event;
  return { type: 'message', id, place, author, at, messageId, pictures, ...(albumId === undefined ? {} : { albumId }), text: event.options.text ?? event.options.what ?? '', addressed: 'mention', ...(replyTo ? { replyTo } : {}) };
}

function placeOf(message: AnyMessage): Place {
  const { chat } = message;
  const topic = message.is_topic_message ? message.message_thread_id : undefined;
  const id = `telegram:${chat.id}`;
  return {
    platform: 'telegram',
    key: topic === undefined ? id : `${id}:${topic}`,
    chat: id,
    isPrivate: chat.type === 'private',
    native: { chat: String(chat.id), ...(topic === undefined ? {} : { topic: String(topic) }) },
  };
}

function authorOf(user: User, place: Place, options: ReadOptions): Author {
  return {
    id: `telegram:${user.id}`,
    name: [user.first_name, user.last_name].filter(Boolean).join(' ').slice(0, 100),
    chatAdmin: place.isPrivate || options.isAdmin(Number(place.native.chat), user.id),
    ...(user.language_code === undefined ? {} : { locale: user.language_code }),
  };
}

/** The size that suits an encoder best: the smallest with 512 pixels on its shorter side, else the largest. */
function picturesOf(message: Partial<AnyMessage>): PictureRef[] {
  const sizes = [...(message.photo ?? [])].sort((a, b) => a.width * a.height - b.width * b.height);
  const photo = sizes.find(({ width, height }) => Math.min(width, height) >= 512) ?? sizes.at(-1);
  if (photo) return [ref(photo, 'image/jpeg')];
  const { document, sticker } = message;
  if (document && document.mime_type?.startsWith('image/')) return [ref(document, document.mime_type)];
  return sticker && !sticker.is_animated && !sticker.is_video ? [ref(sticker, 'image/webp')] : [];
}

function ref(file: { file_id: string; file_unique_id: string; file_size?: number }, mimeType: string): PictureRef {
  return { key: file.file_unique_id, handle: file.file_id, mimeType, ...(file.file_size === undefined ? {} : { byteLength: file.file_size }) };
}

function quotedOf(message: AnyMessage, self: Self): QuotedMessage | null {
  const quoted = message.reply_to_message as AnyMessage | undefined;
  // In a topic every message "replies" to the one that opened it.
  if (!quoted || 'forum_topic_created' in quoted) return null;
  return {
    messageId: String(quoted.message_id),
    own: quoted.from?.id === self.id,
    text: message.quote?.text ?? quoted.text ?? quoted.caption ?? '',
    pictures: picturesOf(quoted),
    ...(quoted.from && !quoted.from.is_bot ? { author: `telegram:${quoted.from.id}` } : {}),
  };
}

function commandOf(text: string, entities: readonly MessageEntity[], self: Self): { name: string; rest: string; named: boolean } | 'foreign' | null {
  const entity = entities.find(({ type, offset }) => type === 'bot_command' && offset === 0);
  // Some servers and clients leave the marks out.
  const length = entity?.length ?? (entities.length === 0 ? (/^\/[a-z][a-z0-9_]{0,31}(@\w+)?(?=\s|$)/i.exec(text)?.[0].length ?? 0) : 0);
  if (length === 0) return null;
  const [name = '', username] = text.slice(1, length).split('@');
  if (username !== undefined && username.toLowerCase() !== self.username.toLowerCase()) return 'foreign';
  return { name: name.toLowerCase(), rest: text.slice(length).trim(), named: username !== undefined };
}

function withoutMention(text: string, entities: readonly MessageEntity[], self: Self): { text: string; mentioned: boolean } {
  let out = text;
  let mentioned = false;
  if (entities.length === 0) {
    const bare = new RegExp(`(?<![\\w@])@${self.username}\\b`, 'gi');
    mentioned = bare.test(text);
    out = text.replace(bare, '');
  }
  for (const entity of entities.toReversed()) {
    const word = text.slice(entity.offset, entity.offset + entity.length);
    const own = (entity.type === 'mention' && word.toLowerCase() === `@${self.username.toLowerCase()}`) || (entity.type === 'text_mention' && entity.user.id === self.id);
    if (!own) continue;
    mentioned = true;
    out = out.slice(0, entity.offset) + out.slice(entity.offset + entity.length);
  }
  return { text: mentioned ? out.replace(/[ \t]{2,}/g, ' ').replace(/^[\s,:]+|\s+$/g, '') : out, mentioned };
}
