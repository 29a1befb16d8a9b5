// The one base of all errors that Fromage raises on purpose. Every code stands in ERRORS.md (a test
// compares the two). What a person in a chat is told is `userMessage`; the log gets the rest.

/** The facts of one error: both numbers in `what`, the reason in `why`, the way out in `todo`. */
export interface ErrorFacts {
  /** Stable, upper-case, prefixed by its room: `FORMAT_TRUNCATED`. */
  readonly code: string;
  readonly what: string;
  readonly why?: string;
  readonly todo?: string;
  readonly cause?: unknown;
  /** True when the same call may succeed later without any change. */
  readonly retryable?: boolean;
  /** A short sentence in the bot's voice; never holds a path, a secret or message text. */
  readonly userMessage?: string;
}

/** An error with a code that the catalogue explains. Its `message` is what, why and todo joined. */
export class FromageError extends Error {
  readonly code: string;
  readonly what: string;
  readonly why: string | undefined;
  readonly todo: string | undefined;
  readonly retryable: boolean;
  readonly userMessage: string | undefined;

  constructor(facts: ErrorFacts) {
    const sentences = [facts.what, facts.why, facts.todo].filter((part): part is string => Boolean(part));
    super(`${sentences.join('; ')} [${facts.code}]`, facts.cause === undefined ? undefined : { cause: facts.cause });
    this.name = new.target.name;
    this.code = facts.code;
    this.what = facts.what;
    this.why = facts.why;
    this.todo = facts.todo;
    this.retryable = facts.retryable ?? false;
    this.userMessage = facts.userMessage;
  }

  /** A plain value that crosses a process border; `fromPlain` makes the error again. */
  toPlain(): PlainError {
    return {
      code: this.code,
      what: this.what,
      retryable: this.retryable,
      ...(this.why === undefined ? {} : { why: this.why }),
      ...(this.todo === undefined ? {} : { todo: this.todo }),
      ...(this.userMessage === undefined ? {} : { userMessage: this.userMessage }),
    };
  }

  static fromPlain(plain: PlainError): FromageError {
    return new FromageError(plain);
  }
}

export type PlainError = Omit<ErrorFacts, 'cause'>;

/** Any thrown value as a FromageError; one that is not ours becomes `INTERNAL`. */
export function asFromageError(thrown: unknown): FromageError {
  if (thrown instanceof FromageError) return thrown;
  const what = thrown instanceof Error ? thrown.message : String(thrown);
  return new FromageError({ code: 'INTERNAL', what, todo: 'report this as a bug with the log around it', cause: thrown });
}
