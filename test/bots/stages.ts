// The two platforms behind one face, so that a scenario is written once: people say, click and edit; what
// the bot shows is read back in one form. The real client libraries run against the fakes.
import { startDiscord } from '../../bots/discord/main.ts';
import { startTelegram } from '../../bots/telegram/main.ts';
import type { BotOptions, ChatBot } from '../../src/chat/index.ts';
import { FakeDiscord } from '../fakes/discord/server.ts';
import type { FakeChannel, FakeMessage as DiscordMessage, FakeUser as DiscordUser } from '../fakes/discord/world.ts';
import { FakeTelegram } from '../fakes/telegram/server.ts';
import type { FakeChat, FakeMessage as TelegramMessage, FakeUser as TelegramUser } from '../fakes/telegram/world.ts';
import { type Bench, openBench } from './bench.ts';

export interface Person {
  /** `platform:id`, as operators are named. */
  readonly id: string;
  readonly number: number;
  readonly locale: string;
}

export interface Room {
  /** The place key of the bot. */
  readonly key: string;
  readonly isPrivate: boolean;
  readonly number: number;
}

export interface Said {
  readonly id: string;
  readonly text: string;
  readonly pictures: readonly { readonly alt: string }[];
  readonly buttons: readonly string[];
  readonly replyTo: string | null;
  /** How often it was changed after it was sent. */
  readonly changes: number;
}

export interface SayOptions {
  readonly pictures?: readonly Uint8Array[];
  readonly replyTo?: string;
  /** Not to the bot, in a group. */
  readonly aside?: boolean;
}

export interface Stage {
  readonly name: 'discord' | 'telegram';
  readonly bench: Bench;
  readonly bot: () => ChatBot;
  person(number: number, options?: { locale?: string }): Person;
  direct(person: Person): Room;
  group(admins?: readonly Person[]): Room;
  say(room: Room, person: Person, text: string, options?: SayOptions): string;
  edit(room: Room, messageId: string, text: string): void;
  remove: ((room: Room, messageId: string) => void) | null;
  command(room: Room, person: Person, name: string, options?: Record<string, string>, extra?: { picture?: Uint8Array; replyTo?: string }): void;
  /** Presses the button whose data begins with the letter. */
  click(room: Room, messageId: string, person: Person, letter: string): void;
  /** Presses a button with made-up data. */
  forge(room: Room, messageId: string, person: Person, data: string): void;
  react(room: Room, messageId: string, person: Person, emoji: string | null): void;
  said(room: Room): Said[];
  /** What clicks were answered with at once, oldest first. */
  acknowledgements(): string[];
  violations(): readonly string[];
  tooManyRequests(): number;
  restart(drainMs?: number): Promise<void>;
  close(): Promise<void>;
}

export interface StageOptions {
  readonly bot?: Partial<BotOptions>;
  readonly limits?: boolean;
  readonly secondMs?: number;
  readonly bench?: Bench;
}

