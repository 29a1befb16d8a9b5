// Work that is not a decode step (a picture through the encoder, a batch of prompts to embed), cut into
// units. The engine runs one unit between two steps, so that bulk work never silences a conversation.

interface Unit {
  readonly run: () => Promise<void>;
  readonly drop: (error: unknown) => void;
}

/** First come, first served; whoever has several units queues again after each, so jobs take turns. */
export class WorkQueue {
  readonly #units: Unit[] = [];
  readonly #onWork: () => void;
  #closed: { readonly error: unknown } | null = null;

  /** @param onWork told when a unit has come */
  constructor(onWork: () => void) {
    this.#onWork = onWork;
  }

  get size(): number {
    return this.#units.length;
  }

  /** Resolves with what `work` gives once the engine has run it. */
  unit<T>(work: () => Promise<T>): Promise<T> {
    const closed = this.#closed;
    if (closed !== null) return Promise.reject(closed.error);
    return new Promise<T>((resolve, reject) => {
      this.#units.push({ run: () => work().then(resolve, reject), drop: reject });
      this.#onWork();
    });
  }

  /** Runs the next unit, if there is one. Its failure is its owner's. */
  async runOne(): Promise<boolean> {
    const unit = this.#units.shift();
    await unit?.run();
    return unit !== undefined;
  }

  close(error: unknown): void {
    this.#closed = { error };
    for (const unit of this.#units.splice(0)) unit.drop(error);
  }
}
