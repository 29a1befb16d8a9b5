// Connects the platforms that have a token to one bot, and lets go of them in order. A platform that cannot
// be reached is tried again for as long as the program runs: the page and the other platform do not wait.
import { type RunningDiscord, startDiscord } from '../../bots/discord/main.ts';
import { type RunningTelegram, startTelegram } from '../../bots/telegram/main.ts';
import type { ChatBot } from '../chat/index.ts';
import type { Config } from '../config/index.ts';
import { asFromageError } from '../errors.ts';

export interface Platforms {
  /** Receives Telegram's updates where it posts them; null when polling and until Telegram was reached. */
  readonly webhook: RunningTelegram['webhook'];
  /** Ends the intake, drains the bot, then leaves the platforms. */
  stop(drainMs: number): Promise<void>;
}

/** Waits between attempts to reach a platform, in milliseconds; the last one repeats. */
const waits: readonly number[] = [5_000, 15_000, 60_000, 300_000];

/**
 * Resolves after the first attempt at each platform.
 *
 * @throws FromageError `DISCORD_…` or `TELEGRAM_…` for what only the operator can mend
 */
export async function connectPlatforms(config: Config, bot: ChatBot, say: (line: string) => void, retryMs: readonly number[] = waits): Promise<Platforms> {
  const stopping = new AbortController();
  const discord = new Connection<RunningDiscord>('Discord', say, retryMs, stopping.signal);
  const telegram = new Connection<RunningTelegram>('Telegram', say, retryMs, stopping.signal);
  const leave = async (drainMs: number): Promise<void> => {
    stopping.abort();
    const [first, second] = await Promise.all([discord.settled(), telegram.settled()]);
    await Promise.all([first?.stop(), second?.stop()]);
    await bot.stop(drainMs);
    await first?.close();
  };
  const { DISCORD_TOKEN: discordToken, TELEGRAM_TOKEN: telegramToken } = config;
  try {
    await Promise.all([
      discordToken === undefined
        ? say('Discord: not connected (no DISCORD_TOKEN)')
        : discord.open(() => startDiscord({ token: discordToken, apiBase: config.DISCORD_API_BASE, cdnHosts: config.DISCORD_CDN_HOSTS, messageContent: config.DISCORD_MESSAGE_CONTENT }, bot), ({ username }) => username),
      telegramToken === undefined
        ? say('Telegram: not connected (no TELEGRAM_TOKEN)')
        : telegram.open(() => startTelegram(telegramOptions(config, telegramToken), bot), ({ username }) => `@${username}`),
    ]);
  } catch (error) {
    await leave(0).catch(() => undefined);
    throw error;
  }
  return {
    get webhook() {
      return telegram.running?.webhook ?? null;
    },
    stop: leave,
  };
}

function telegramOptions(config: Config, token: string) {
  return {
    token,
    apiRoot: config.TELEGRAM_API_ROOT,
    mode: config.TELEGRAM_MODE,
    operators: config.FROMAGE_ADMINS,
    ...(config.TELEGRAM_WEBHOOK_URL === undefined ? {} : { webhookUrl: config.TELEGRAM_WEBHOOK_URL }),
    ...(config.TELEGRAM_WEBHOOK_SECRET === undefined ? {} : { webhookSecret: config.TELEGRAM_WEBHOOK_SECRET }),
  };
}

/** One platform, from its first attempt on. */
class Connection<T> {
  running: T | null = null;
  readonly #name: string;
  readonly #say: (line: string) => void;
  readonly #retryMs: readonly number[];
  readonly #signal: AbortSignal;
  #attempts: Promise<void> = Promise.resolve();

  constructor(name: string, say: (line: string) => void, retryMs: readonly number[], signal: AbortSignal) {
    this.#name = name;
    this.#say = say;
    this.#retryMs = retryMs;
    this.#signal = signal;
  }

  /** @throws FromageError where trying again would not help */
  async open(start: () => Promise<T>, nameOf: (running: T) => string): Promise<void> {
    const first = this.#attempt(start, nameOf, 0);
    this.#attempts = first.then(() => {}, () => {});
    if ((await first) || this.#signal.aborted) return;
    this.#attempts = this.#insist(start, nameOf);
  }

  /** What runs once no attempt is under way; null when nothing does. */
  async settled(): Promise<T | null> {
    await this.#attempts;
    return this.running;
  }

  async #insist(start: () => Promise<T>, nameOf: (running: T) => string): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      await this.#pause(this.#waitAfter(attempt - 1));
      if (this.#signal.aborted) return;
      try {
        if (await this.#attempt(start, nameOf, attempt)) return;
      } catch (error) {
        // A token that was withdrawn meanwhile, for instance. The rest of the program goes on.
        this.#say(`${this.#name}: not connected: ${asFromageError(error).message}`);
        return;
      }
    }
  }

  /** @returns whether it is connected now */
  async #attempt(start: () => Promise<T>, nameOf: (running: T) => string, attempt: number): Promise<boolean> {
    try {
      this.running = await start();
      this.#say(`${this.#name}: connected as ${nameOf(this.running)}`);
      return true;
    } catch (thrown) {
      const error = asFromageError(thrown);
      if (!error.retryable) throw error;
      this.#say(`${this.#name}: ${error.what} (${error.code}); trying again in ${Math.round(this.#waitAfter(attempt) / 1000)} s`);
      return false;
    }
  }

  #waitAfter(attempt: number): number {
    return this.#retryMs[Math.min(attempt, this.#retryMs.length - 1)]!;
  }

  #pause(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.#signal.addEventListener('abort', () => (clearTimeout(timer), resolve()), { once: true });
    });
  }
}
