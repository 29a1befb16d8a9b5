// The one error of this room. Whatever is wrong with a file, what comes out is a FormatError that names
// the file, the byte where reading stopped, and the reason.
import { FromageError } from '../errors.ts';
import type { ErrorFacts } from '../errors.ts';

export interface FormatFacts extends ErrorFacts {
  /** Path as the caller knows it. */
  readonly file: string;
  /** Bytes from the start of the file, where one place is to blame. */
  readonly offset?: number;
}

/** A file that cannot be read as what it claims to be. */
export class FormatError extends FromageError {
  readonly file: string;
  readonly offset: number | undefined;

  constructor(facts: FormatFacts) {
    const place = facts.offset === undefined ? facts.file : `${facts.file} at byte ${facts.offset}`;
    super({ ...facts, what: `${place}: ${facts.what}` });
    this.file = facts.file;
    this.offset = facts.offset;
  }
}
