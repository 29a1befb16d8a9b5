// Starts and stops the Discord bot: connects to the gateway, acknowledges interactions before anything
// else, hands events to the bot, registers the commands and catches up after a gap.
import { Client, type ClientOptions, Events, GatewayIntentBits, type Interaction, type Message, MessageFlags, type MessageReaction, Partials, type PartialMessage, type PartialMessageReaction, type PartialUser, type ResponseLike, type RESTOptions, type User } from 'discord.js';
import { type ChatBot, type ChatEvent, chooseLocale, clickAcknowledgement, findCommand, parseAllowedHost } from '../../src/chat/index.ts';
import { FromageError } from '../../src/errors.ts';
import type { Logger } from '../../src/log.ts';
import { CatchUp } from './catch-up.ts';
import { menuCommand, registerCommands, suggest } from './commands.ts';
import { placeOf, readButton, readCommand, readMenu, readMessage } from './events.ts';
import { DiscordPlatform } from './platform.ts';

export interface DiscordOptions {
  readonly token: string;
  /** discord.js's `rest.api`, without version; default the public one. */
  readonly apiBase?: string;
  /** `host[:port]`, a leading `http://` allows plain HTTP; default Discord's two CDN hosts. */
  readonly cdnHosts?: readonly string[];
  /** The privileged intent; off by default. */
  readonly messageContent?: boolean;
  /** One second, milliseconds: tests run on shorter ones. */
  readonly secondMs?: number;
}

export interface RunningDiscord {
  readonly username: string;
  /** Ends the intake; answers may still be sent afterwards, until `close`. */
  stop(): Promise<void>;
  /** Leaves the gateway and forgets the token: nothing can be sent any more. */
  close(): Promise<void>;
}

const publicCdn = ['cdn.discordapp.com', 'media.discordapp.net'];

/** @throws FromageError DISCORD_LOGIN for a wrong token or an intent that is not allowed */
export async function startDiscord(options: DiscordOptions, bot: ChatBot): Promise<RunningDiscord> {
  const log = bot.log.child({ platform: 'discord' });
  const client = new Client(clientOptions(options));
  // Without a listener an error in a handler would end the process.
  client.on(Events.Error, (error) => log.error({ reason: error.name }, 'discord.js reported an error'));
  client.on(Events.Warn, () => log.warn('discord.js gave a warning'));
  client.rest.on('rateLimited', ({ method, timeToReset }) => log.info({ method, waitMs: timeToReset }, 'a Discord rate limit is waited out'));
  surviveOddEvents(client, log);
  client.on(Events.Invalidated, () => log.error('the Discord session was invalidated'));

  const platform = new DiscordPlatform({
    rest: client.rest,
    cdnHosts: (options.cdnHosts ?? publicCdn).map(parseAllowedHost),
    secondMs: options.secondMs ?? 1_000,
  });
  let open = true;
  const take = async (event: ChatEvent | null): Promise<void> => {
    if (event && open) await bot.accept([event]);
  };
  const guard = <T extends unknown[]>(name: string, handler: (...args: T) => Promise<void>) => (...args: T): void => {
    handler(...args).catch((error: unknown) => log.error({ err: error instanceof FromageError ? error : undefined, reason: (error as Error).name, name }, 'a Discord event could not be taken'));
  };
  const selfId = (): string => client.user?.id ?? '';
  const catchUp = new CatchUp({ client, inbox: bot.store.inbox, log, take: async (message) => take(await readWithReference(message, selfId())) });

  client.on(Events.MessageCreate, guard('message', async (message) => {
    const event = await readWithReference(message, selfId());
    if (event) catchUp.note(message.channelId, message.id, event.addressed !== 'none');
    await take(event);
  }));
  client.on(Events.MessageUpdate, guard('edit', async (_old, message) => {
    // Discord also reports that a link got its preview: no edit of the person's.
    if (message.editedTimestamp === null) return;
    const whole = message.partial ? await message.fetch() : (message as Message);
    const read = await readWithReference(whole, selfId());
    if (read) await take({ type: 'edit', id: `edit:${whole.id}:${whole.editedTimestamp}`, place: read.place, author: read.author, at: Date.now(), message: read });
  }));
  const deleted = async (message: Message | PartialMessage): Promise<void> => {
    const parent = message.channel?.isThread() ? message.channel.parentId : null;
    const author = { id: `discord:${message.author?.id ?? '0'}`, name: message.author?.username ?? '', chatAdmin: false };
    await take({ type: 'delete', id: `delete:${message.id}`, place: placeOf(message.channelId, message.guildId, parent), author, at: Date.now(), messageId: message.id });
  };
  client.on(Events.MessageDelete, guard('delete', deleted));
  client.on(Events.MessageBulkDelete, guard('delete', async (messages) => {
    for (const message of messages.values()) await deleted(message);
  }));
  const reacted = (added: boolean) => async (reaction: MessageReaction | PartialMessageReaction, user: User | PartialUser): Promise<void> => {
    const vote = reaction.emoji.name === '👍' ? 'up' : reaction.emoji.name === '👎' ? 'down' : null;
    if (vote === null || user.bot || user.id === selfId()) return;
    const { message } = reaction;
    const parent = message.channel?.isThread() ? message.channel.parentId : null;
    const author = { id: `discord:${user.id}`, name: user.username ?? '', chatAdmin: false };
    const id = `reaction:${message.id}:${user.id}:${vote}:${added ? 'on' : 'off'}:${Date.now()}`;
    await take({ type: 'reaction', id, place: placeOf(message.channelId, message.guildId, parent), author, at: Date.now(), messageId: message.id, vote: added ? vote : null });
  };
  client.on(Events.MessageReactionAdd, guard('reaction', reacted(true)));
  client.on(Events.MessageReactionRemove, guard('reaction', reacted(false)));
  client.on(Events.InteractionCreate, guard('interaction', (interaction) => handleInteraction(interaction, bot, take, selfId())));

  const ready = new Promise<void>((resolve) => client.once(Events.ClientReady, () => resolve()));
  try {
    await client.login(options.token);
  } catch (error) {
    await client.destroy();
    throw loginError(error);
  }
  await ready;
  await bot.connect(platform);
  await registerCommands(client.rest, client.application?.id ?? selfId()).catch((error: unknown) => log.warn({ reason: (error as Error).name }, 'the commands could not be registered'));
  void catchUp.run();
  client.on(Events.ShardReady, () => void catchUp.run());
  return {
    username: client.user?.username ?? '',
    stop: async () => {
      open = false;
      await catchUp.save();
    },
    close: () => client.destroy(),
  };
}

