// Draws examples from weighted sources, each source in a new random order every epoch. What comes next
// depends on the seed and on how many were drawn, so that a resumed run goes on where it stopped.
import { createRandom } from './random.ts';
import type { ExampleSource, TrainingExample } from './examples.ts';

export interface Drawn {
  readonly example: TrainingExample;
  readonly source: ExampleSource;
}

export class Sampler {
  readonly #sources: readonly ExampleSource[];
  readonly #seed: number;
  readonly #name: string;
  readonly #drawn: number[];
  readonly #orders = new Map<number, { readonly epoch: number; readonly order: readonly number[] }>();

  /**
   * @param name tells streams of one run apart
   * @param drawn how many came from each source so far
   */
  constructor(name: string, sources: readonly ExampleSource[], seed: number, drawn: readonly number[] = []) {
    this.#name = name;
    this.#sources = sources;
    this.#seed = seed;
    this.#drawn = sources.map((_, i) => drawn[i] ?? 0);
  }

  /** What to give the constructor to go on from here. */
  get drawn(): readonly number[] {
    return [...this.#drawn];
  }

  take(count: number): Drawn[] {
    return this.#sources.length === 0 ? [] : Array.from({ length: count }, () => this.#next());
  }

  /** The source that is furthest behind its share. */
  #next(): Drawn {
    const weights = this.#sources.reduce((sum, { weight }) => sum + weight, 0);
    const total = this.#drawn.reduce((sum, count) => sum + count, 0) + 1;
    let chosen = 0;
    let most = Number.NEGATIVE_INFINITY;
    this.#sources.forEach(({ weight }, i) => {
      const behind = (weight / weights) * total - this.#drawn[i]!;
      if (behind > most) [chosen, most] = [i, behind];
    });
    const source = this.#sources[chosen]!;
    const { length } = source.examples;
    const count = this.#drawn[chosen]!++;
    return { example: source.examples[this.#order(chosen, Math.floor(count / length), length)[count % length]!]!, source };
  }

  #order(source: number, epoch: number, length: number): readonly number[] {
    const known = this.#orders.get(source);
    if (known?.epoch === epoch) return known.order;
    const order = createRandom(this.#seed, `${this.#name}/${source}/${epoch}`).shuffled(Array.from({ length }, (_, i) => i));
    this.#orders.set(source, { epoch, order });
    return order;
  }
}
