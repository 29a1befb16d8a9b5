// The outbox loop: takes what was written down to be sent, sends it through its platform, records what
// became of it. Lanes go side by side, the messages of one lane in order.
import type { Logger } from '../log.ts';
import type { ClaimedSend, JsonValue, Outbox, OutgoingMessage } from './contracts.ts';
import { type BytesOf, type ChatPlatform, DeliveryError, type OutUnit, type SendTarget } from './platform.ts';
import type { Place, ReplyHandle } from './types.ts';

/** What an outbox row asks for. */
export type OutAction =
  | { readonly action: 'send'; readonly target: SendTarget; readonly unit: OutUnit; readonly tenants: readonly string[] }
  | { readonly action: 'edit'; readonly target: SendTarget; readonly messageId: string; readonly unit: OutUnit; readonly tenants: readonly string[] }
  | { readonly action: 'remove'; readonly place: Place; readonly messageId: string; readonly via?: ReplyHandle };

export interface DeliveryOptions {
  readonly outbox: Outbox;
  readonly platform: ChatPlatform;
  /** Bytes of what a chat with these tenants may see. */
  readonly bytesOf: (tenants: readonly string[]) => BytesOf;
  readonly owner: string;
  readonly log: Logger;
  readonly leaseMs?: number;
  /** How many lanes are served at once, default 32. */
  readonly lanes?: number;
}

/** What became of one row. */
export interface Delivered {
  readonly messageIds: readonly string[];
  readonly sent: boolean;
}

/** Keys of previews end so. */
export const previewSuffix = ':preview';

export class DeliveryLoop {
  readonly #options: DeliveryOptions;
  /** What is being sent, by lane. */
  readonly #running = new Map<string, Promise<void>>();
  readonly #watchers = new Map<string, (delivered: Delivered) => void>();
  #timer: NodeJS.Timeout | null = null;
  #sweeper: NodeJS.Timeout | null = null;
  #open = false;
  #filling = false;
  #again = false;

  constructor(options: DeliveryOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    this.#open = true;
    await this.#sweep();
    this.#sweeper = setInterval(() => void this.#sweep(), Math.min(30_000, this.#options.leaseMs ?? 30_000));
    this.#sweeper.unref();
    this.wake();
  }

  /** Writes a row and waits until it was sent or given up. */
  async deliverNow(message: OutgoingMessage, signal: AbortSignal): Promise<Delivered> {
    const { outbox } = this.#options;
    const known = await outbox.find(message.key);
    if (known?.state === 'sent') return { messageIds: known.messageIds, sent: true };
    if (known?.state === 'dead') return { messageIds: [], sent: false };
    return new Promise((resolve, reject) => {
      const finish = (delivered: Delivered): void => {
        this.#watchers.delete(message.key);
        signal.removeEventListener('abort', giveUp);
        resolve(delivered);
      };
      const giveUp = (): void => finish({ messageIds: [], sent: false });
      this.#watchers.set(message.key, finish);
      signal.addEventListener('abort', giveUp, { once: true });
      outbox.enqueue([message]).then(() => this.wake(), reject);
    });
  }

  /** The messages that an earlier process sent under this key; waits for a row that is still on its way. */
  async previousSend(key: string, signal: AbortSignal): Promise<readonly string[]> {
    const { outbox } = this.#options;
    let known = await outbox.find(key);
    if (!known) return [];
    if (await outbox.cancel(key)) return [];
    // Of a process that died in the middle of sending it, the lease must run out first.
    while (known && known.state !== 'sent' && known.state !== 'dead' && !signal.aborted) {
      await new Promise((resolve) => setTimeout(resolve, 100));
      await this.#sweep();
      known = await outbox.find(key);
    }
    return known?.state === 'sent' ? known.messageIds : [];
  }

