// What a person is told when a command fails, and the exit code that goes with it.
import { CommanderError } from 'commander';
import { asFromageError } from '../errors.ts';

/** Writes to standard error; gives 0 for help, 2 for wrong use, 130 for an interruption, else 1. */
export function reportError(thrown: unknown): number {
  if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? 0 : 2;
  if (thrown instanceof Error && thrown.name === 'AbortError') {
    process.stderr.write('interrupted\n');
    return 130;
  }
  const error = asFromageError(thrown);
  const colour = process.stderr.isTTY && !process.env.NO_COLOR;
  const mark = colour ? '\x1b[31merror\x1b[0m' : 'error';
  process.stderr.write(`${mark} ${error.code}: ${error.what}\n`);
  if (error.why) process.stderr.write(`  because ${error.why}\n`);
  if (error.todo) process.stderr.write(`  what to do: ${error.todo}\n`);
  if (error.code === 'INTERNAL' && error.cause instanceof Error && process.env.FROMAGE_LOG === 'debug') process.stderr.write(`${error.cause.stack}\n`);
  return 1;
}
