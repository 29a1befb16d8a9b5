// The answers that are being made right now, by conversation, so that /stop, an edited or deleted
// question, a newer message or the end of the process can interrupt them.

/**
 * `stopped` and `superseded` keep what was said so far; the others drop it. After `joined` (the question
 * has another part) and `shutdown` the question is taken up again.
 */
export type Interruption = 'stopped' | 'edited' | 'deleted' | 'superseded' | 'joined' | 'shutdown';

/** The reason with which an answer's signal aborts. */
export class Interrupted extends Error {
  readonly why: Interruption;

  constructor(why: Interruption) {
    super(`the answer was interrupted: ${why}`);
    this.name = 'Interrupted';
    this.why = why;
  }
}

/** True when the event is not done with: it goes back to the inbox. */
export function isTakenUpAgain(why: Interruption): boolean {
  return why === 'joined' || why === 'shutdown';
}

export interface RunningAnswer {
  readonly messageId: string | null;
  readonly controller: AbortController;
}

export class RunningAnswers {
  readonly #byPlace = new Map<string, RunningAnswer>();
  /** The newest message of each conversation that was accepted and not yet worked off. */
  readonly #newest = new Map<string, string>();
  /** Commands by event id that found something to stop. */
  readonly #stoppers = new Set<string>();
  /** Questions that got another part before their answer began: message id by conversation. */
  readonly #growing = new Map<string, string>();
  readonly #closing = new AbortController();

  get count(): number {
    return this.#byPlace.size;
  }

  /** Aborts when the process ends. */
  get closing(): AbortSignal {
    return this.#closing.signal;
  }

  isRunning(placeKey: string): boolean {
    return this.#byPlace.has(placeKey);
  }

  begin(placeKey: string, messageId: string | null): RunningAnswer {
    const answer = { messageId, controller: new AbortController() };
    this.#byPlace.set(placeKey, answer);
    if (messageId !== null && this.#growing.get(placeKey) === messageId) answer.controller.abort(new Interrupted('joined'));
    if (this.closing.aborted) answer.controller.abort(new Interrupted('shutdown'));
    return answer;
  }

  end(placeKey: string, answer: RunningAnswer): void {
    if (this.#byPlace.get(placeKey) === answer) this.#byPlace.delete(placeKey);
  }

  /** True when something was running (about that message, if one is named). */
  interrupt(placeKey: string, why: Interruption, messageId?: string): boolean {
    const answer = this.#byPlace.get(placeKey);
    if (!answer || answer.controller.signal.aborted) return false;
    if (messageId !== undefined && answer.messageId !== messageId) return false;
    answer.controller.abort(new Interrupted(why));
    return true;
  }

  /** From now on every answer, also one that begins later, ends at once. */
  interruptAll(): void {
    this.#closing.abort();
    for (const answer of this.#byPlace.values()) answer.controller.abort(new Interrupted('shutdown'));
  }

  /** The question that this conversation is at has another part; its answer begins anew, also one that has not begun. */
  grow(placeKey: string, messageId: string): void {
    if (!this.interrupt(placeKey, 'joined', messageId)) this.#growing.set(placeKey, messageId);
  }

  forgetGrowth(placeKey: string): void {
    this.#growing.delete(placeKey);
  }

  noteArrival(placeKey: string, eventId: string): void {
    this.#newest.set(placeKey, eventId);
  }

  /** Several arrivals are one question now. */
  joinArrivals(placeKey: string, eventId: string, joined: readonly string[]): void {
    const newest = this.#newest.get(placeKey);
    if (newest !== undefined && joined.includes(newest)) this.#newest.set(placeKey, eventId);
  }

  /** True when a newer message of this conversation waits. */
  isOutdated(placeKey: string, eventId: string): boolean {
    const newest = this.#newest.get(placeKey);
    return newest !== undefined && newest !== eventId;
  }

  forgetArrival(placeKey: string, eventId: string): void {
    if (this.#newest.get(placeKey) === eventId) this.#newest.delete(placeKey);
  }

  noteStopped(eventId: string): void {
    this.#stoppers.add(eventId);
  }

  takeStopped(eventId: string): boolean {
    return this.#stoppers.delete(eventId);
  }
}