  /** Something may be ready. */
  wake(): void {
    if (!this.#open) return;
    this.#again = true;
    if (!this.#filling) void this.#fill();
  }

  /** Ends taking new rows and waits for those on their way, at most until the signal. */
  async stop(signal: AbortSignal): Promise<void> {
    this.#open = false;
    if (this.#timer) clearTimeout(this.#timer);
    if (this.#sweeper) clearInterval(this.#sweeper);
    const ended = new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
    await Promise.race([Promise.allSettled([...this.#running.values()]), ended]);
  }

  /** Sends until nothing is left or the signal ends it: part of draining. */
  async flush(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.wake();
      if (this.#running.size > 0) await Promise.race([...this.#running.values(), aborted(signal)]);
      else if ((await this.#options.outbox.nextReadyInMs()) !== 0) return;
      else await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  async #fill(): Promise<void> {
    this.#filling = true;
    const { outbox, owner, platform, leaseMs = 30_000, lanes = 32, log } = this.#options;
    try {
      while (this.#again && this.#open) {
        this.#again = false;
        while (this.#open && this.#running.size < lanes) {
          const claim = await outbox.claimNext({ owner, leaseMs, platform: platform.name, except: [...this.#running.keys()] });
          if (!claim) break;
          const work = this.#send(claim).finally(() => {
            this.#running.delete(claim.lane);
            this.wake();
          });
          this.#running.set(claim.lane, work);
        }
      }
      await this.#sleepUntilReady();
    } catch (error) {
      log.error({ err: error, platform: platform.name }, 'the outbox could not be read');
      this.#later(1_000);
    } finally {
      this.#filling = false;
      if (this.#again) this.wake();
    }
  }

  async #sleepUntilReady(): Promise<void> {
    const wait = await this.#options.outbox.nextReadyInMs();
    if (wait !== null && this.#running.size < (this.#options.lanes ?? 32)) this.#later(Math.max(wait, 20));
  }

  #later(ms: number): void {
    if (this.#timer) clearTimeout(this.#timer);
    if (!this.#open) return;
    this.#timer = setTimeout(() => this.wake(), Math.min(ms, 60_000));
    this.#timer.unref();
  }

  async #send(claim: ClaimedSend): Promise<void> {
    const { outbox, log, leaseMs = 30_000 } = this.#options;
    const heartbeat = setInterval(() => void outbox.extend(claim, leaseMs).catch(() => {}), leaseMs / 3);
    try {
      if (!(await outbox.markStarted(claim))) return;
      const ids = await this.#perform(claim);
      if (await outbox.markSent(claim, ids)) this.#watchers.get(claim.key)?.({ messageIds: ids, sent: true });
    } catch (error) {
      await this.#failed(claim, error).catch((inner: unknown) => log.error({ err: inner, key: claim.key }, 'the outbox could not be written'));
    } finally {
      clearInterval(heartbeat);
    }
  }

  async #perform(claim: ClaimedSend): Promise<readonly string[]> {
    const { platform, bytesOf } = this.#options;
    const order = claim.payload as unknown as OutAction;
    switch (order.action) {
      case 'send':
        return platform.send(order.target, order.unit, claim.nonce, bytesOf(order.tenants));
      case 'edit':
        await platform.edit(order.target, order.messageId, order.unit, bytesOf(order.tenants));
        return [order.messageId];
      case 'remove':
        await platform.remove(order.place, order.messageId, order.via);
        return [];
      default:
        return order satisfies never;
    }
  }

  async #failed(claim: ClaimedSend, error: unknown): Promise<void> {
    const { outbox, log, platform } = this.#options;
    const outcome = error instanceof DeliveryError ? error.outcome : 'refused';
    const reason = error instanceof DeliveryError ? `${error.code}: ${error.what}` : error instanceof Error ? error.name : 'unknown';
    const facts = { platform: platform.name, key: claim.key, attempt: claim.attempt, reason };
    let dead = false;
    if (outcome === 'gone') {
      await outbox.markSent(claim, []);
      dead = true;
    } else if (outcome === 'retry') {
      log.info(facts, 'a message will be sent later');
      dead = (await outbox.markFailed(claim, reason, { retryInMs: error instanceof DeliveryError ? error.retryInMs : 1_000, maxAttempts: 20 })) === 'dead';
    } else if (outcome === 'unknown') {
      log.warn(facts, 'a message may or may not have been sent');
      if ((await outbox.markUnknown(claim, reason)) === 'unknown') {
        // Three times is enough: a platform that takes messages and never answers would be flooded.
        if (claim.attempt >= 3) {
          await outbox.resolve(claim.id, 'give-up');
          dead = true;
        } else await this.#resendUnknown();
      }
    } else {
      log.warn({ ...facts, ...(error instanceof DeliveryError ? {} : { err: error }) }, 'a message was refused');
      await outbox.markFailed(claim, reason);
      dead = true;
    }
    if (dead) this.#watchers.get(claim.key)?.({ messageIds: [], sent: false });
    this.wake();
  }

  async #sweep(): Promise<void> {
    try {
      await this.#options.outbox.sweep({ except: [...this.#running.keys()] });
      await this.#resendUnknown();
      this.wake();
    } catch (error) {
      this.#options.log.error({ err: error }, 'the outbox could not be swept');
    }
  }

  /** The platform cannot tell whether these arrived; an answer twice is better than none. */
  async #resendUnknown(): Promise<void> {
    const { outbox, platform, log } = this.#options;
    for (const unknown of await outbox.unknown()) {
      if (unknown.platform !== platform.name) continue;
      // A preview is not worth a second message: the answer itself is still to come.
      const worth = !unknown.key.endsWith(previewSuffix);
      log.warn({ key: unknown.key, platform: platform.name }, worth ? 'sending again what may have arrived' : 'letting go of a preview that may have arrived');
      await outbox.resolve(unknown.id, worth ? 'resend' : 'give-up');
      if (!worth) this.#watchers.get(unknown.key)?.({ messageIds: [], sent: false });
    }
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

/** An outbox row's payload of an action. */
export function payloadOf(action: OutAction): JsonValue {
  return JSON.parse(JSON.stringify(action)) as JsonValue;
}
