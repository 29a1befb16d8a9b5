// `fromage evaluate <task>`: one command, its tasks read each other's options where they mean the same.
import { Argument, type Command, Option } from 'commander';
import { evaluationTasks } from '../evaluation/contracts.ts';

export function registerEvaluationCommands(program: Command, withModel: (command: Command) => Command): void {
  withModel(program.command('evaluate').description('measure the model: figures as JSON on the last line, and a report page under FROMAGE_DATA_DIR/reports'))
    .addArgument(new Argument('<task>', 'what is measured').choices(evaluationTasks))
    .option('--data <file>', 'caption<TAB>image lines (retrieval, captioning, prompting), VIST’s story-in-sequence JSON (vist, prompting), VisDial 1.0’s JSON (visdial), own lines (dialogue)')
    .option('--images <place>', 'folder, tar archive, or list of addresses (name<TAB>address in a .tsv); absent: the data holds addresses')
    .option('--compare <adapter>', 'a second adapter folder on the same queries, with the paired difference')
    .option('--limit <n>', 'the first n pictures, stories, dialogues or lines')
    .option('--captions <n>', 'the first n captions of each picture (retrieval, captioning)')
    .addOption(new Option('--query-style <style>', 'how a caption asks for its picture: as in that prompt style; the model’s own by default').choices(['chat', 'qa', 'plain']))
    .option('--query <words>', 'own words, {} stands for the caption: "Find a photo of {}"')
    .option('--question <words>', 'what is asked about a picture (captioning)')
    .option('--dense <file>', 'dense relevance annotations, for NDCG (visdial)')
    .option('--ret-scale <f>', 'how eager [RET] is (dialogue)')
    .option('--samples <n>', 'resamples of the 95 % intervals', '1000')
    .option('--seed <n>', 'of random baselines, resampling and sample pictures', '1')
    .option('--resume', 'go on with a run that was stopped')
    .option('--allow-host <host...>', 'hosts that pictures may be fetched from though they are not public')
    .option('--json', 'only the JSON line')
    .action(async (task, options) => (await import('./commands/evaluate.ts')).evaluate(task, options));
}
