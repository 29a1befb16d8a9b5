// Admission to the engine, fair between chats: a bounded number of answers at once, the next one always
// from the chat that was served longest ago. A waiting one knows its place.

export interface Ticket {
  /** Resolves on admission with the function that gives the place back; rejects when `signal` aborts. */
  readonly admitted: Promise<() => void>;
  /** 0 when admitted, else how many are served before it, plus one. */
  position(): number;
}

interface Waiting {
  readonly chat: string;
  readonly admit: () => void;
}

export class FairQueue {
  readonly #maxRunning: number;
  readonly #maxWaiting: number;
  #running = 0;
  /** Chats in the order in which they get the next turn; each holds its waiting ones in order. */
  readonly #chats = new Map<string, Waiting[]>();
  #waiting = 0;

  constructor(options: { readonly maxRunning: number; readonly maxWaiting: number }) {
    this.#maxRunning = options.maxRunning;
    this.#maxWaiting = options.maxWaiting;
  }

  get running(): number {
    return this.#running;
  }

  get waiting(): number {
    return this.#waiting;
  }

  /** Null when as many wait as may wait. */
  enter(chat: string, signal: AbortSignal): Ticket | null {
    if (this.#running >= this.#maxRunning && this.#waiting >= this.#maxWaiting) return null;
    let done = false;
    const leave = (): void => {
      if (done) return;
      done = true;
      this.#running--;
      this.#next();
    };
    if (this.#running < this.#maxRunning && this.#waiting === 0) {
      this.#running++;
      return { admitted: Promise.resolve(leave), position: () => 0 };
    }
    let entry: Waiting | null = null;
    const admitted = new Promise<() => void>((resolve, reject) => {
      const abort = (): void => {
        if (entry) this.#drop(entry);
        entry = null;
        reject(signal.reason as Error);
      };
      entry = {
        chat,
        admit: () => {
          signal.removeEventListener('abort', abort);
          entry = null;
          this.#running++;
          resolve(leave);
        },
      };
      if (signal.aborted) return abort();
      signal.addEventListener('abort', abort, { once: true });
      const line = this.#chats.get(chat);
      if (line) line.push(entry);
      else this.#chats.set(chat, [entry]);
      this.#waiting++;
    });
    return { admitted, position: () => (entry ? this.#positionOf(entry) : 0) };
  }

  #next(): void {
    while (this.#running < this.#maxRunning) {
      const first = this.#chats.entries().next();
      if (first.done) return;
      const [chat, line] = first.value;
      // The chat goes to the end of the round.
      this.#chats.delete(chat);
      const entry = line.shift();
      if (line.length > 0) this.#chats.set(chat, line);
      if (!entry) continue;
      this.#waiting--;
      entry.admit();
    }
  }

  #drop(entry: Waiting): void {
    const line = this.#chats.get(entry.chat);
    const at = line?.indexOf(entry) ?? -1;
    if (!line || at < 0) return;
    line.splice(at, 1);
    this.#waiting--;
    if (line.length === 0) this.#chats.delete(entry.chat);
  }

  /** Round by round: before the n-th of a chat every other chat is served up to n times. */
  #positionOf(entry: Waiting): number {
    let place = 0;
    let before = true;
    const own = (this.#chats.get(entry.chat) ?? []).indexOf(entry);
    for (const [chat, line] of this.#chats) {
      if (chat === entry.chat) before = false;
      else place += Math.min(line.length, before ? own + 1 : own);
    }
    return place + own + 1;
  }
}
