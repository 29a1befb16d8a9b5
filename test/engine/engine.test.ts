// What the engine promises over time: room for others, slots given back, failures kept apart, nothing of
// one chat in another, memory that does not grow.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fc from '../setup/seeded.ts';
import { createEngine, type EngineParts } from '../../src/engine/index.ts';
import type { Engine, GenerateEvent, GenerateRequest } from '../../src/engine/types.ts';
import { loadFromage } from '../../src/model/index.ts';
import { exchangeAdapters } from './adapter-exchange.ts';
import { asked, collect, type Collected, expectClose } from './collect.ts';
import { tinyEngine, tinyModel } from './tiny-engine.ts';

const model = tinyModel(41);
const endless = { stopLoops: false, maxNewTokens: 100_000, maxNumRets: 0 } as const;

test('a cancel frees the slot within one step', async () => {
  const engine = await tinyEngine(model, { maxRows: 2 });
  const controller = new AbortController();
  const others = new AbortController();
  const other = collect(engine, { prompt: asked('I talk on'), decoding: endless, signal: others.signal });
  const stream = engine.generate({ prompt: asked('Hello'), decoding: endless, signal: controller.signal })[Symbol.asyncIterator]();
  for (let event = await stream.next(); event.value?.type !== 'text'; event = await stream.next());
  const before = (await engine.stats()).steps;
  controller.abort();
  for (let event = await stream.next(); !event.done; event = await stream.next());
  const after = await engine.stats();
  expect(after.steps - before).toBeLessThanOrEqual(1);
  expect(after.running).toBe(1);
  others.abort();
  await other;
  await engine.close();
});

test('who waits is told each new place, and a deadline counts in the queue too', async () => {
  const engine = await tinyEngine(model, { maxRows: 1 });
  const controller = new AbortController();
  const talking = collect(engine, { prompt: asked('I talk on'), decoding: endless, signal: controller.signal });
  while ((await engine.stats()).running < 1) await new Promise((resolve) => setTimeout(resolve, 1));
  const hurried = collect(engine, { prompt: asked('Quick'), decoding: { maxNewTokens: 2 }, deadlineMs: 20 });
  const patient = collect(engine, { prompt: asked('Whenever'), decoding: { maxNewTokens: 2, maxNumRets: 0 } });
  const late = await hurried;
  expect(late.events.map(({ type }) => type)).toEqual(['queued', 'end']);
  expect(late.end).toMatchObject({ reason: 'deadline', text: '', tokenIds: [] });
  controller.abort();
  await talking;
  const { events, end } = await patient;
  expect(events.flatMap((event) => (event.type === 'queued' ? [event.position] : []))).toEqual([2, 1]);
  expect(end.reason).toBe('length');
  await engine.close();
});

test('a long prompt makes those who talk wait for no more than a chunk at a time', async () => {
  const parts = await loadFromage(model.load);
  const lengths: number[] = [];
  const engine = createEngine(
    { ...parts, languageModel: watched(parts, (rows) => lengths.push(rows.reduce((sum, row) => sum + row.embeds.length / parts.languageModel.config.embedSize, 0))) },
    { limits: { busyTokens: 16 }, checkInvariants: true, drainMs: 0 },
  );
  const controller = new AbortController();
  const talker = collect(engine, { prompt: asked('Hello'), decoding: endless, signal: controller.signal });
  while ((await engine.stats()).generatedTokens < 3) await new Promise((resolve) => setTimeout(resolve, 1));
  const from = lengths.length;
  await collect(engine, { prompt: asked('long '.repeat(60)), decoding: { stopLoops: false, maxNewTokens: 1 } });
  const during = lengths.slice(from);
  expect(Math.max(...during)).toBeLessThanOrEqual(16);
  // Between two chunks the talker's decode step runs each time.
  const chunks = during.flatMap((length, i) => (length > 1 ? [i] : []));
  expect(chunks.length).toBeGreaterThan(10);
  for (let i = 1; i < chunks.length; i++) expect(chunks[i]! - chunks[i - 1]!).toBeGreaterThanOrEqual(2);
  controller.abort();
  await talker;
  await engine.close();
});

