// The events of one request on their way to its reader. A slow reader costs no more memory than the
// answer itself: unread pieces of text are joined, and only the newest place in the queue is kept.
import type { GenerateEvent } from './types.ts';

/** Written by the engine, read once. After `end` or `fail` nothing more is taken. */
export class EventStream {
  #unread: GenerateEvent[] = [];
  #failure: { readonly error: unknown } | null = null;
  #ended = false;
  #wake: (() => void) | null = null;

  /** Events that wait to be read. */
  get pending(): number {
    return this.#unread.length;
  }

  push(event: GenerateEvent): void {
    if (this.#ended) return;
    const last = this.#unread.at(-1);
    if (last?.type === 'text' && event.type === 'text') this.#unread[this.#unread.length - 1] = { type: 'text', text: last.text + event.text };
    else if (last?.type === 'queued' && event.type === 'queued') this.#unread[this.#unread.length - 1] = event;
    else this.#unread.push(event);
    if (event.type === 'end') this.#ended = true;
    this.#awake();
  }

  fail(error: unknown): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#failure = { error };
    this.#awake();
  }

  /** Yields until `end`; throws what `fail` was given once the events before it are read. */
  async *read(): AsyncGenerator<GenerateEvent, void, undefined> {
    for (;;) {
      const event = this.#unread.shift();
      if (event !== undefined) {
        yield event;
        if (event.type === 'end') return;
      } else if (this.#failure !== null) {
        throw this.#failure.error;
      } else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }

  #awake(): void {
    const wake = this.#wake;
    this.#wake = null;
    wake?.();
  }
}
