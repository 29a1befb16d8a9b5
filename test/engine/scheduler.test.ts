import { describe, expect, test } from '@jest/globals';
import fc from '../setup/seeded.ts';
import { FairQueue } from '../../src/engine/fair-queue.ts';
import { planAdmission, planStep, type PrefillState, type SchedulerLimits } from '../../src/engine/scheduler.ts';

const limitsArbitrary = fc.record({
  maxRows: fc.integer({ min: 1, max: 8 }),
  busyTokens: fc.integer({ min: 1, max: 32 }),
  idleTokens: fc.integer({ min: 1, max: 64 }),
  patienceSteps: fc.integer({ min: 1, max: 6 }),
});

describe('a step plan', () => {
  const statesArbitrary = fc.array(fc.record({ remaining: fc.integer({ min: 1, max: 100 }), passedOver: fc.nat(10) }), { maxLength: 8 });

  test('lets everybody decode, never exceeds its budget, and always moves prompts on', () => {
    fc.assert(
      fc.property(fc.nat(8), statesArbitrary, limitsArbitrary, (decoders, states, limits) => {
        const decoding = Array.from({ length: decoders }, (_, i) => `d${i}`);
        const prefilling = states.map((state, i): PrefillState<string> => ({ id: `p${i}`, ...state }));
        const plan = planStep(decoding, prefilling, limits);
        expect(plan.decode).toEqual(decoding);
        const read = plan.prefill.reduce((sum, { tokens }) => sum + tokens, 0);
        const budget = decoders > 0 ? limits.busyTokens : limits.idleTokens;
        // One position is read in any case, so that prompts never stand still behind many who talk.
        expect(read).toBeLessThanOrEqual(Math.max(1, budget - decoders));
        expect(read > 0).toBe(prefilling.length > 0);
        for (const { id, tokens } of plan.prefill) {
          expect(tokens).toBeGreaterThan(0);
          expect(tokens).toBeLessThanOrEqual(prefilling.find((state) => state.id === id)!.remaining);
        }
        expect(new Set(plan.prefill.map(({ id }) => id)).size).toBe(plan.prefill.length);
      }),
    );
  });

  test('reads the shortest prompt first, but one that was passed over too often before it', () => {
    const limits: SchedulerLimits = { maxRows: 4, busyTokens: 8, idleTokens: 8, patienceSteps: 3 };
    const long = { id: 'long', remaining: 100, passedOver: 2 };
    const short = { id: 'short', remaining: 5, passedOver: 0 };
    expect(planStep([], [long, short], limits).prefill).toEqual([{ id: 'short', tokens: 5 }, { id: 'long', tokens: 3 }]);
    expect(planStep([], [{ ...long, passedOver: 3 }, short], limits).prefill).toEqual([{ id: 'long', tokens: 8 }]);
  });

  test('admits the first that are ready, as many as rows are free', () => {
    const waiting = [{ id: 1, ready: false }, { id: 2, ready: true }, { id: 3, ready: true }, { id: 4, ready: true }];
    const limits: SchedulerLimits = { maxRows: 4, busyTokens: 8, idleTokens: 8, patienceSteps: 3 };
    expect(planAdmission(waiting, 2, limits)).toEqual([2, 3]);
    expect(planAdmission(waiting, 4, limits)).toEqual([]);
  });
});

describe('the queue', () => {
  const arrivals = fc.array(fc.constantFrom('a', 'b', 'c', undefined), { minLength: 1, maxLength: 40 });

  test('keeps the order of arrival within a conversation', () => {
    fc.assert(
      fc.property(arrivals, fc.array(fc.boolean()), (flows, takes) => {
        const queue = new FairQueue<{ flow: string | undefined; arrival: number }>();
        const served: { flow: string | undefined; arrival: number }[] = [];
        const takeFirst = (): void => {
          const first = queue.list()[0];
          if (first === undefined) return;
          queue.take(first);
          served.push(first);
        };
        flows.forEach((flow, arrival) => {
          queue.push({ flow, arrival }, flow);
          if (takes[arrival] ?? false) takeFirst();
        });
        while (queue.size > 0) takeFirst();
        expect(served).toHaveLength(flows.length);
        for (const flow of ['a', 'b', 'c']) {
          const order = served.filter((item) => item.flow === flow).map(({ arrival }) => arrival);
          expect(order).toEqual(order.toSorted((a, b) => a - b));
        }
      }),
    );
  });

  test('a conversation that floods it makes nobody else wait for more than one of its requests', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 30 }), fc.integer({ min: 1, max: 5 }), (flood, others) => {
        const queue = new FairQueue<string>();
        for (let i = 0; i < flood; i++) queue.push(`flood ${i}`, 'flood');
        for (let i = 0; i < others; i++) queue.push(`other ${i}`, `other ${i}`);
        expect(queue.list().slice(0, others + 1)).toEqual(['flood 0', ...Array.from({ length: others }, (_, i) => `other ${i}`)]);
      }),
    );
  });

  test('who floods it is not starved by an endless stream of newcomers', () => {
    const queue = new FairQueue<string>();
    for (let i = 0; i < 3; i++) queue.push(`flood ${i}`, 'flood');
    const served: string[] = [];
    for (let i = 0; i < 20; i++) {
      queue.push(`new ${i}`, `new ${i}`);
      const first = queue.list()[0]!;
      queue.take(first);
      served.push(first);
    }
    expect(served.filter((item) => item.startsWith('flood'))).toHaveLength(3);
  });
});

test('queue and plan together: every request ends, whatever arrives, and no step exceeds the rows', () => {
  const requests = fc.array(fc.record({ flow: fc.constantFrom('a', 'b', undefined), at: fc.nat(30), prompt: fc.integer({ min: 1, max: 60 }), answer: fc.integer({ min: 1, max: 20 }) }), { minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(requests, limitsArbitrary, (list, limits) => {
      const queue = new FairQueue<(typeof jobs)[number]>();
      const jobs = list.map((request, id) => ({ ...request, id, left: request.prompt, toSay: request.answer, passedOver: 0 }));
      let running: (typeof jobs)[number][] = [];
      const work = jobs.reduce((sum, job) => sum + job.prompt + job.answer, 0);
      let step = 0;
      for (; step <= 30 + work; step++) {
        for (const job of jobs) if (job.at === step) queue.push(job, job.flow);
        for (const job of planAdmission(queue.list().map((id) => ({ id, ready: true })), running.length, limits)) {
          queue.take(job);
          running.push(job);
        }
        expect(running.length).toBeLessThanOrEqual(limits.maxRows);
        const prefilling = running.filter((job) => job.left > 0).map((job) => ({ id: job, remaining: job.left, passedOver: job.passedOver }));
        const plan = planStep(running.filter((job) => job.left === 0), prefilling, limits);
        for (const job of plan.decode) job.toSay--;
        for (const { id, tokens } of plan.prefill) id.left -= tokens;
        const read = new Set(plan.prefill.map(({ id }) => id));
        for (const { id } of prefilling) id.passedOver = read.has(id) ? 0 : id.passedOver + 1;
        running = running.filter((job) => job.toSay > 0);
      }
      // At least one position of somebody's work is done in every step in which there is any.
      expect(queue.size).toBe(0);
      expect(running).toEqual([]);
      expect(jobs.every((job) => job.toSay === 0)).toBe(true);
    }),
  );
});
