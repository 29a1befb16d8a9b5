// The command line: `fromage <command>`. Each command lives in a file of its own and is loaded when it
// is asked for, so that `--help` is quick.
import { Command, CommanderError } from 'commander';
import { asFromageError } from '../errors.ts';
import { registerCommands } from './commands.ts';

/** Exit codes: 0 done, 1 failed, 2 used wrongly, 130 interrupted. */
export async function main(args: readonly string[]): Promise<void> {
  const program = new Command('fromage')
    .description('A chat program that sees and shows pictures (FROMAGe), on Discord, Telegram and in the browser')
    .version('0.1.0')
    .showSuggestionAfterError()
    .exitOverride()
    .configureHelp({ showGlobalOptions: true });
  registerCommands(program);
  try {
    await program.parseAsync([...args], { from: 'user' });
  } catch (thrown) {
    process.exitCode = report(thrown);
  }
}

function report(thrown: unknown): number {
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
