// How much training is felt by those who talk meanwhile: the time to a first word before and during a run.
import { performance } from 'node:perf_hooks';
import type { Engine } from '../../engine/types.ts';
import { asTyped } from '../gate.ts';

const probesBefore = 3;
const pauseMs = 3_000;

export class LatencyProbe {
  readonly #engine: Pick<Engine, 'generate'>;
  readonly #before: number[] = [];
  readonly #during: number[] = [];
  #timer: NodeJS.Timeout | undefined;
  #busy: Promise<void> | null = null;

  constructor(engine: Pick<Engine, 'generate'>) {
    this.#engine = engine;
  }

  /** Call before the training process starts. */
  async rest(): Promise<void> {
    // The first one after a pause is slow for reasons of its own.
    await this.#firstWord();
    for (let i = 0; i < probesBefore; i++) this.#before.push(await this.#firstWord());
  }

  /** Probes now and then until `end`. */
  begin(): void {
    this.#timer = setInterval(() => {
      this.#busy ??= this.#firstWord()
        .then((ms) => void this.#during.push(ms))
        .catch(() => {})
        .finally(() => (this.#busy = null));
    }, pauseMs);
    this.#timer.unref();
  }

  /** @returns median during training over median before; null where there was no time to measure */
  async end(): Promise<number | null> {
    clearInterval(this.#timer);
    await this.#busy;
    return this.#before.length === 0 || this.#during.length === 0 ? null : median(this.#during) / median(this.#before);
  }

  async #firstWord(): Promise<number> {
    const began = performance.now();
    for await (const event of this.#engine.generate({ prompt: asTyped('Hello'), seed: 1, decoding: { maxNewTokens: 1, maxNumRets: 0 } })) {
      if (event.type === 'text' || event.type === 'end') break;
    }
    return performance.now() - began;
  }
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}
