// Stop texts over a stream: they may lie across token borders, so text that could still become one is
// held back until it is known to be none.

export interface StopResult {
  /** Text that may be shown. */
  readonly text: string;
  /** True when a stop text was found; `text` ends before it. */
  readonly stopped: boolean;
}

/** Watches one stream of text for the stop text that is complete first. */
export class StopStrings {
  readonly #stops: readonly string[];
  #held = '';

  constructor(stops: readonly string[]) {
    this.#stops = stops;
  }

  push(text: string): StopResult {
    if (this.#stops.length === 0) return { text, stopped: false };
    const all = this.#held + text;
    // The stop text that is complete first wins, so that it does not matter how the stream is cut.
    let at = -1;
    let end = Number.POSITIVE_INFINITY;
    for (const stop of this.#stops) {
      const found = all.indexOf(stop);
      if (found >= 0 && (found + stop.length < end || (found + stop.length === end && found < at))) {
        at = found;
        end = found + stop.length;
      }
    }
    if (at >= 0) {
      this.#held = '';
      return { text: all.slice(0, at), stopped: true };
    }
    const keep = this.#unsettled(all);
    this.#held = all.slice(all.length - keep);
    return { text: all.slice(0, all.length - keep), stopped: false };
  }

  /** What is held back, at the end or where a picture cuts the text. */
  flush(): string {
    const rest = this.#held;
    this.#held = '';
    return rest;
  }

  /** Length of the longest end of `text` that some stop text begins with. */
  #unsettled(text: string): number {
    let longest = 0;
    for (const stop of this.#stops) {
      for (let length = Math.min(stop.length - 1, text.length); length > longest; length--) {
        if (text.endsWith(stop.slice(0, length))) {
          longest = length;
          break;
        }
      }
    }
    return longest;
  }
}
