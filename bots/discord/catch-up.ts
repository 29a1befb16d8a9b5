// After a restart or a session that was not resumed, messages have been missed. Where history may be
// read they are fetched and handed on; those that were seen before are recognised by their ids.
import type { Client, Message } from 'discord.js';
import type { Inbox, JsonValue } from '../../src/chat/contracts.ts';
import type { Logger } from '../../src/log.ts';

export interface CatchUpOptions {
  readonly client: Client;
  readonly inbox: Pick<Inbox, 'cursor' | 'setCursor'>;
  readonly take: (message: Message) => Promise<void>;
  readonly log: Logger;
}

const cursorName = 'discord:last-seen';
/** Channels beyond this are forgotten, the one unused for longest first. */
const mostChannels = 500;
const pageSize = 100;
/** Of a channel with more talk than that the rest is left. */
const mostPages = 10;

export class CatchUp {
  readonly #options: CatchUpOptions;
  /** Channel → newest message seen there; in the order of use. */
  #seen: Map<string, string> | null = null;
  #saving: NodeJS.Timeout | null = null;
  #running = false;

  constructor(options: CatchUpOptions) {
    this.#options = options;
  }

  /** Channels in which the bot was spoken to are watched; in those every message moves the mark. */
  note(channelId: string, messageId: string, addressed: boolean): void {
    const seen = this.#seen;
    if (!seen || (!addressed && !seen.has(channelId))) return;
    seen.delete(channelId);
    seen.set(channelId, messageId);
    const [oldest] = seen.keys();
    if (seen.size > mostChannels && oldest !== undefined) seen.delete(oldest);
    this.#saving ??= setTimeout(() => void this.save(), 1_000).unref();
  }

  async save(): Promise<void> {
    if (this.#saving) clearTimeout(this.#saving);
    this.#saving = null;
    if (!this.#seen) return;
    try {
      await this.#options.inbox.setCursor(cursorName, Object.fromEntries(this.#seen) as JsonValue);
    } catch (error) {
      this.#options.log.warn({ err: error }, 'what was seen last could not be stored');
    }
  }

  /** Fetches what came after the marks. */
  async run(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    try {
      const marks = this.#seen ?? (await this.#load());
      for (const [channelId, after] of [...marks]) await this.#channel(channelId, after);
    } catch (error) {
      this.#options.log.warn({ reason: (error as Error).name }, 'catching up failed');
    } finally {
      this.#running = false;
    }
  }

  async #load(): Promise<Map<string, string>> {
    const kept = await this.#options.inbox.cursor(cursorName);
    const entries = kept !== null && typeof kept === 'object' && !Array.isArray(kept) ? Object.entries(kept) : [];
    const loaded = new Map(entries.flatMap(([channel, id]) => (typeof id === 'string' ? [[channel, id] as const] : [])));
    this.#seen = loaded;
    return loaded;
  }

  async #channel(channelId: string, after: string): Promise<void> {
    const { client, take, log } = this.#options;
    try {
      const channel = await client.channels.fetch(channelId);
      if (!channel?.isTextBased() || !('messages' in channel)) return;
      let from = after;
      let count = 0;
      for (let page = 0; page < mostPages; page++) {
        const missed = [...(await channel.messages.fetch({ after: from, limit: pageSize })).values()].sort((a, b) => (BigInt(a.id) < BigInt(b.id) ? -1 : 1));
        for (const message of missed) {
          await take(message as Message);
          this.note(channelId, message.id, true);
          from = message.id;
        }
        count += missed.length;
        if (missed.length < pageSize) break;
      }
      if (count > 0) log.info({ count }, 'caught up with messages that were missed');
    } catch (error) {
      // No permission to read history, or the channel is gone: nothing to catch up with.
      log.info({ reason: (error as Error).name }, 'a channel could not be caught up with');
      this.#seen?.delete(channelId);
    }
  }
}