test('a step that fails ends its own requests and no others', async () => {
  const parts = await loadFromage(model.load);
  let steps = 0;
  const engine = createEngine(
    { ...parts, languageModel: watched(parts, () => { if (++steps === 6) throw new Error('the device is gone'); }) },
    { checkInvariants: true, drainMs: 0, maxRows: 1 },
  );
  const [first, second] = await Promise.allSettled([
    collect(engine, { prompt: asked('one'), decoding: { stopLoops: false, maxNewTokens: 30, maxNumRets: 0 } }),
    collect(engine, { prompt: asked('two'), decoding: { stopLoops: false, maxNewTokens: 30, maxNumRets: 0 } }),
  ]);
  expect(first).toMatchObject({ status: 'rejected', reason: { code: 'INTERNAL', what: 'the device is gone' } });
  expect(second).toMatchObject({ status: 'fulfilled', value: { end: { reason: 'length' } } });
  expect(await engine.stats()).toMatchObject({ running: 0, queued: 0 });
  await engine.close();
});

test('close lets a running answer end, refuses what waits, and cancels what takes too long', async () => {
  const parts = await loadFromage(model.load);
  // Slow enough that the long answer is far from its end when the time is up.
  const slow = watched(parts, () => new Promise((resolve) => setTimeout(resolve, 5)));
  const engine = createEngine({ ...parts, languageModel: slow }, { maxRows: 2, drainMs: 800, checkInvariants: true });
  const short = collect(engine, { prompt: asked('Hello'), decoding: { maxNewTokens: 20, maxNumRets: 0 } });
  const long = collect(engine, { prompt: asked('Hello'), decoding: endless });
  const waiting = collect(engine, { prompt: asked('Hello'), decoding: endless });
  const refused = expect(waiting).rejects.toMatchObject({ code: 'ENGINE_CLOSED', retryable: true });
  while ((await engine.stats()).running < 2) await new Promise((resolve) => setTimeout(resolve, 1));
  await engine.close();
  await refused;
  expect((await short).end.reason).toBe('length');
  expect((await long).end.reason).toBe('cancelled');
});

test('a conversation longer than the window ends in words, and the oldest turns go first', async () => {
  const engine = await tinyEngine(model);
  const { end } = await collect(engine, { prompt: asked('x'), decoding: { ...endless } });
  expect(end.reason).toBe('length');
  expect(end.usage.promptTokens + end.usage.newTokens).toBe((await engine.info()).contextWindow);
  const turns = Array.from({ length: 9 }, (_, i) => ({ role: i % 2 === 0 ? ('user' as const) : ('assistant' as const), parts: [{ type: 'text' as const, text: `${i} `.repeat(30) }] }));
  const cut = await collect(engine, { prompt: { kind: 'turns', turns }, decoding: { stopLoops: false, maxNewTokens: 100 } });
  expect(cut.started!.droppedTurns).toBeGreaterThan(0);
  expect(cut.end.usage.droppedTurns).toBe(cut.started!.droppedTurns);
  await engine.close();
});

describe('isolation', () => {
  let shared: Engine;
  let fresh: Engine;
  beforeAll(async () => {
    shared = await tinyEngine(model, { maxRows: 3, prefixCacheBytes: 200_000 });
    fresh = await tinyEngine(model, { prefixCacheBytes: 0 });
  });
  afterAll(() => Promise.all([shared.close(), fresh.close()]));

  test('whatever the chats say at the same time, each gets what it would get alone, and nothing cached of another', async () => {
    const words = fc.constantFrom('Hello', 'Hello there', 'Show me a dog', 'My secret is 42', 'Goodbye');
    const message = fc.record({ chat: fc.constantFrom('a', 'b', 'c'), words, seed: fc.nat(3) });
    const said = new Set<string>();
    const alone = new Map<string, Promise<readonly number[]>>();
    let hits = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(message, { minLength: 1, maxLength: 6 }), async (messages) => {
        await Promise.all(
          messages.map(async (one) => {
            const request: GenerateRequest = { prompt: asked(one.words), decoding: { stopLoops: false, maxNewTokens: 6, temperature: 1 }, seed: one.seed };
            const key = `${one.words} ${one.seed}`;
            if (!alone.has(key)) alone.set(key, collect(fresh, request).then(({ end }) => end.tokenIds));
            const before = said.has(one.chat);
            const answer = await collect(shared, { ...request, conversation: one.chat });
            expect(answer.end.tokenIds).toEqual(await alone.get(key));
            if (answer.end.usage.cachedTokens > 0) {
              hits++;
              // Somebody of this very chat must have spoken before, or at the same time.
              expect(before || messages.filter(({ chat }) => chat === one.chat).length > 1).toBe(true);
            }
          }),
        );
        for (const { chat } of messages) said.add(chat);
      }),
      { numRuns: 40 },
    );
    expect(hits).toBeGreaterThan(10);
    expect((await collect(shared, { prompt: asked('My secret is 42'), conversation: 'newcomer' })).end.usage.cachedTokens).toBe(0);
  });
});

