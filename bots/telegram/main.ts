// Starts and stops the Telegram bot: checks the token, registers the menus, connects the platform to the
// bot and takes updates in by polling or by webhook.
import type { Update } from 'telegraf/types';
import { type ChatBot, type ChatEvent, clickAcknowledgement, chooseLocale, DeliveryError, parseAllowedHost } from '../../src/chat/index.ts';
import { FromageError } from '../../src/errors.ts';
import { TelegramApi } from './api.ts';
import { registerMenus } from './commands.ts';
import { OutgoingQueue, type OutgoingRates, telegramRates } from './outgoing.ts';
import { TelegramPlatform } from './platform.ts';
import { poll } from './polling.ts';
import { readMigration, readUpdate, allowedUpdates, type Self } from './updates.ts';
import { type WebhookHandler, webhookHandler } from './webhook.ts';

export interface TelegramOptions {
  readonly token: string;
  /** Default `https://api.telegram.org`. */
  readonly apiRoot?: string;
  /** Default `polling`. */
  readonly mode?: 'polling' | 'webhook';
  readonly webhookUrl?: string;
  readonly webhookSecret?: string;
  /** `telegram:2`, …: these see the operators' commands in their menus. */
  readonly operators?: readonly string[];
  readonly rates?: OutgoingRates;
  /** Seconds that a poll is held open, 50. */
  readonly holdSeconds?: number;
}

export interface RunningTelegram {
  readonly username: string;
  /** With `mode: 'webhook'`: to be mounted at the path of `webhookUrl`. */
  readonly webhook: WebhookHandler | null;
  /** Ends the intake; answers may still be sent afterwards. */
  stop(): Promise<void>;
}

interface Me {
  readonly id: number;
  readonly username: string;
  readonly can_read_all_group_messages?: boolean;
}

/**
 * @throws FromageError TELEGRAM_TOKEN when Telegram does not know the token, TELEGRAM_WEBHOOK when the
 *   webhook's address or secret is missing
 */
export async function startTelegram(options: TelegramOptions, bot: ChatBot): Promise<RunningTelegram> {
  const log = bot.log.child({ platform: 'telegram' });
  const apiRoot = options.apiRoot ?? 'https://api.telegram.org';
  const rates = options.rates ?? telegramRates;
  const api = new TelegramApi({ token: options.token, apiRoot, secondMs: rates.secondMs });
  const me = await whoAmI(api);
  const self: Self = { id: me.id, username: me.username };
  if (!me.can_read_all_group_messages) log.info('privacy mode is on: in groups only commands and replies arrive, mentions only where the bot is administrator');

  const cursor = `telegram:${api.fingerprint}:offset`;
  const { inbox } = bot.store;
  const platform = new TelegramPlatform({
    api,
    queue: new OutgoingQueue(rates),
    // The configured server may be plain HTTP or a private address; redirects away from it are refused.
    fileHosts: [parseAllowedHost(new URL(apiRoot).origin)],
    secondMs: rates.secondMs,
    onMigrated: moveGroup,
  });
  const admins = new AdminList(api);

  async function moveGroup(from: string, to: string): Promise<void> {
    platform.noteMigration(from, to);
    await inbox.setCursor(`telegram:moved:${from}`, to);
    await bot.movePlace('telegram', from, to).catch((error: unknown) => log.warn({ err: error }, 'a group could not be moved to its new id'));
  }

  async function take(updates: readonly Update[]): Promise<void> {
    const events: ChatEvent[] = [];
    for (const update of updates) {
      try {
        const moved = readMigration(update);
        if (moved) await moveGroup(moved.from, moved.to);
        await admins.refresh(update);
        const event = readUpdate(update, { self, isAdmin: (chat, user) => admins.has(chat, user) });
        if ('callback_query' in update) acknowledge(update.callback_query.id, event, update.callback_query.from.language_code);
        if (event) events.push(event);
      } catch (error) {
        log.error({ err: error, updateId: update.update_id }, 'an update could not be read and is left out');
      }
    }
    await bot.accept(events);
  }

  /** At once, whatever comes of the click: else the button keeps spinning. */
  function acknowledge(id: string, event: ChatEvent | null, language: string | undefined): void {
    const text = event?.type === 'button' ? clickAcknowledgement(event.action, chooseLocale('auto', language)) : null;
    void api.call('answerCallbackQuery', { callback_query_id: id, ...(text === null ? {} : { text: text.slice(0, 200) }) }, { timeoutMs: 10_000 }).catch((error: unknown) => {
      if (!(error instanceof DeliveryError) || error.outcome !== 'gone') log.info({ reason: (error as Error).name }, 'a click could not be acknowledged');
    });
  }

  await bot.connect(platform);
  const operatorIds = (options.operators ?? []).filter((id) => id.startsWith('telegram:')).map((id) => id.slice('telegram:'.length));
  void registerMenus(api, operatorIds).catch((error: unknown) => log.warn({ reason: error instanceof DeliveryError ? error.what : (error as Error).name }, 'the command menus could not be registered'));

  if (options.mode === 'webhook') {
    const { webhookUrl, webhookSecret } = options;
    if (!webhookUrl || !webhookSecret || !/^[\w-]{1,256}$/.test(webhookSecret)) {
      throw new FromageError({ code: 'TELEGRAM_WEBHOOK', what: 'the webhook has no address or no secret', todo: 'set TELEGRAM_WEBHOOK_URL to an https address and TELEGRAM_WEBHOOK_SECRET to 1–256 of A–Z a–z 0–9 _ -' });
    }
    await api.call('setWebhook', { url: webhookUrl, secret_token: webhookSecret, allowed_updates: allowedUpdates });
    return { username: me.username, webhook: webhookHandler(webhookSecret, take), stop: async () => {} };
  }

  // A webhook that is still set would answer every poll with 409.
  await api.call('deleteWebhook', {}).catch((error: unknown) => log.warn({ reason: (error as Error).name }, 'an old webhook could not be removed'));
  const ending = new AbortController();
  const polling = poll({
    api,
    take,
    cursor: {
      read: async () => {
        const offset = await inbox.cursor(cursor);
        return typeof offset === 'number' ? offset : null;
      },
      write: (offset) => inbox.setCursor(cursor, offset),
    },
    signal: ending.signal,
    log,
    secondMs: rates.secondMs,
    ...(options.holdSeconds === undefined ? {} : { holdSeconds: options.holdSeconds }),
  });
  return {
    username: me.username,
    webhook: null,
    stop: async () => {
      ending.abort();
      await polling;
    },
  };
}

