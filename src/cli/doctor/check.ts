// One thing that the doctor looked at.
import { asFromageError } from '../../errors.ts';

export interface Check {
  readonly name: string;
  /** `fail` is to be mended before the program can do what it is configured for; `warn` may be left. */
  readonly state: 'ok' | 'warn' | 'fail' | 'skipped';
  readonly found: string;
  readonly todo?: string;
  /** For --json: figures behind `found`. */
  readonly figures?: Readonly<Record<string, unknown>>;
}

/** A check that fails in an orderly way when it cannot be made. */
export async function checked(name: string, look: () => Promise<Omit<Check, 'name'>> | Omit<Check, 'name'>): Promise<Check> {
  try {
    return { name, ...(await look()) };
  } catch (thrown) {
    const error = asFromageError(thrown);
    return { name, state: 'fail', found: `${error.what}${error.why ? ` (${error.why})` : ''} [${error.code}]`, todo: error.todo ?? 'look at the log with FROMAGE_LOG=debug' };
  }
}
