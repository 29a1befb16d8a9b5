// A pickle is a program: a few bytes can ask for much. The budget counts what it takes, roughly, and
// ends it when the sum is out of proportion.
import { FormatError } from '../errors.ts';

export class PickleBudget {
  readonly #limitBytes: number;
  #used = 0;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  /** @throws FormatError `FORMAT_LIMIT` */
  charge(bytes: number, file: string, offset: number): void {
    this.#used += bytes;
    if (this.#used <= this.#limitBytes) return;
    throw new FormatError({
      code: 'FORMAT_LIMIT', file, offset,
      what: `the pickle asks for more than ${this.#limitBytes} bytes of memory`,
      why: 'a checkpoint has a small pickle beside its tensors',
    });
  }
}
