// `fromage ingest`, `import`, `search` and `index`: the gallery from the command line.
import type { Command } from 'commander';

const tenant = ['--tenant <tenant>', 'who may see them: all, guild:discord:1, chat:telegram:2', 'all'] as const;
const tenants = ['--tenant <tenant...>', 'whose pictures are looked at', ['all', 'web']] as const;

/** @param withModel adds the options that choose a model */
export function registerGalleryCommands(program: Command, withModel: (command: Command) => Command): void {
  withModel(program.command('ingest <source>').description('take the pictures of a folder, .tsv, .jsonl or .tar(.gz) into the gallery; goes on with a run that was stopped'))
    .option(...tenant)
    .option('--captions <tsv>', 'captions for a folder or a tar (caption<TAB>image); else a .txt or .json beside a picture')
    .option('--describe', 'let the model say what is in a picture that has no caption')
    .option('--tag <tag...>', 'tags for all of them')
    .option('--licence <licence>', 'licence of those that name none')
    .option('--no-fetch', 'do not fetch addresses')
    .option('--allow-host <host...>', 'host or host:port that may be fetched from although it is not public')
    .option('--processes <n>', 'processes that decode; the cores but one by default')
    .option('--batch <n>', 'pictures encoded together', '32')
    .option('--report <file>', 'write a JSON line for each picture that was not taken')
    .option('--json', 'one JSON object')
    .action(async (source, options) => (await import('./commands/ingest.ts')).ingestCommand(source, options));

  withModel(program.command('import <file>').description('take the authors’ cc3m_embeddings*.pkl in as links; pictures are fetched when they are first shown'))
    .option(...tenant)
    .option('--tag <tag...>', 'tags for all of them')
    .option('--licence <licence>', 'licence of all of them')
    .option('--json', 'one JSON object')
    .action(async (file, options) => (await import('./commands/import.ts')).importCommand(file, options));

  withModel(program.command('search [text]').description('ask the gallery with words, a picture, or both'))
    .option('--image <file>', 'a picture to search with')
    .option('--like <id>', 'similar to a picture of the gallery')
    .option('--avoid <text...>', 'away from these words')
    .option(tenants[0], tenants[1], [...tenants[2]])
    .option('--tag <tag...>', 'only with all of these tags')
    .option('--added-by <user>', 'only what one person added')
    .option('--after <date>', 'added after')
    .option('--before <date>', 'added before')
    .option('--limit <n>', 'pictures on a page', '10')
    .option('--page <n>', 'which page', '1')
    .option('--no-starter', 'without the starter gallery')
    .option('--open', 'show them with the system’s program')
    .option('--json', 'one JSON object')
    .action(async (text, options) => (await import('./commands/search.ts')).search(text, options));

  const index = program.command('index').description('the index of the gallery against the database');
  withModel(index.command('verify').description('are bytes, features, vectors and index sound? exit code 1 when not'))
    .option('--json', 'one JSON object')
    .action(async (options) => (await import('./commands/index-admin.ts')).verifyIndex(options));
  withModel(index.command('rebuild').description('project all features anew and fill the index from the database'))
    .option('--json', 'one JSON object')
    .action(async (options) => (await import('./commands/index-admin.ts')).rebuildIndex(options));
  withModel(index.command('stats').description('what is in the gallery'))
    .option('--json', 'one JSON object')
    .action(async (options) => (await import('./commands/index-admin.ts')).indexStats(options));
  withModel(index.command('calibrate').description('choose the score below which "I have no picture of that" is said'))
    .option('--coverage <share>', 'keep this share of answers [0.95]')
    .option('--precision <share>', 'reach this precision with as many answers as possible')
    .option('--queries <n>', 'captions to ask', '500')
    .option('--captions <tsv>', 'held-out captions (caption<TAB>image); else those of the pictures')
    .option(tenants[0], tenants[1], [...tenants[2]])
    .option('--json', 'one JSON object')
    .action(async (options) => (await import('./commands/index-admin.ts')).calibrateIndex(options));
}
