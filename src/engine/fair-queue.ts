// Who is next: requests in start-time fair order between conversations (Goyal, Vin, Cheng 1996), first
// come first served within one. A conversation that floods the queue waits behind itself, and nobody
// waits for ever.

interface Entry<T> {
  readonly item: T;
  readonly tag: number;
  readonly arrival: number;
}

/** Items leave by `take` (they are served) or `remove` (they give up). */
export class FairQueue<T> {
  #entries: Entry<T>[] = [];
  readonly #lastTag = new Map<string, number>();
  #virtualTime = 0;
  #arrivals = 0;

  get size(): number {
    return this.#entries.length;
  }

  /** @param flow the conversation; items without one are a flow each */
  push(item: T, flow: string | undefined): void {
    const previous = flow === undefined ? 0 : (this.#lastTag.get(flow) ?? 0);
    const tag = Math.max(this.#virtualTime, previous) + 1;
    if (flow !== undefined) this.#lastTag.set(flow, tag);
    const entry = { item, tag, arrival: this.#arrivals++ };
    const at = this.#entries.findIndex((other) => other.tag > tag);
    if (at < 0) this.#entries.push(entry);
    else this.#entries.splice(at, 0, entry);
  }

  /** Items in the order in which they will be served. */
  list(): readonly T[] {
    return this.#entries.map((entry) => entry.item);
  }

  take(item: T): void {
    const entry = this.#drop(item);
    if (entry === undefined) return;
    this.#virtualTime = Math.max(this.#virtualTime, entry.tag);
    for (const [flow, tag] of this.#lastTag) if (tag <= this.#virtualTime) this.#lastTag.delete(flow);
  }

  remove(item: T): void {
    this.#drop(item);
  }

  #drop(item: T): Entry<T> | undefined {
    const at = this.#entries.findIndex((entry) => entry.item === item);
    return at < 0 ? undefined : this.#entries.splice(at, 1)[0];
  }
}