async function whoAmI(api: TelegramApi): Promise<Me> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await api.call<Me>('getMe', {}, { timeoutMs: 15_000 });
    } catch (error) {
      if (error instanceof DeliveryError && / (401|404):/.test(error.what)) {
        throw new FromageError({ code: 'TELEGRAM_TOKEN', what: 'Telegram does not know this token', todo: 'copy TELEGRAM_TOKEN again from @BotFather' });
      }
      if (attempt >= 2) throw error;
      await new Promise((resolve) => setTimeout(resolve, Math.max(1_000 * attempt, error instanceof DeliveryError && error.code === 'TELEGRAM_FLOOD' ? error.retryInMs : 0)));
    }
  }
}

/** Who administers which group; asked at most every five minutes, and only where the bot is spoken to. */
class AdminList {
  readonly #api: TelegramApi;
  readonly #lists = new Map<number, { readonly ids: ReadonlySet<number>; readonly until: number }>();

  constructor(api: TelegramApi) {
    this.#api = api;
  }

  has(chatId: number, userId: number): boolean {
    return this.#lists.get(chatId)?.ids.has(userId) ?? false;
  }

  async refresh(update: Update): Promise<void> {
    const message = 'message' in update ? update.message : 'callback_query' in update ? update.callback_query.message : undefined;
    if (!message || (message.chat.type !== 'group' && message.chat.type !== 'supergroup')) return;
    const entities = 'entities' in message ? message.entities : undefined;
    const asks = 'callback_query' in update || entities?.some(({ type }) => type === 'bot_command') === true;
    const known = this.#lists.get(message.chat.id);
    if (!asks || (known && known.until > Date.now())) return;
    try {
      const members = await this.#api.call<{ user: { id: number } }[]>('getChatAdministrators', { chat_id: message.chat.id }, { timeoutMs: 3_000 });
      this.#lists.set(message.chat.id, { ids: new Set(members.map(({ user }) => user.id)), until: Date.now() + 300_000 });
    } catch {
      this.#lists.set(message.chat.id, { ids: known?.ids ?? new Set(), until: Date.now() + 30_000 });
    }
    if (this.#lists.size > 5_000) this.#lists.clear();
  }
}
