// Connects the platforms that have a token to one bot, and lets go of them in order.
import { type RunningDiscord, startDiscord } from '../../bots/discord/main.ts';
import { type RunningTelegram, startTelegram } from '../../bots/telegram/main.ts';
import type { ChatBot } from '../chat/index.ts';
import type { Config } from '../config/index.ts';

export interface Platforms {
  /** Receives Telegram's updates where it posts them; null when polling. */
  readonly webhook: RunningTelegram['webhook'];
  /** Ends the intake, drains the bot, then leaves the platforms. */
  stop(drainMs: number): Promise<void>;
}

/** @throws FromageError `DISCORD_…` or `TELEGRAM_…` for what only the operator can mend */
export async function connectPlatforms(config: Config, bot: ChatBot, say: (line: string) => void): Promise<Platforms> {
  let discord: RunningDiscord | null = null;
  let telegram: RunningTelegram | null = null;
  const leave = async (drainMs: number): Promise<void> => {
    await Promise.all([discord?.stop(), telegram?.stop()]);
    await bot.stop(drainMs);
    await discord?.close();
  };
  try {
    if (config.DISCORD_TOKEN !== undefined) {
      discord = await startDiscord({ token: config.DISCORD_TOKEN, apiBase: config.DISCORD_API_BASE, cdnHosts: config.DISCORD_CDN_HOSTS, messageContent: config.DISCORD_MESSAGE_CONTENT }, bot);
      say(`Discord: connected as ${discord.username}`);
    } else say('Discord: not connected (no DISCORD_TOKEN)');
    if (config.TELEGRAM_TOKEN !== undefined) {
      telegram = await startTelegram(
        {
          token: config.TELEGRAM_TOKEN,
          apiRoot: config.TELEGRAM_API_ROOT,
          mode: config.TELEGRAM_MODE,
          operators: config.FROMAGE_ADMINS,
          ...(config.TELEGRAM_WEBHOOK_URL === undefined ? {} : { webhookUrl: config.TELEGRAM_WEBHOOK_URL }),
          ...(config.TELEGRAM_WEBHOOK_SECRET === undefined ? {} : { webhookSecret: config.TELEGRAM_WEBHOOK_SECRET }),
        },
        bot,
      );
      say(`Telegram: connected as @${telegram.username}`);
    } else say('Telegram: not connected (no TELEGRAM_TOKEN)');
  } catch (error) {
    await leave(0).catch(() => undefined);
    throw error;
  }
  return { webhook: telegram?.webhook ?? null, stop: leave };
}