export async function openTelegram(options: StageOptions = {}): Promise<Stage & { fake: FakeTelegram }> {
  const secondMs = options.secondMs ?? 40;
  const bench = options.bench ?? (await openBench());
  const fake = new FakeTelegram({ secondMs, ...(options.limits === undefined ? {} : { limits: options.limits }) });
  await fake.start();
  const { world } = fake;
  let bot = bench.newBot(options.bot);
  const start = () => startTelegram({ token: fake.token, apiRoot: fake.url, operators: options.bot?.operators ?? [], rates: { secondMs, perChatPerSecond: 1, perGroupPerMinute: 20, perSecond: 30 } }, bot);
  let running = await start();
  const rooms: FakeChat[] = [];
  const people = new Map<number, TelegramUser>();
  const userOf = ({ number }: Person): TelegramUser => people.get(number)!;
  const chatOf = ({ number }: Room): FakeChat => rooms[number]!;
  const find = (room: Room, id: string): TelegramMessage => world.find(chatOf(room).id, Number(id))!;
  const clicks: string[] = [];
  const roomOf = (chat: FakeChat): Room => ({ key: `telegram:${chat.id}`, isPrivate: chat.type === 'private', number: rooms.push(chat) - 1 });
  return {
    name: 'telegram', bench, fake, bot: () => bot,
    person: (number, { locale = 'en' } = {}) => {
      people.set(number, world.user(number, locale));
      return { id: `telegram:${number}`, number, locale };
    },
    direct: (person) => roomOf(world.privateChat(userOf(person))),
    group: (admins = []) => roomOf(world.group(-1_000_000 - rooms.length, admins.map(userOf))),
    say: (room, person, text, { pictures = [], replyTo, aside } = {}) => {
      const words = room.isPrivate || aside || replyTo !== undefined ? text : `@${world.bot.username} ${text}`;
      const more = replyTo === undefined ? {} : { replyTo: find(room, replyTo) };
      if (pictures.length > 1) return String(world.album(chatOf(room), userOf(person), words, pictures, more)[0]!.message_id);
      return String(world.say(chatOf(room), userOf(person), words, { ...more, ...(pictures[0] ? { photo: pictures[0] } : {}) }).message_id);
    },
    edit: (room, id, text) => world.edit(find(room, id), room.isPrivate ? text : `@${world.bot.username} ${text}`),
    remove: null,
    command: (room, person, name, given = {}, extra = {}) => {
      const text = [`/${name}`, ...Object.values(given)].join(' ');
      world.say(chatOf(room), userOf(person), text, { ...(extra.picture ? { photo: extra.picture } : {}), ...(extra.replyTo === undefined ? {} : { replyTo: find(room, extra.replyTo) }) });
    },
    click: (room, id, person, letter) => {
      const message = find(room, id);
      const data = message.reply_markup?.inline_keyboard.flat().find(({ callback_data: one = '' }) => one.startsWith(`${letter}:`))?.callback_data;
      clicks.push(world.click(message, userOf(person), data ?? `${letter}:nothing`));
    },
    forge: (room, id, person, data) => void world.click(find(room, id), userOf(person), data),
    react: (room, id, person, emoji) => world.react(find(room, id), userOf(person), emoji),
    said: (room, edits = successfulEdits(fake)) => world.said(chatOf(room)).map((message) => ({
      id: String(message.message_id),
      text: message.text ?? message.caption ?? '',
      pictures: message.photo ? [{ alt: message.caption ?? '' }] : [],
      buttons: message.reply_markup?.inline_keyboard.flat().map(({ callback_data: data = '' }) => data) ?? [],
      replyTo: message.reply_to_message === undefined ? null : String(message.reply_to_message.message_id),
      changes: edits.get(message.message_id) ?? 0,
    })),
    acknowledgements: () => clicks.flatMap((id) => { const click = world.clicks.get(id); return click?.answered ? [click.text ?? ''] : []; }),
    violations: () => fake.violations,
    tooManyRequests: () => fake.calls.filter(({ status }) => status === 429).length,
    restart: async (drainMs = 3_000) => {
      await running.stop();
      await bot.stop(drainMs);
      bot = bench.newBot(options.bot);
      running = await start();
    },
    close: async () => {
      await running.stop();
      await bot.stop(500);
      await fake.stop();
      if (!options.bench) await bench.close();
    },
  };
}

