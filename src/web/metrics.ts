// Prometheus metrics of the server and the engine: one registry, read at /metrics.
import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';
import type { AnswerEvent } from '../chat/index.ts';
import { asFromageError } from '../errors.ts';
import type { Engine } from '../engine/types.ts';

export class WebMetrics {
  readonly registry = new Registry();
  readonly #firstWord = new Histogram({ name: 'fromage_first_word_seconds', help: 'Time from the request to its first text or picture', buckets: [0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30], registers: [this.registry] });
  readonly #answers = new Counter({ name: 'fromage_answers_total', help: 'Answers by how they ended', labelNames: ['reason'] as const, registers: [this.registry] });
  readonly #pictures = new Counter({ name: 'fromage_pictures_shown_total', help: 'Pictures shown', registers: [this.registry] });
  readonly #noPicture = new Counter({ name: 'fromage_no_picture_total', help: '[RET] without a picture good enough', registers: [this.registry] });
  readonly #votes = new Counter({ name: 'fromage_votes_total', help: 'Votes by value', labelNames: ['value'] as const, registers: [this.registry] });

  constructor(engine: Engine) {
    collectDefaultMetrics({ register: this.registry });
    const gauges = {
      running: 'Requests that generate now',
      queued: 'Requests that wait',
      generatedTokens: 'Tokens generated since start',
      prefilledTokens: 'Prompt positions computed since start',
      cachedTokens: 'Prompt positions found in the prefix cache since start',
      steps: 'Decode steps since start',
      meanBatch: 'Mean rows per decode step',
      restarts: 'Restarts of the engine process',
      residentBytes: 'Resident memory of the engine process',
    } as const;
    for (const [key, help] of Object.entries(gauges)) {
      const name = `fromage_engine_${key.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)}`;
      new Gauge({
        name,
        help,
        registers: [this.registry],
        async collect() {
          const stats = await engine.stats().catch(() => null);
          if (stats) this.set(stats[key as keyof typeof gauges]);
        },
      });
    }
  }

  vote(value: string): void {
    this.#votes.inc({ value });
  }

  /** Counts while the answer passes through. */
  async *watch(answer: AsyncIterable<AnswerEvent>): AsyncGenerator<AnswerEvent, void, undefined> {
    const began = performance.now();
    let spoke = false;
    try {
      for await (const event of answer) {
        if (!spoke && (event.type === 'text' || event.type === 'pictures')) {
          spoke = true;
          this.#firstWord.observe((performance.now() - began) / 1000);
        }
        if (event.type === 'pictures') this.#pictures.inc(event.pictures.length);
        if (event.type === 'no_picture') this.#noPicture.inc();
        if (event.type === 'end') this.#answers.inc({ reason: event.answer.reason });
        yield event;
      }
    } catch (thrown) {
      this.#answers.inc({ reason: asFromageError(thrown).code });
      throw thrown;
    }
  }
}
