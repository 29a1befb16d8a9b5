// What the page of learning shows: votes over time, runs with their curves, and a candidate beside the
// adapter that serves, with what each of them would answer.
import type { AdapterVersion as ShownVersion, JobStatus } from '../chat/services.ts';
import { showRequest } from '../chat/index.ts';
import type { Engine } from '../engine/types.ts';
import { FromageError } from '../errors.ts';
import { everybody, type Gallery, type Picture } from '../retrieval/types.ts';
import type { RunPoint } from './contracts.ts';
import { asTyped } from './gate.ts';
import type { LearningJobs } from './jobs.ts';
import type { Lineup } from './lineup.ts';
import { runIdOf, trainingJob } from './records.ts';
import type { LearningStores } from './stores.ts';
import type { LearningVersions } from './versions.ts';

const month = 30 * 86_400_000;
const answerTokens = 24;

export interface LearningFacts {
  readonly votes: readonly { readonly day: string; readonly up: number; readonly down: number }[];
  /** Newest first. */
  readonly runs: readonly (JobStatus & { readonly runId: string | null })[];
  readonly versions: readonly ShownVersion[];
  readonly serving: string | null;
}

export interface ExampleAnswer {
  readonly question: string;
  readonly answers: readonly { readonly adapter: string; readonly text: string; readonly picture: Pick<Picture, 'id' | 'alt'> | null }[];
}

export interface OverviewOptions {
  readonly store: LearningStores;
  readonly engine: Engine;
  readonly gallery: () => Gallery | null;
  readonly lineup: Lineup;
  readonly jobs: LearningJobs;
  readonly adapters: LearningVersions;
}

export class LearningOverview {
  readonly #options: OverviewOptions;

  constructor(options: OverviewOptions) {
    this.#options = options;
  }

  async facts(now = Date.now()): Promise<LearningFacts> {
    const { store, jobs, adapters, lineup } = this.#options;
    const runIds = new Map((await store.jobs.list({ kind: trainingJob, limit: 20 })).map((job) => [job.id, runIdOf(job)]));
    const runs = (await jobs.history(20)).map((status) => ({ ...status, runId: runIds.get(status.id) ?? null }));
    return { votes: await store.votes.daily(now - 3 * month), runs, versions: await adapters.list(), serving: lineup.serving };
  }

  curve(runId: string): Promise<readonly RunPoint[]> {
    return this.#options.store.runs.curve(runId);
  }

  /** What two versions answer to the same questions, with the same seed; `/show …` is answered with a picture, as in a chat. */
  async compare(ids: readonly string[], questions: readonly string[]): Promise<readonly ExampleAnswer[]> {
    const { lineup } = this.#options;
    for (const id of ids) await lineup.load(id);
    const answers: ExampleAnswer[] = [];
    for (const question of questions.slice(0, 8)) {
      const found = [];
      for (const adapter of ids) found.push({ adapter, ...(await this.#answer(adapter, question.slice(0, 300))) });
      answers.push({ question, answers: found });
    }
    return answers;
  }

  async #answer(adapter: string, question: string): Promise<{ readonly text: string; readonly picture: Pick<Picture, 'id' | 'alt'> | null }> {
    const { engine, gallery } = this.#options;
    const [, wanted] = /^\/show\s+(.+)$/s.exec(question) ?? [];
    const prompt = asTyped(wanted === undefined ? question : showRequest(wanted));
    let picture: Pick<Picture, 'id' | 'alt'> | null = null;
    for await (const event of engine.generate({ prompt, adapter, seed: 1, decoding: { maxNewTokens: answerTokens, ...(wanted === undefined ? {} : { forceRet: true }) } })) {
      if (event.type === 'ret' && picture === null) {
        const [hit] = (await gallery()?.find({ vector: event.embedding, filter: { tenants: [everybody] }, limit: 1, adapter })) ?? [];
        picture = hit ? { id: hit.id, alt: hit.alt } : null;
      }
      if (event.type === 'end') return { text: event.text, picture };
    }
    throw new FromageError({ code: 'LEARNING_NO_ANSWER', what: 'the engine ended an answer without saying so', retryable: true });
  }
}
