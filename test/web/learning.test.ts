// The page of learning over HTTP: facts, curves, comparison, start, promotion and rollback, behind the guard.
import { expect, test } from '@jest/globals';
import { FromageError } from '../../src/errors.ts';
import type { LearningPage } from '../../src/web/index.ts';
import { startTestServer } from './server.ts';

function pageOf(calls: string[]): LearningPage {
  const version = { id: 'a-1', serving: true, parent: null, createdAt: 1, details: ['state serving'] };
  return {
    jobs: {
      start: async ({ by, reason }) => ({ started: false, why: `${by}: ${reason}` }),
      cancel: async () => false,
    },
    adapters: {
      async promote(id, _by, why) {
        calls.push(`${id}: ${why}`);
        if (id !== 'a-1') throw new FromageError({ code: 'LEARNING_REFUSED', what: `the gate refused ${id}` });
        return version;
      },
      async rollback(by, why) {
        calls.push(`${by} back: ${why}`);
        return null;
      },
    },
    overview: {
      facts: async () => ({ votes: [{ day: '2026-01-31', up: 2, down: 1 }], runs: [], versions: [version], serving: 'a-1' }),
      curve: async (runId) => [{ step: 1, at: 1, values: { infoNce: runId.length } }],
      compare: async (ids, questions) => questions.map((question) => ({ question, answers: ids.map((adapter) => ({ adapter, text: 'x', picture: null })) })),
    },
  };
}

test('facts, curves and comparisons are told; start, promotion and rollback are done', async () => {
  const calls: string[] = [];
  let page: LearningPage | null = null;
  const { url, close } = await startTestServer({ learning: () => page });
  const post = (path: string, body: unknown) => fetch(`${url}/api/learning/${path}`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
  try {
    expect((await fetch(`${url}/api/learning`)).status).toBe(503);
    page = pageOf(calls);
    expect(await (await fetch(`${url}/api/learning`)).json()).toMatchObject({ serving: 'a-1', votes: [{ up: 2, down: 1 }] });
    expect(await (await fetch(`${url}/api/learning/runs/four/curve`)).json()).toEqual({ points: [{ step: 1, at: 1, values: { infoNce: 4 } }] });
    expect(await (await post('compare', { ids: ['a-1', 'a-2'], questions: ['who?'] })).json()).toMatchObject({ examples: [{ question: 'who?', answers: [{}, {}] }] });
    expect((await post('compare', { ids: ['a', 'b', 'c'], questions: ['who?'] })).status).toBe(400);
    expect(await (await post('start', { reason: 'now' })).json()).toEqual({ started: false, why: 'the page: now' });
    expect(await (await post('promote', { id: 'a-1', reason: ' it is better ' })).json()).toMatchObject({ version: { id: 'a-1' } });
    const refused = await post('promote', { id: 'bad' });
    expect([refused.status, ((await refused.json()) as { error: { message: string } }).error.message]).toEqual([409, 'the gate refused bad']);
    expect(await (await post('rollback', { reason: 'worse' })).json()).toEqual({ version: null });
    expect(calls).toEqual(['a-1: it is better', 'bad: ', 'the page back: worse']);
    const foreign = await fetch(`${url}/api/learning/rollback`, { method: 'POST', headers: { 'content-type': 'application/json', origin: 'https://evil.example' }, body: '{}' });
    expect(foreign.status).toBe(403);
    expect(await (await fetch(`${url}/page/learning.js`)).text()).toContain('setUpLearning');
  } finally {
    await close();
  }
});

test('without the key nobody sees or changes anything', async () => {
  const calls: string[] = [];
  const { url, close } = await startTestServer({ apiKey: 'k'.repeat(20), learning: () => pageOf(calls) });
  try {
    expect((await fetch(`${url}/api/learning`)).status).toBe(401);
    const promoted = await fetch(`${url}/api/learning/promote`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"id":"a-1"}' });
    expect([promoted.status, calls]).toEqual([401, []]);
  } finally {
    await close();
  }
});
