// Discord's messages, interactions and reactions as chat events.
import { ApplicationCommandOptionType, type Attachment, type ChatInputCommandInteraction, type ButtonInteraction, ChannelType, type Message, type MessageContextMenuCommandInteraction, MessageReferenceType, PermissionFlagsBits, type PermissionsBitField, type User } from 'discord.js';
import { type Addressed, type Author, type CommandEvent, type ButtonEvent, findCommand, type MessageEvent, messageEventId, type PictureRef, type Place, type QuotedMessage, type ReplyHandle } from '../../src/chat/index.ts';
import { readCustomId } from './render.ts';

/** Interaction tokens live 15 minutes; half a minute is left for the way. */
const tokenLifeMs = 14.5 * 60_000;

export function placeOf(channelId: string, guildId: string | null, parentId: string | null): Place {
  return {
    platform: 'discord',
    key: `discord:${channelId}`,
    // A thread shares the settings of its channel.
    chat: `discord:${parentId ?? channelId}`,
    ...(guildId === null ? {} : { guild: `guild:discord:${guildId}` }),
    isPrivate: guildId === null,
    native: { channel: channelId },
  };
}

function authorOf(user: User, permissions: Readonly<PermissionsBitField> | null | undefined, isPrivate: boolean, locale?: string): Author {
  return {
    id: `discord:${user.id}`,
    name: (user.globalName ?? user.username ?? '').slice(0, 100),
    chatAdmin: isPrivate || (permissions?.has(PermissionFlagsBits.ManageGuild) ?? false),
    ...(locale === undefined ? {} : { locale }),
  };
}

/** Null for messages that are never answered: the bot's own, other bots', webhooks', the system's. */
export function readMessage(message: Message, selfId: string, referenced: Message | null): MessageEvent | null {
  if (message.author.bot || message.webhookId !== null || message.system) return null;
  const { guildId } = message;
  const parent = message.channel.isThread() ? message.channel.parentId : null;
  const place = placeOf(message.channelId, guildId, parent);
  const snapshot = message.reference?.type === MessageReferenceType.Forward ? message.messageSnapshots.first() : undefined;
  const ownRole = message.guild?.members.me?.roles.botRole?.id;
  const named = message.mentions.users.has(selfId) && new RegExp(`<@!?${selfId}>`).test(message.content);
  const byRole = ownRole !== undefined && message.mentions.roles.has(ownRole);
  const repliesToBot = referenced?.author.id === selfId || message.mentions.repliedUser?.id === selfId;
  const addressed: Addressed = guildId === null ? 'private' : named || byRole ? 'mention' : repliesToBot ? 'reply' : 'none';
  const text = plainText(message, selfId, ownRole);
  const forwarded = snapshot?.content ?? '';
  const replyTo = quotedOf(message, referenced, selfId);
  return {
    type: 'message',
    id: messageEventId(message.id),
    place,
    author: authorOf(message.author, message.member?.permissions, guildId === null),
    at: message.createdTimestamp,
    messageId: message.id,
    text: [text, forwarded].filter((words) => words !== '').join('\n'),
    pictures: [...message.attachments.values(), ...(snapshot?.attachments.values() ?? [])].flatMap((attachment) => pictureOf(attachment, message)),
    addressed,
    ...(replyTo ? { replyTo } : {}),
    ...(snapshot ? { forwarded: true } : {}),
  };
}

/** The bot's own mention goes, other people's become their names. */
function plainText(message: Message, selfId: string, ownRole: string | undefined): string {
  return message.content
    .replace(/<@(!?|&)(\d+)>/g, (whole, kind: string, id: string) => {
      if (id === selfId || id === ownRole) return '';
      const name = kind === '&' ? message.mentions.roles.get(id)?.name : message.mentions.users.get(id)?.displayName;
      return name === undefined ? whole : `@${name}`;
    })
    .replace(/[ \t]{2,}/g, ' ')
    .replace(/^[\s,:]+|\s+$/g, '');
}

