// Our own poll loop: updates are stored before the offset is raised, a slow answer cannot stop it, a
// poison update cannot end it, and 409, 429, 5xx and silence are waited out.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Update } from 'telegraf/types';
import { DeliveryError } from '../../src/chat/index.ts';
import type { Logger } from '../../src/log.ts';
import type { TelegramApi } from './api.ts';
import { allowedUpdates } from './updates.ts';

export interface PollOptions {
  readonly api: TelegramApi;
  /** Stores a batch; only when it resolves the batch is confirmed. */
  readonly take: (updates: readonly Update[]) => Promise<void>;
  readonly cursor: { read(): Promise<number | null>; write(offset: number | null): Promise<void> };
  readonly signal: AbortSignal;
  readonly log: Logger;
  readonly secondMs: number;
  /** Seconds that the server holds a poll open. */
  readonly holdSeconds?: number;
}

/** Polls until the signal; then confirms what was stored and returns. */
export async function poll(options: PollOptions): Promise<void> {
  const { api, take, cursor, signal, log, secondMs, holdSeconds = 50 } = options;
  let offset = await cursor.read();
  let failures = 0;
  const wait = (ms: number): Promise<void> => sleep(ms, undefined, { signal }).catch(() => {});
  const keep = async (next: number | null): Promise<void> => {
    offset = next;
    await cursor.write(next).catch((error: unknown) => log.error({ err: error }, 'the offset could not be stored'));
  };
  while (!signal.aborted) {
    let updates: readonly Update[];
    const asked = Date.now();
    try {
      updates = await api.call<Update[]>(
        'getUpdates',
        { timeout: holdSeconds, limit: 100, allowed_updates: allowedUpdates, ...(offset === null ? {} : { offset }) },
        { signal, timeoutMs: (holdSeconds + 15) * 1_000 },
      );
      failures = 0;
    } catch (error) {
      if (signal.aborted) break;
      failures++;
      const backOff = Math.min(30, 2 ** Math.min(failures, 5)) * secondMs;
      const retryAfter = error instanceof DeliveryError && error.code === 'TELEGRAM_FLOOD' ? error.retryInMs : 0;
      log.warn({ reason: error instanceof DeliveryError ? error.what : (error as Error).name, failures }, 'polling Telegram failed; trying again');
      await wait(Math.max(retryAfter, backOff));
      continue;
    }
    const last = updates.at(-1);
    if (!last) {
      // All below the offset is confirmed. After a quiet week the next id may be any, also a smaller one,
      // which an offset kept until then would confirm unseen.
      if (offset !== null) await keep(null);
      // A server that does not hold the poll open must not be asked hundreds of times a second.
      if (Date.now() - asked < 0.3 * secondMs) await wait(0.3 * secondMs);
      continue;
    }
    try {
      await take(updates);
    } catch (error) {
      // Not stored: Telegram keeps them and sends them again.
      log.error({ err: error, count: updates.length }, 'updates could not be stored');
      await wait(2 * secondMs);
      continue;
    }
    await keep(last.update_id + 1);
  }
  // Tells the server what was stored, so that it is not sent again.
  if (offset !== null) await api.call('getUpdates', { offset, timeout: 0, limit: 1, allowed_updates: allowedUpdates }, { timeoutMs: 2_000 }).catch(() => {});
}