export async function openDiscord(options: StageOptions & { readonly messageContent?: boolean } = {}): Promise<Stage & { fake: FakeDiscord }> {
  const secondMs = options.secondMs ?? 40;
  const bench = options.bench ?? (await openBench());
  const fake = new FakeDiscord({ secondMs, ...(options.limits === undefined ? {} : { limits: options.limits }) });
  await fake.start();
  const { world } = fake;
  let bot = bench.newBot(options.bot);
  const start = () => startDiscord({ token: fake.token, apiBase: `${fake.url}/api`, cdnHosts: [fake.url], secondMs, messageContent: options.messageContent ?? false }, bot);
  let running = await start();
  const rooms: FakeChannel[] = [];
  const people = new Map<number, DiscordUser>();
  const userOf = ({ number }: Person): DiscordUser => people.get(number)!;
  const channelOf = ({ number }: Room): FakeChannel => rooms[number]!;
  const find = (room: Room, id: string): DiscordMessage => world.find(channelOf(room).id, id)!;
  const roomOf = (channel: FakeChannel): Room => ({ key: `discord:${channel.id}`, isPrivate: channel.guildId === null, number: rooms.push(channel) - 1 });
  const interactions: { said: string | null; acknowledged: number | null }[] = [];
  return {
    name: 'discord', bench, fake, bot: () => bot,
    person: (number, { locale = 'en-US' } = {}) => {
      const id = String(700_000_000_000_000_000n + BigInt(number));
      people.set(number, world.user(id, locale));
      return { id: `discord:${id}`, number, locale };
    },
    direct: (person) => roomOf(world.direct(userOf(person))),
    group: (admins = []) => roomOf(fake.guildWithChannel(admins.map(userOf))),
    say: (room, person, text, { pictures, replyTo, aside } = {}) =>
      fake.say(channelOf(room), userOf(person), text, {
        mentionBot: !room.isPrivate && !aside && replyTo === undefined,
        ...(pictures ? { pictures } : {}),
        ...(replyTo === undefined ? {} : { replyTo: find(room, replyTo) }),
      }).id,
    edit: (room, id, text) => fake.edit(find(room, id), text),
    remove: (room, id) => fake.remove(find(room, id)),
    command: (room, person, name, given = {}, extra = {}) => {
      fake.slash(channelOf(room), userOf(person), name, { ...given, ...(extra.picture ? { picture: extra.picture } : {}) });
    },
    click: (room, id, person, letter) => {
      const message = find(room, id);
      const data = message.components.flatMap((row) => row.components as { custom_id: string }[]).find(({ custom_id: one }) => one.startsWith(`${letter}:`))?.custom_id;
      interactions.push(fake.click(message, userOf(person), data ?? `${letter}:nothing`));
    },
    forge: (room, id, person, data) => void fake.click(find(room, id), userOf(person), data),
    react: (room, id, person, emoji) => fake.react(find(room, id), userOf(person), emoji ?? '👍', emoji !== null),
    said: (room) => world.said(channelOf(room)).map((message) => ({
      id: message.id,
      text: message.content.replace(/^-# .*$/gm, '').replace(/\\(.)/g, '$1').trim(),
      pictures: message.attachments.map(({ description = '' }) => ({ alt: description })),
      buttons: message.components.flatMap((row) => (row.components as { custom_id: string }[]).map(({ custom_id: id }) => id)),
      replyTo: message.reference?.messageId ?? null,
      changes: message.history.length - 1,
    })),
    acknowledgements: () => interactions.filter(({ acknowledged }) => acknowledged !== null).map(({ said }) => said ?? ''),
    violations: () => fake.violations,
    tooManyRequests: () => fake.calls.filter(({ status }) => status === 429).length,
    restart: async (drainMs = 3_000) => {
      await running.stop();
      await bot.stop(drainMs);
      await running.close();
      bot = bench.newBot(options.bot);
      running = await start();
    },
    close: async () => {
      await running.stop();
      await bot.stop(500);
      await running.close();
      await fake.stop();
      if (!options.bench) await bench.close();
    },
  };
}

/** How often each message was edited, by id. */
function successfulEdits(fake: FakeTelegram): ReadonlyMap<unknown, number> {
  const edits = new Map<unknown, number>();
  for (const { method, payload, status } of fake.calls) {
    if (method === 'editMessageText' && status === 200) edits.set(payload.message_id, (edits.get(payload.message_id) ?? 0) + 1);
  }
  return edits;
}
