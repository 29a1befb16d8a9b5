// `evaluate dialogue`: manners on the labelled set, with every answer in the report.
import type { Engine } from '../../engine/types.ts';
import { compareValues } from '../figures.ts';
import { cell, comparisonSection } from '../report/cells.ts';
import { spread } from '../report/curves.ts';
import type { ReportSection } from '../report/page.ts';
import { type DialogueBaseline, type DialogueResult, evaluateDialogue, loadDialogueSet } from '../tasks/dialogue.ts';
import type { RunOutcome, RunRequest } from './types.ts';

export async function runDialogue(engine: Engine, request: RunRequest): Promise<RunOutcome> {
  const lines = (await loadDialogueSet(request.data)).slice(0, request.limit);
  const first = await evaluateDialogue(engine, lines, request);
  const sections = dialogueSections(first);
  if (request.compare === undefined) return { figures: { ...first.figures }, sections };
  const second = await evaluateDialogue(engine, lines, { ...request, adapter: request.compare });
  const comparison = { accuracy: compareValues(first.values.right, second.values.right, undefined, request) };
  return { figures: { ...first.figures, compared: second.figures, comparison }, sections: [comparisonSection('Second adapter', comparison), ...sections] };
}

export function dialogueSections({ figures, lines }: DialogueResult): ReportSection[] {
  const probabilities = (wanted: string) => lines.flatMap(({ line, probability }) => (line.expect === wanted ? [probability] : []));
  const { baselines, intervals } = figures;
  const baseline = (name: string, each: DialogueBaseline) => [name, cell(each.ret_precision), cell(each.ret_recall), cell(each.accuracy), '–', '–'];
  return [
    {
      title: 'A picture when asked, words otherwise',
      text: `${figures.n} lines, ${figures.n_asking} of them ask for a picture. Precision: of the answers with [RET], those where a picture was asked for; recall: of the requests, those that got [RET]. Repetition: three-word pieces that an answer has said before.`,
      table: {
        head: ['', '[RET] precision', '[RET] recall', 'both right', 'repetition', 'words in an answer'],
        rows: [
          ['this model', cell(figures.ret_precision, intervals['ret_precision']), cell(figures.ret_recall, intervals['ret_recall']), cell(figures.accuracy, intervals['accuracy']), cell(figures.repetition), cell(figures.mean_words)],
          baseline('always a picture', baselines.always),
          baseline('never a picture', baselines.never),
          baseline('at random, as often as asked', baselines.coin),
        ],
      },
    },
    {
      title: 'How sure [RET] is',
      text: 'The highest probability that [RET] had anywhere in an answer. The further the lines are apart, the better a factor can keep requests and other talk asunder.',
      plot: { title: 'Probability of [RET]', x: 'P([RET])', y: 'percent of lines with at least that', lines: spread({ 'a picture was asked for': probabilities('picture'), 'words were': probabilities('words') }, 1) },
    },
    {
      title: 'Every answer',
      table: {
        head: ['said', 'asked for', 'came', 'P([RET])', 'words'],
        rows: lines.map(({ line, answer, picture, probability }) => [line.turns.join(' / '), line.expect, picture ? (line.expect === 'picture' ? 'picture' : 'picture ✗') : line.expect === 'words' ? 'words' : 'words ✗', probability.toFixed(3), answer]),
      },
    },
  ];
}

