// The command line: `fromage <command>`. Each command lives in a file of its own and is loaded when it
// is asked for, so that `--help` is quick.
import { Command } from 'commander';
import { registerCommands } from './commands.ts';
import { reportError } from './report.ts';

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
    process.exitCode = reportError(thrown);
  }
}
