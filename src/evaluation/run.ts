// One evaluation from data to figures and a report: what the command runs.
import type { Engine } from '../engine/types.ts';
import type { EvaluationTask } from './contracts.ts';
import { adapterOf } from './data/embed.ts';
import { renderReport } from './report/page.ts';
import { runCaptioning } from './runs/captioning.ts';
import { runDialogue } from './runs/dialogue.ts';
import { runPrompting } from './runs/prompting.ts';
import { runRetrieval } from './runs/retrieval.ts';
import { runVisdial } from './runs/visdial.ts';
import { runVist } from './runs/vist.ts';
import type { RunOutcome, RunRequest } from './runs/types.ts';

const tasks = {
  retrieval: runRetrieval,
  captioning: runCaptioning,
  vist: runVist,
  visdial: runVisdial,
  dialogue: runDialogue,
  prompting: runPrompting,
} satisfies Record<EvaluationTask, (engine: Engine, request: RunRequest) => Promise<RunOutcome>>;

export interface EvaluationOutcome {
  /** One flat object: task, figures, what was evaluated with what. */
  readonly result: Readonly<Record<string, unknown>>;
  /** A page that opens without a server. */
  readonly html: string;
}

/** @param command as a person would type it again; shown in the report */
export async function runEvaluation(engine: Engine, task: EvaluationTask, request: RunRequest, command: string): Promise<EvaluationOutcome> {
  const began = performance.now();
  const info = await engine.info();
  const adapter = adapterOf(info, request);
  const { figures, sections } = await tasks[task](engine, request);
  const seconds = Math.round((performance.now() - began) / 100) / 10;
  const second = request.compare === undefined ? null : adapterOf(info, { adapter: request.compare });
  const model = { name: info.model, weights: info.weights, adapter: adapter.id, adapter_hash: adapter.hash, vision_hash: info.visionHash };
  const facts: [string, string][] = [
    ['command', command],
    ['model', `${info.model}, weights ${info.weights}, on ${info.device}`],
    ['adapter', `${adapter.id} (${adapter.hash.slice(0, 16)}…)`],
    ...(second ? [['second adapter', `${second.id} (${second.hash.slice(0, 16)}…)`] as [string, string]] : []),
    ['data', [request.data ?? 'the set that comes with the project', request.images].filter(Boolean).join(', ')],
    ['seed', String(request.seed ?? 1)],
    ['took', `${seconds} s (what was kept from earlier runs is not computed again)`],
    ['made', new Date().toISOString()],
  ];
  return { result: { task, ...figures, seed: request.seed ?? 1, model, ...(second ? { compared_adapter: second.id, compared_adapter_hash: second.hash } : {}), seconds }, html: renderReport({ title: `Evaluation: ${task}`, facts, sections }) };
}