function quotedOf(message: Message, referenced: Message | null, selfId: string): QuotedMessage | null {
  const { reference } = message;
  if (!reference?.messageId || reference.type === MessageReferenceType.Forward) return null;
  if (!referenced) return { messageId: reference.messageId, own: message.mentions.repliedUser?.id === selfId, text: '', pictures: [] };
  return quote(referenced, selfId);
}

function quote(message: Message, selfId: string): QuotedMessage {
  return {
    messageId: message.id,
    own: message.author.id === selfId,
    text: message.author.id === selfId ? message.content : plainText(message, selfId, undefined),
    pictures: [...message.attachments.values()].flatMap((attachment) => pictureOf(attachment, message)),
    ...(message.author.bot ? {} : { author: `discord:${message.author.id}` }),
  };
}

/** Neither type nor extension is trusted; they only keep plain files from being fetched in vain. */
function pictureOf(attachment: Attachment, message: Message | null): PictureRef[] {
  const type = attachment.contentType ?? '';
  if (!type.startsWith('image/') && !/\.(jpe?g|png|webp|gif)$/i.test(attachment.name ?? '')) return [];
  const ids = message ? `${message.channelId}/${message.id}/${attachment.id}` : '//';
  return [{ key: attachment.id, handle: `${ids} ${attachment.url}`, mimeType: type, byteLength: attachment.size }];
}

type Interaction = ChatInputCommandInteraction | MessageContextMenuCommandInteraction | ButtonInteraction;

function handleOf(interaction: Interaction, kind: 'command' | 'component'): ReplyHandle {
  return { kind, expiresAt: interaction.createdTimestamp + tokenLifeMs, values: { application: interaction.applicationId, token: interaction.token } };
}

/** `guild` may be missing although there is one, when the app was installed by a user. */
function sceneOf(interaction: Interaction): { place: Place; author: Author } {
  const { channel, guildId } = interaction;
  const parent = channel && 'parentId' in channel && channel.isThread() ? channel.parentId : null;
  const isDirect = guildId === null && (channel === null || channel.type === ChannelType.DM || channel.type === ChannelType.GroupDM);
  const place = placeOf(interaction.channelId ?? `user-${interaction.user.id}`, guildId, parent);
  return { place, author: authorOf(interaction.user, interaction.memberPermissions, isDirect, interaction.locale) };
}

export function readCommand(interaction: ChatInputCommandInteraction): CommandEvent {
  const spec = findCommand(interaction.commandName);
  const options: Record<string, string> = {};
  const pictures: PictureRef[] = [];
  for (const { name, type, value, attachment } of interaction.options.data) {
    const own = spec?.options.find((option) => option.name.toLowerCase() === name)?.name ?? name;
    if (type === ApplicationCommandOptionType.Attachment) pictures.push(...(attachment ? pictureOf(attachment, null) : []));
    else if (value !== undefined) options[own] = String(value);
  }
  return { type: 'command', id: `interaction:${interaction.id}`, ...sceneOf(interaction), at: interaction.createdTimestamp, command: interaction.commandName, options, pictures, via: handleOf(interaction, 'command') };
}

/** A command in a message's menu: that message is what it is about. */
export function readMenu(interaction: MessageContextMenuCommandInteraction, command: string, selfId: string): CommandEvent {
  const quoted = quote(interaction.targetMessage as Message, selfId);
  return {
    type: 'command', id: `interaction:${interaction.id}`, ...sceneOf(interaction), at: interaction.createdTimestamp,
    command, options: {}, pictures: [], replyTo: { ...quoted, text: '' }, via: handleOf(interaction, 'command'),
  };
}

export function readButton(interaction: ButtonInteraction): ButtonEvent | null {
  const read = readCustomId(interaction.customId);
  return read && { type: 'button', id: `interaction:${interaction.id}`, ...sceneOf(interaction), at: interaction.createdTimestamp, messageId: interaction.message.id, via: handleOf(interaction, 'component'), ...read };
}