test('whatever is sent as a request ends in an answer or in an error with a code', async () => {
  const engine = await tinyEngine(model, { maxRows: 4 });
  const odd = fc.oneof(fc.anything({ maxDepth: 2 }), fc.constantFrom('', -1, Number.NaN, 2 ** 60, null));
  const segment = fc.oneof(fc.record({ type: fc.constantFrom('text', 'image'), text: fc.oneof(fc.string(), odd), image: fc.oneof(odd, fc.record({ bytes: fc.uint8Array({ maxLength: 4 }) }), fc.record({ pooled: fc.float32Array({ minLength: 12, maxLength: 12 }) })) }), odd);
  const prompt = fc.oneof(
    fc.record({ kind: fc.constant('segments'), segments: fc.oneof(fc.array(segment, { maxLength: 3 }), odd) }),
    fc.record({ kind: fc.constant('turns'), turns: fc.oneof(fc.array(fc.record({ role: fc.constantFrom('user', 'assistant', 'system'), parts: fc.array(segment, { maxLength: 2 }) }), { maxLength: 3 }), odd) }),
    odd,
  );
  const decoding = fc.record({ maxNewTokens: fc.oneof(fc.nat(5), odd), temperature: fc.oneof(fc.nat(2), odd), stop: fc.oneof(fc.array(fc.string()), odd) }, { requiredKeys: [] });
  let answered = 0;
  await fc.assert(
    fc.asyncProperty(prompt, decoding, async (given, options) => {
      try {
        await collect(engine, { prompt: given, decoding: { maxNewTokens: 3, ...options }, deadlineMs: 2000 } as never);
        answered++;
      } catch (error) {
        expect(error).toMatchObject({ code: expect.stringMatching(/^(ENGINE|MODEL|VISION)_/) });
      }
    }),
    { numRuns: 300 },
  );
  expect(answered).toBeGreaterThan(0);
  expect(await engine.stats()).toMatchObject({ running: 0, queued: 0 });
  await engine.close();
});

test('an answer under way ends with the adapter it began with when another is promoted, and even unloaded, meanwhile', async () => {
  const engine = await tinyEngine(model);
  const decoding = { stopLoops: false, forceRet: true, maxNewTokens: 40, maxNumRets: 5 } as const;
  const request: GenerateRequest = { prompt: asked('Show me a dog'), decoding, seed: 5 };
  const { servingAdapter: first } = await engine.info();
  await engine.loadAdapter(model.adapters[1], 'second');
  const [asFirst, asSecond] = [await collect(engine, { ...request, adapter: first }), await collect(engine, { ...request, adapter: 'second' })];
  expect(asFirst.end.tokenIds).not.toEqual(asSecond.end.tokenIds);

  const began = { events: [] as GenerateEvent[] };
  let later: Promise<Collected> | null = null;
  for await (const event of engine.generate(request)) {
    began.events.push(event);
    if (later !== null || event.type !== 'text') continue;
    await engine.serveAdapter('second');
    await engine.unloadAdapter(first);
    // Both are decoded side by side from here on.
    later = collect(engine, request);
  }
  const end = began.events.at(-1);
  expect(end).toMatchObject({ type: 'end', adapter: first, tokenIds: asFirst.end.tokenIds, text: asFirst.end.text });
  const rets = began.events.filter((event) => event.type === 'ret');
  expect(rets).toHaveLength(asFirst.rets.length);
  for (const [i, { embedding }] of rets.entries()) expectClose(embedding, asFirst.rets[i]!.embedding);
  expect((await later!).end).toMatchObject({ adapter: 'second', tokenIds: asSecond.end.tokenIds });
  await engine.close();
});

test('memory stays flat over 200 exchanges of adapters', async () => {
  const engine = await tinyEngine(model);
  const grownMb = await exchangeAdapters(engine, model.adapters[1], 200);
  console.log(`200 exchanges of adapters: resident memory grew by ${grownMb.toFixed(1)} MB`);
  expect(grownMb).toBeLessThan(40);
  await engine.close();
});

/** The model's own language model, told before each step which rows it is to run. */
function watched(parts: EngineParts, onStep: (rows: Parameters<EngineParts['languageModel']['step']>[1]) => unknown): EngineParts['languageModel'] {
  const { languageModel } = parts;
  return {
    config: languageModel.config,
    weights: languageModel.weights,
    embed: (ids) => languageModel.embed(ids),
    createCache: (slots) => languageModel.createCache(slots),
    async step(cache, rows) {
      await onStep(rows);
      return languageModel.step(cache, rows);
    },
    close: () => languageModel.close(),
  };
}
