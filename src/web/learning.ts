// The page of learning over HTTP: votes over time, runs with their curves, versions, and a candidate
// beside the adapter that serves. The guard has let in only this machine, or who has the key.
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { AdapterVersion, AdapterVersions, JobStatus, TrainingJobs } from '../chat/services.ts';
import { FromageError } from '../errors.ts';
import { signPath } from './guard.ts';
import { parseBody } from './openai/chat-request.ts';
import type { WebOptions } from './options.ts';

interface Found {
  readonly id: string;
  readonly alt: string;
}

/** What the page needs of learning. */
export interface LearningPage {
  readonly jobs: Pick<TrainingJobs, 'start' | 'cancel'>;
  readonly adapters: Pick<AdapterVersions, 'promote' | 'rollback'>;
  readonly overview: {
    facts(): Promise<{
      readonly votes: readonly { readonly day: string; readonly up: number; readonly down: number }[];
      readonly runs: readonly (JobStatus & { readonly runId: string | null })[];
      readonly versions: readonly AdapterVersion[];
      readonly serving: string | null;
    }>;
    curve(runId: string): Promise<readonly { readonly step: number; readonly at: number; readonly values: Readonly<Record<string, number>> }[]>;
    compare(ids: readonly string[], questions: readonly string[]): Promise<readonly { readonly question: string; readonly answers: readonly { readonly adapter: string; readonly text: string; readonly picture: Found | null }[] }[]>;
  };
}

const id = z.string().min(1).max(100);
const compareSchema = z.object({ ids: z.array(id).min(1).max(2), questions: z.array(z.string().trim().min(1).max(300)).min(1).max(8) });
const startSchema = z.object({ reason: z.string().trim().max(200).default('') });
const promoteSchema = startSchema.extend({ id });
/** Who acted, where no platform says so. */
const by = 'the page';

export function registerLearning(app: FastifyInstance, { learning: current, apiKey }: WebOptions): void {
  if (!current) return;
  const learning = (): LearningPage => {
    const page = current();
    if (!page) throw new FromageError({ code: 'WEB_NO_LEARNING', what: 'learning is not ready yet', why: 'the model is being loaded', retryable: true });
    return page;
  };
  app.get('/api/learning', async () => learning().overview.facts());
  app.get<{ Params: { id: string } }>('/api/learning/runs/:id/curve', async ({ params }) => ({ points: await learning().overview.curve(params.id) }));
  app.post('/api/learning/compare', async ({ body }) => {
    const { ids, questions } = parseBody(compareSchema, body);
    const examples = await learning().overview.compare(ids, questions);
    const picture = (found: Found | null) => found && { ...found, url: signPath(`/v1/pictures/${found.id}`, apiKey) };
    return { examples: examples.map(({ question, answers }) => ({ question, answers: answers.map((answer) => ({ ...answer, picture: picture(answer.picture) })) })) };
  });
  app.post('/api/learning/start', async ({ body }) => learning().jobs.start({ by, reason: parseBody(startSchema, body).reason }));
  app.post('/api/learning/cancel', async () => ({ cancelled: await learning().jobs.cancel(by) }));
  app.post('/api/learning/promote', async ({ body }) => {
    const { id: version, reason } = parseBody(promoteSchema, body);
    return { version: await learning().adapters.promote(version, by, reason) };
  });
  app.post('/api/learning/rollback', async ({ body }) => ({ version: await learning().adapters.rollback(by, parseBody(startSchema, body).reason) }));
}
