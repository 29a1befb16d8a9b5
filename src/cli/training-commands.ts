// `fromage train` and `fromage adapters`. Every setting of a training run is an option of its own.
import { type Command, Option } from 'commander';
import { trainSettings } from '../training/contracts.ts';

export function registerTrainingCommands(program: Command): void {
  const train = program
    .command('train')
    .description('train an adapter on captioned pictures; the same command goes on with a run that was stopped')
    .addOption(new Option('--recipe <name>', 'where settings start: the paper’s, or the starter’s (chat, gallery names, talk)').choices(['paper', 'starter']).default('paper'))
    .option('--config <json>', 'settings from a file, such as a run’s config.json: above the recipe, below the options. Its data may be weighted')
    .option('--data <tsv...>', 'captions (caption<TAB>image), one file or several')
    .option('--images <place...>', 'folder or tar archive of the pictures, one for each file')
    .option('--talk <jsonl...>', 'ordinary talk: lines of {"user", "assistant", "before"?}')
    .option('--json', 'only JSON lines on standard output');
  for (const { flag, description, fallback } of trainSettings()) train.option(`--${flag} <value>`, `${description}${fallback === null ? '' : ` [${fallback}]`}`);
  train.action(async (_options, command: Command) => (await import('./commands/train.ts')).trainCommand(command));

  const adapters = program.command('adapters').description('adapters in our form and the authors’');
  adapters
    .command('export <adapter> <folder>')
    .description('write an adapter for PyTorch: model_args.json and pretrained_ckpt.pth.tar')
    .addOption(new Option('--format <format>', 'the form to write').choices(['pytorch']).default('pytorch'))
    .action(async (adapter, folder) => (await import('./commands/adapters.ts')).exportAdapter(adapter, folder));
  adapters
    .command('import <source> <folder>')
    .description('read an adapter of the authors’ form and write it in ours')
    .action(async (source, folder) => (await import('./commands/adapters.ts')).importAdapterCommand(source, folder));
}
