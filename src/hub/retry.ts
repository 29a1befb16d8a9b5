// Tries that fail for a passing reason are made again, with pauses that grow; a try that brought something
// starts the count anew, so that a long download over a bad line comes to its end.
import { setTimeout as pause } from 'node:timers/promises';
import { asFromageError, type FromageError } from '../errors.ts';
import type { HubSettings } from './types.ts';

const longestPauseMs = 30_000;

/**
 * @param attempt throws a FromageError; only a `retryable` one leads to another try
 * @param gained a number that grows when a try brought something
 */
export async function withRetries<T>(settings: HubSettings, signal: AbortSignal | undefined, attempt: () => Promise<T>, gained: () => number = () => 0): Promise<T> {
  const { attempts = 6, backoffMs = 500 } = settings;
  let failures = 0;
  for (;;) {
    const before = gained();
    try {
      return await attempt();
    } catch (thrown) {
      signal?.throwIfAborted();
      const error: FromageError = asFromageError(thrown);
      failures = gained() > before ? 1 : failures + 1;
      if (!error.retryable || failures >= attempts) throw thrown;
      const wait = Math.min(longestPauseMs, backoffMs * 2 ** (failures - 1));
      await pause(wait * (0.75 + Math.random() / 2), undefined, signal ? { signal } : {});
    }
  }
}
