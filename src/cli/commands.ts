// The table of commands. An action imports its file only when it runs.
import { type Command, Option } from 'commander';
import { describeConfig } from '../config/index.ts';
import { registerGalleryCommands } from './gallery-commands.ts';
import { registerEvaluationCommands } from './evaluation-commands.ts';
import { registerLearningCommands } from './learning-commands.ts';
import { registerTrainingCommands } from './training-commands.ts';

/** Options that every command with a model takes; they stand above the environment. */
function withModel(command: Command): Command {
  return command
    .option('--model <preset|folder>', 'starter, fromage, fromage-vis4, or a model folder (FROMAGE_MODEL)')
    .option('--lm <folder|id>', 'another language model of the supported families (FROMAGE_LM)')
    .option('--vision <folder|id>', 'another visual encoder (FROMAGE_VISION)')
    .option('--adapter <folder>', 'another adapter (FROMAGE_ADAPTER)')
    .addOption(new Option('--weights <precision>', 'precision of the language model (FROMAGE_WEIGHTS)').choices(['auto', 'fp32', 'q8', 'q4']))
    .addOption(new Option('--device <device>', 'where the model runs (FROMAGE_DEVICE)').choices(['auto', 'cpu', 'cuda', 'webgpu']))
    .option('--threads <n>', 'threads of the model (FROMAGE_THREADS)');
}

export function registerCommands(program: Command): void {
  withModel(program.command('start').description('start the page, the HTTP API and every bot that has a token'))
    .option('--port <n>', 'port of the page (PORT); 0 takes any free one')
    .option('--gallery <folder>', 'show the pictures of this folder too (FROMAGE_GALLERY)')
    .addHelpText('after', environmentHelp)
    .action(async (options) => (await import('./commands/start.ts')).start(options));

  withModel(program.command('chat').description('talk in the terminal; /image FILE adds a picture, /show TEXT asks for one'))
    .option('--gallery <folder>', 'show the pictures of this folder too')
    .option('--temperature <t>', '0 always gives the most likely words', '0')
    .option('--seed <n>', 'repeat an answer')
    .action(async (options) => (await import('./commands/chat.ts')).chat(options));

  withModel(program.command('generate').description('answer one prompt from a JSON file: a list of {"text":…} and {"image":path}'))
    .requiredOption('--prompt <file>', 'JSON file, - for standard input')
    .option('--style <style>', 'lay the prompt out as one user turn: qa, chat; plain takes it as it is', 'chat')
    .option('--max-tokens <n>', 'longest answer', '64')
    .option('--temperature <t>', 'randomness', '0')
    .option('--top-p <p>', 'nucleus', '1')
    .option('--seed <n>', 'repeat an answer')
    .option('--ret-scale <f>', 'how eager [RET] is', '1')
    .option('--min-words <n>', 'no [RET] before this many tokens', '0')
    .option('--max-rets <n>', 'at most this many [RET]', '1')
    .option('--force-ret', 'begin with [RET]: show a picture')
    .option('--no-gallery', 'words only')
    .option('--gallery <folder>', 'show the pictures of this folder too')
    .option('--json', 'one JSON object')
    .action(async (options) => (await import('./commands/generate.ts')).generate(options));

  const models = program.command('models').description('the models that can run here');
  models.command('list').description('presets, and what is on this machine').option('--json', 'as JSON').action(async (options) => (await import('./commands/models.ts')).listModels(options));
  models
    .command('pull <preset|id>')
    .description('fetch a preset or a model of the Hugging Face hub; tells first what it takes')
    .option('--accept-licenses', 'the licences that are named are accepted')
    .addOption(new Option('--quant <precision>', 'convert the language model at once').choices(['q8', 'q4']))
    .option('--json', 'one JSON object')
    .action(async (name, options) => (await import('./commands/models.ts')).pullModel(name, options));
  withModel(models.command('info').description('load a model and tell what it is')).option('--json', 'as JSON').action(async (options) => (await import('./commands/models.ts')).modelInfo(options));

  program
    .command('golden <folder>')
    .description('compare every part with the numbers of a reference folder; exit code 1 when one differs')
    .option('--json', 'only the JSON line')
    .addOption(new Option('--device <device>', 'where the models run').choices(['cpu', 'cuda', 'webgpu']))
    .option('--threads <n>', 'threads of the model')
    .action(async (folder, options) => (await import('./commands/golden.ts')).golden(folder, options));

  const bench = program.command('bench').description('measure speed and memory beside a baseline in the same run');
  withModel(bench.command('engine', { isDefault: true }).description('decoding, prefill, first word, pictures, beside node-llama-cpp'))
    .option('--rounds <n>', 'interleaved rounds; medians are reported', '7')
    .option('--captions <tsv>', 'texts for the perplexity (caption<TAB>image)')
    .option('--no-peer', 'leave the peer out')
    .option('--json', 'only the JSON line')
    .action(async (options) => (await import('./commands/bench.ts')).benchEngine(options));

  withModel(bench.command('train').description('steps of training, to be held beside bench/train_pytorch.py'))
    .option('--batch <n>', 'examples in a step', '16')
    .option('--length <n>', 'tokens of a caption with its begin token and [RET]', '24')
    .option('--visual-tokens <k>', 'visual tokens', '1')
    .option('--recompute-layers <n>', 'layers between two kept states; 0 keeps everything', '0')
    .option('--rounds <n>', 'interleaved rounds; medians are reported', '5')
    .option('--savings <photo>', 'measure instead what knowing the frozen parts saves, each by itself; pictures are this one')
    .option('--json', 'only the JSON line')
    .action(async (options) => (await import('./commands/bench-train.ts')).benchTrain(options));

  withModel(bench.command('beside-training').description('the time to a first word with and without a training job beside it'))
    .option('--rounds <n>', 'interleaved rounds of three questions each; medians are reported', '7')
    .option('--json', 'only the JSON line')
    .action(async (options) => (await import('./commands/bench-beside-training.ts')).benchBesideTraining(options));

  bench
    .command('retrieval')
    .description('the embedded index beside a plain scan: rows in a second, memory, one query and 32 at once')
    .option('--large', 'a million vectors too')
    .option('--threads <n>', 'threads of the index')
    .option('--json', 'only the JSON line')
    .action(async (options) => (await import('./commands/bench-retrieval.ts')).benchRetrieval(options));

  registerTrainingCommands(program);
  registerLearningCommands(program);
  registerEvaluationCommands(program, withModel);
  registerGalleryCommands(program, withModel);

  withModel(program.command('doctor').description('check everything and say what to mend'))
    .option('--quick', 'without the model')
    .option('--captions <tsv>', 'with --images: do answers depend on the picture? (caption<TAB>image)')
    .option('--images <tar>', 'photos of --captions: a folder or a tar')
    .option('--json', 'as JSON')
    .action(async (options) => (await import('./commands/doctor.ts')).doctor(options));
}

/** Every variable with its meaning and default, so that `start --help` is the whole truth. */
function environmentHelp(): string {
  const rows = describeConfig().map(({ name, description, fallback, secret }) => `  ${name.padEnd(26)} ${description}${fallback === '' ? '' : ` [${fallback}]`}${secret ? ' (secret; may come from NAME_FILE)' : ''}`);
  return `\nEnvironment (also read from .env):\n${rows.join('\n')}\n`;
}
