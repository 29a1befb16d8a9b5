// The answers that are being made right now, by conversation, so that /stop, an edited or deleted
// question, a newer message or the end of the process can interrupt them.

/** `stopped` and `superseded` keep what was said so far; the others drop it. */
export type Interruption = 'stopped' | 'edited' | 'deleted' | 'superseded' | 'shutdown';

/** The reason with which an answer's signal aborts. */
export class Interrupted extends Error {
  readonly why: Interruption;

  constructor(why: Interruption) {
    super(`the answer was interrupted: ${why}`);
    this.name = 'Interrupted';
    this.why = why;
  }
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
  #closing = false;

  get count(): number {
    return this.#byPlace.size;
  }

  isRunning(placeKey: string): boolean {
    return this.#byPlace.has(placeKey);
  }

  begin(placeKey: string, messageId: string | null): RunningAnswer {
    const answer = { messageId, controller: new AbortController() };
    this.#byPlace.set(placeKey, answer);
    if (this.#closing) answer.controller.abort(new Interrupted('shutdown'));
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
    this.#closing = true;
    for (const answer of this.#byPlace.values()) answer.controller.abort(new Interrupted('shutdown'));
  }

  noteArrival(placeKey: string, eventId: string): void {
    this.#newest.set(placeKey, eventId);
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