/**
 * discord.js throws where an event of the gateway has not the form that it expects (`author: null`), inside
 * a promise that nobody awaits: that would end the process. It has no hook for this, so the method through
 * which every event goes is wrapped.
 */
function surviveOddEvents(client: Client, log: Logger): void {
  const manager = client.ws as unknown as { handlePacket: (packet?: { readonly t?: string }, shard?: unknown) => boolean };
  const handlePacket = manager.handlePacket.bind(manager);
  manager.handlePacket = (packet, shard) => {
    try {
      return handlePacket(packet, shard);
    } catch (error) {
      // No stack and no message: they may repeat what somebody wrote.
      log.error({ reason: (error as Error).name, event: packet?.t }, 'an event of the gateway could not be read and is left out');
      return false;
    }
  };
}

async function handleInteraction(interaction: Interaction, bot: ChatBot, take: (event: ChatEvent | null) => Promise<void>, selfId: string): Promise<void> {
  if (interaction.isAutocomplete()) return suggest(interaction, bot.services);
  if (interaction.isChatInputCommand()) {
    // First of all, before any work: after three seconds the token is dead.
    const quiet = findCommand(interaction.commandName)?.quiet ?? true;
    await interaction.deferReply(quiet ? { flags: MessageFlags.Ephemeral } : {});
    return take(readCommand(interaction));
  }
  if (interaction.isMessageContextMenuCommand()) {
    const command = menuCommand(interaction.commandName) ?? 'ask';
    await interaction.deferReply(findCommand(command)?.quiet ? { flags: MessageFlags.Ephemeral } : {});
    return take(readMenu(interaction, command, selfId));
  }
  if (!interaction.isButton()) return;
  const event = readButton(interaction);
  const words = event && clickAcknowledgement(event.action, chooseLocale('auto', interaction.locale));
  if (words) await interaction.reply({ content: words, flags: MessageFlags.Ephemeral, allowedMentions: { parse: [] } });
  else await interaction.deferUpdate();
  await take(event);
}

/** The message that was replied to comes with the event; if not, it is asked for. */
async function readWithReference(message: Message, selfId: string): Promise<ChatEvent & { type: 'message' } | null> {
  if (message.author?.bot || message.webhookId !== null) return null;
  const id = message.reference?.messageId;
  if (id === undefined || message.reference?.channelId !== message.channelId) return readMessage(message, selfId, null);
  const known = message.channel.messages.cache.get(id) ?? (await message.fetchReference().catch(() => null));
  return readMessage(message, selfId, known);
}

function clientOptions(options: DiscordOptions): ClientOptions {
  const { Guilds, GuildMessages, DirectMessages, GuildMessageReactions, DirectMessageReactions, MessageContent } = GatewayIntentBits;
  return {
    intents: [Guilds, GuildMessages, DirectMessages, GuildMessageReactions, DirectMessageReactions, ...(options.messageContent ? [MessageContent] : [])],
    partials: [Partials.Channel, Partials.Message, Partials.Reaction, Partials.User],
    allowedMentions: { parse: [], repliedUser: false },
    enforceNonce: true,
    sweepers: { messages: { interval: 600, lifetime: 1_800 } },
    rest: { makeRequest, ...(options.apiBase === undefined ? {} : { api: options.apiBase }) },
  };
}

/**
 * Requests go through Node's own fetch: discord.js's bundled undici breaks uploads as soon as another
 * version of undici is loaded in the same process, for both share one global dispatcher.
 */
const makeRequest: RESTOptions['makeRequest'] = async (url, init) => {
  try {
    return (await fetch(url, init as unknown as RequestInit)) as unknown as ResponseLike;
  } catch (error) {
    // fetch hides the reason (ECONNRESET, …) that discord.js looks at.
    throw error instanceof TypeError && error.cause instanceof Error ? error.cause : error;
  }
};

function loginError(error: unknown): FromageError {
  const code = (error as { code?: unknown } | null)?.code;
  const message = error instanceof Error ? error.message : '';
  if (code === 'TokenInvalid' || /token/i.test(message) || (error as { status?: number } | null)?.status === 401) {
    return new FromageError({ code: 'DISCORD_LOGIN', what: 'Discord does not know this token', todo: 'copy DISCORD_TOKEN again from the developer portal, page Bot' });
  }
  if (/intent/i.test(message) || String(code).includes('Intents')) {
    return new FromageError({ code: 'DISCORD_LOGIN', what: 'Discord does not allow an intent that was asked for', why: 'MESSAGE CONTENT is privileged', todo: 'switch it on in the developer portal, page Bot, or set DISCORD_MESSAGE_CONTENT=0' });
  }
  return new FromageError({ code: 'DISCORD_LOGIN', what: `Discord could not be reached (${error instanceof Error ? error.name : 'unknown'})`, todo: 'check the network and DISCORD_API_BASE', retryable: true });
}
