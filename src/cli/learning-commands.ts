// `fromage retrain` and what `fromage adapters` says of versions. They work on the store; a program that
// runs takes the job, and follows a promotion within seconds.
import type { Command } from 'commander';

export function registerLearningCommands(program: Command): void {
  const retrain = program.command('retrain').description('learn from feedback: runs, and which adapter serves');
  const load = () => import('./commands/retrain.ts');
  retrain
    .command('start')
    .description('ask the running program for a training run, and follow it')
    .option('--reason <text>', 'why; it stands in the history', '')
    .option('--no-wait', 'do not follow it')
    .option('--json', 'one JSON object')
    .action(async (options) => (await load()).startRun(options));
  retrain.command('status', { isDefault: true }).description('the run under way, or the last one').option('--json', 'as JSON').action(async (options) => (await load()).showStatus(options));
  retrain.command('cancel').description('stop the run under way').action(async () => (await load()).cancelRun());
  retrain.command('history').description('runs, newest first').option('--limit <n>', 'how many', '10').option('--json', 'as JSON').action(async (options) => (await load()).showHistory(options));
  retrain.command('promote <id>').description('let a version serve').option('--reason <text>', 'why; it stands in the lineage', '').action(async (id, options) => (await load()).promoteVersion(id, options));
  retrain.command('rollback').description('go back to the version that served before').option('--reason <text>', 'why; it stands in the lineage', '').action(async (options) => (await load()).rollBack(options));
  retrain
    .command('settings [name] [value]')
    .description('thresholds, gate, schedule: list them, or change one; a running program follows')
    .option('--unset', 'back to its default')
    .option('--json', 'as JSON')
    .action(async (name, value, options) => (await load()).learningSettings(name, value, options));

  const adapters = program.commands.find((command) => command.name() === 'adapters') ?? program.command('adapters');
  adapters.command('list').description('versions in the data folder, newest first').option('--json', 'as JSON').action(async (options) => (await import('./commands/adapters.ts')).listAdapters(options));
  adapters.command('show <id>').description('snapshot, parent, figures, who promoted it and why').option('--json', 'as JSON').action(async (id, options) => (await import('./commands/adapters.ts')).showAdapter(id, options));
  adapters.command('pin <chat> <id>').description('let one chat (telegram:42, discord:43) be answered by this version; "none" ends that').action(async (chat, id) => (await import('./commands/adapters.ts')).pinAdapter(chat, id));
}
