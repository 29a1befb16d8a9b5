// The one queue of outgoing requests: about one message a second per chat, 20 a minute per group, 30 a
// second in all; messages before edits before signs of typing; waits that Telegram asks for are kept.
import { DeliveryError } from '../../src/chat/index.ts';

export interface OutgoingJob {
  readonly chat: string;
  /** Groups have a limit per minute as well. */
  readonly group: boolean;
  /** An album counts as its pictures. */
  readonly weight?: number;
  readonly priority: 'message' | 'edit' | 'sign';
  /** Left out when it cannot be done now (typing, growing previews). */
  readonly droppable?: boolean;
}

export interface OutgoingRates {
  /** One second, milliseconds: tests run on shorter ones. */
  readonly secondMs: number;
  readonly perChatPerSecond: number;
  readonly perGroupPerMinute: number;
  readonly perSecond: number;
}

export const telegramRates: OutgoingRates = { secondMs: 1_000, perChatPerSecond: 1, perGroupPerMinute: 20, perSecond: 30 };

interface Pending {
  readonly job: OutgoingJob;
  readonly run: () => Promise<void>;
  readonly drop: () => void;
}

interface ChatState {
  freeAt: number;
  /** When messages of the last minute were sent, oldest first. */
  readonly minute: number[];
  busy: boolean;
}

const order = ['message', 'edit', 'sign'] as const;

export class OutgoingQueue {
  readonly #rates: OutgoingRates;
  readonly #lines: Record<OutgoingJob['priority'], Pending[]> = { message: [], edit: [], sign: [] };
  readonly #chats = new Map<string, ChatState>();
  readonly #second: number[] = [];
  #timer: NodeJS.Timeout | null = null;

  constructor(rates: OutgoingRates = telegramRates) {
    this.#rates = rates;
  }

  get length(): number {
    return order.reduce((sum, priority) => sum + this.#lines[priority].length, 0);
  }

  /** Runs `call` when the limits allow; null when it was dropped. */
  run<T>(job: OutgoingJob, call: () => Promise<T>): Promise<T | null> {
    return new Promise((resolve, reject) => {
      const run = async (): Promise<void> => {
        try {
          resolve(await call());
        } catch (error) {
          if (error instanceof DeliveryError && error.code === 'TELEGRAM_FLOOD') this.#block(job.chat, error.retryInMs);
          reject(error as Error);
        }
      };
      const pending = { job, run, drop: () => resolve(null) };
      if (job.droppable && !this.#isFree(job)) return resolve(null);
      this.#lines[job.priority].push(pending);
      this.#pump();
    });
  }

  #state(chat: string): ChatState {
    let state = this.#chats.get(chat);
    if (!state) this.#chats.set(chat, (state = { freeAt: 0, minute: [], busy: false }));
    return state;
  }

  #block(chat: string, forMs: number): void {
    const state = this.#state(chat);
    state.freeAt = Math.max(state.freeAt, Date.now() + forMs);
  }

  /** Droppable things leave half of a group's minute to messages. */
  #isFree(job: OutgoingJob): boolean {
    const waiting = this.#lines.message.length + this.#lines.edit.length;
    return waiting < this.#rates.perSecond && this.#readyAt(job) <= Date.now() && (!job.group || job.priority === 'sign' || this.#state(job.chat).minute.length < this.#rates.perGroupPerMinute / 2);
  }

  #readyAt(job: OutgoingJob): number {
    const { secondMs, perGroupPerMinute, perSecond } = this.#rates;
    const now = Date.now();
    const state = this.#state(job.chat);
    if (state.busy) return Number.POSITIVE_INFINITY;
    let at = state.freeAt;
    // Signs of typing do not count as messages.
    if (job.priority !== 'sign') {
      trim(state.minute, now - 60 * secondMs);
      const weight = Math.min(job.weight ?? 1, perGroupPerMinute);
      const over = state.minute.length + weight - perGroupPerMinute;
      if (job.group && over > 0) at = Math.max(at, (state.minute[over - 1] ?? now) + 60 * secondMs);
    }
    trim(this.#second, now - secondMs);
    const over = this.#second.length + Math.min(job.weight ?? 1, perSecond) - perSecond;
    if (over > 0) at = Math.max(at, (this.#second[over - 1] ?? now) + secondMs);
    return at;
  }

  #pump(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
    let next = Number.POSITIVE_INFINITY;
    const now = Date.now();
    // A chat's jobs of one kind keep their order: once one must wait, the later ones do too.
    for (const priority of order) {
      const held = new Set<string>();
      const line = this.#lines[priority];
      for (let i = 0; i < line.length; ) {
        const pending = line[i]!;
        const at = held.has(pending.job.chat) ? Number.POSITIVE_INFINITY : this.#readyAt(pending.job);
        if (at <= now) {
          line.splice(i, 1);
          this.#launch(pending);
        } else {
          held.add(pending.job.chat);
          next = Math.min(next, at);
          i++;
        }
      }
    }
    if (Number.isFinite(next)) this.#timer = setTimeout(() => this.#pump(), Math.max(1, next - now));
  }

  #launch(pending: Pending): void {
    const { job } = pending;
    const { secondMs, perChatPerSecond } = this.#rates;
    const now = Date.now();
    const state = this.#state(job.chat);
    const weight = job.weight ?? 1;
    const counts = job.priority === 'sign' ? [this.#second] : [this.#second, state.minute];
    for (const times of counts) for (let i = 0; i < weight; i++) times.push(now);
    if (job.priority !== 'sign') state.busy = true;
    void pending.run().finally(() => {
      // Counted from the end: the server counts from when it gets them, which may be any time until now.
      for (const times of counts) for (let i = 0; i < weight; i++) postpone(times, now);
      if (job.priority !== 'sign') {
        state.busy = false;
        state.freeAt = Math.max(state.freeAt, Date.now() + (weight * secondMs) / perChatPerSecond);
      }
      if (this.#chats.size > 5_000) this.#sweep();
      this.#pump();
    });
  }

  #sweep(): void {
    const now = Date.now();
    for (const [chat, state] of this.#chats) {
      if (!state.busy && state.freeAt < now && (state.minute.at(-1) ?? 0) < now - 60 * this.#rates.secondMs) this.#chats.delete(chat);
    }
  }
}

/** One that was counted at a time counts from now on; the times stay in order. */
function postpone(times: number[], at: number): void {
  const index = times.indexOf(at);
  if (index >= 0) times.splice(index, 1);
  times.push(Date.now());
}

function trim(times: number[], before: number): void {
  while (times.length > 0 && times[0]! <= before) times.shift();
}
