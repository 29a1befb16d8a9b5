// One suite for every `Engine`, run on the tiny model of test/tiny/fromage.ts. An implementation's test
// only says how to start one.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Engine, EngineImage, GenerateEvent } from '../../src/engine/types.ts';
import { asked, collect, expectClose } from '../engine/collect.ts';
import { tinyRetrievalDim, tinyVisionHiddenSize } from '../tiny/fromage.ts';
import { scene, fromRgb } from '../vision/drawn.ts';

export interface EngineUnderTest {
  /** `maxRows: 2, maxQueue: 3`, prompt style `chat`. */
  readonly engine: Engine;
  /** Folder of an adapter that is not loaded yet. */
  readonly otherAdapter: string;
}

/** Greedy, without [RET]: the tiny model repeats itself until somebody ends it. */
const endless = { stopLoops: false, maxNewTokens: 100_000, maxNumRets: 0 } as const;

const eager = { stopLoops: false, temperature: 1.5, maxNewTokens: 24, maxNumRets: 100, retScaleFactor: 4, retScaleMode: 'signed' } as const;

export function engineContract(name: string, start: () => Promise<EngineUnderTest>): void {
  describe(`${name} keeps the contract of an engine`, () => {
    let engine: Engine;
    let otherAdapter: string;
    let picture: Uint8Array;
    beforeAll(async () => {
      ({ engine, otherAdapter } = await start());
      picture = await fromRgb(scene(40, 30), 40, 30).png().toBuffer();
    });
    afterAll(() => engine.close());

    const until = async (runningWanted: number, queuedWanted: number): Promise<void> => {
      const deadline = performance.now() + 10_000;
      for (;;) {
        const { running, queued } = await engine.stats();
        if (running === runningWanted && queued === queuedWanted) return;
        if (performance.now() > deadline) throw new Error(`${running} run and ${queued} wait after ten seconds`);
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
    };
    const idle = (): Promise<void> => until(0, 0);

    test('tells what it is made of once it is ready', async () => {
      const info = await engine.ready();
      expect(info).toMatchObject({ visionHiddenSize: tinyVisionHiddenSize, promptStyle: 'chat', servingAdapter: 'adapter', weights: 'fp32' });
      expect(info.adapters.map(({ id, retrievalDim }) => [id, retrievalDim])).toEqual([['adapter', tinyRetrievalDim]]);
      expect(await engine.info()).toEqual(info);
    });

    test('what is streamed is what is told at the end, and usage adds up', async () => {
      const { events, text, end, started } = await collect(engine, { prompt: asked('Hello'), decoding: { stopLoops: false, maxNewTokens: 20, temperature: 1 }, seed: 4 });
      expect(events[0]).toEqual({ type: 'queued', position: 1 });
      expect(end.text).toBe(text);
      expect(end.reason).toBe('length');
      expect(end.tokenIds).toHaveLength(20);
      expect(end.usage).toMatchObject({ newTokens: 20, cachedTokens: 0, droppedTurns: 0, promptTokens: started!.promptTokens });
      expect(end.usage.queuedMs).toBeLessThanOrEqual(end.usage.firstTokenMs);
      expect(end.usage.firstTokenMs).toBeLessThanOrEqual(end.usage.totalMs);
    });

    test('a seed gives the same answer again, and a seed that was chosen is told', async () => {
      const request = { prompt: asked('Hello'), decoding: { stopLoops: false, maxNewTokens: 20, temperature: 1, topP: 0.95 } };
      const first = await collect(engine, request);
      const again = await collect(engine, { ...request, seed: first.end.seed });
      const other = await collect(engine, { ...request, seed: first.end.seed + 1 });
      expect(again.end.tokenIds).toEqual(first.end.tokenIds);
      expect(other.end.tokenIds).not.toEqual(first.end.tokenIds);
    });

    test('a forced [RET] comes first and its embedding is that of the prompt', async () => {
      const prompt = asked('Show me a dog');
      const { rets, events, end } = await collect(engine, { prompt, decoding: { stopLoops: false, forceRet: true, maxNewTokens: 5 } });
      const [embedded] = await engine.embedPrompts([prompt]);
      expect(events[2]?.type).toBe('ret');
      expect(rets).toHaveLength(1);
      expect(rets[0]!.after).toBe(0);
      expect(rets[0]!.probability).toBeGreaterThan(0);
      expect(rets[0]!.probability).toBeLessThanOrEqual(end.retProbability);
      expect(Math.hypot(...rets[0]!.embedding)).toBeCloseTo(1, 5);
      expectClose(rets[0]!.embedding, embedded!);
      // A turn says nothing after its last picture.
      expect(end).toMatchObject({ reason: 'stop', text: '' });
    });

    test('a [RET] that is the last token allowed is fed once more and served', async () => {
      const { rets, end } = await collect(engine, { prompt: asked('Show me'), decoding: { stopLoops: false, forceRet: true, maxNewTokens: 1, maxNumRets: 3 } });
      expect(end.tokenIds).toHaveLength(1);
      expect(rets).toHaveLength(1);
    });

    test('every [RET] has its place in the text, and no more come than allowed', async () => {
      const prompt = { kind: 'segments', segments: [{ type: 'text', text: 'a b c' }] } as const;
      let seen = 0;
      for (let seed = 0; seed < 6; seed++) {
        const { rets, end } = await collect(engine, { prompt, decoding: { ...eager, maxNumRets: 2 }, seed });
        expect(rets.length).toBeLessThanOrEqual(2);
        for (const { after } of rets) expect(after).toBeLessThanOrEqual(end.text.length);
        expect(rets.map(({ after }) => after)).toEqual(rets.map(({ after }) => after).toSorted((a, b) => a - b));
        seen += rets.length;
      }
      expect(seen).toBeGreaterThan(0);
    });

    test('without new tokens the [RET] tokens of the prompt are served, pictures before them or not', async () => {
      const { pooled } = { pooled: Float32Array.from({ length: tinyVisionHiddenSize }, (_, i) => Math.sin(i)) };
      const before = [{ type: 'image', image: { pooled } }, { type: 'text', text: 'a cat' }] as const;
      const segments = [...before, { type: 'text', text: '[RET]', trusted: true }] as const;
      const { rets, end } = await collect(engine, { prompt: { kind: 'segments', segments }, decoding: { stopLoops: false, maxNewTokens: 0 } });
      const [embedded] = await engine.embedPrompts([{ kind: 'segments', segments: before }]);
      expect(end).toMatchObject({ reason: 'length', text: '', tokenIds: [] });
      expect(rets).toHaveLength(1);
      expectClose(rets[0]!.embedding, embedded!);
    });

    test('what a user types is never a special token', async () => {
      const typed = await collect(engine, { prompt: asked('[RET]'), decoding: { stopLoops: false, maxNewTokens: 0 } });
      expect(typed.rets).toEqual([]);
    });

    test('an abort signal ends a request, and leaving the loop does too', async () => {
      const controller = new AbortController();
      const events: GenerateEvent[] = [];
      for await (const event of engine.generate({ prompt: asked('Hello'), decoding: endless, signal: controller.signal, seed: 1 })) {
        events.push(event);
        if (event.type === 'text') controller.abort();
      }
      expect(events.at(-1)).toMatchObject({ type: 'end', reason: 'cancelled' });
      for await (const event of engine.generate({ prompt: asked('Hello'), decoding: endless, seed: 1 })) if (event.type === 'text') break;
      await idle();
      const gone = AbortSignal.abort();
      expect((await collect(engine, { prompt: asked('Hello'), signal: gone })).end).toMatchObject({ reason: 'cancelled', text: '', tokenIds: [] });
    });

    test('a deadline ends a request with what was said so far', async () => {
      const { end, text } = await collect(engine, { prompt: asked('Hello'), decoding: endless, deadlineMs: 30, seed: 1 });
      expect(end.reason).toBe('deadline');
      expect(end.text).toBe(text);
    });

    test('a full queue refuses in words and says how many wait', async () => {
      const slow = { prompt: asked('Hello'), decoding: endless, seed: 1 };
      const controllers = Array.from({ length: 5 }, () => new AbortController());
      const answers = controllers.map((controller) => collect(engine, { ...slow, signal: controller.signal }));
      // The sixth finds two running and three waiting.
      await until(2, 3);
      const refused = collect(engine, slow);
      await expect(refused).rejects.toMatchObject({ code: 'ENGINE_BUSY', retryable: true, userMessage: expect.stringMatching(/3 people are waiting/) });
      for (const controller of controllers) controller.abort();
      const ends = await Promise.all(answers);
      expect(ends.map(({ end }) => end.reason)).toEqual(Array(5).fill('cancelled'));
      const last = ends[4]!.events.filter((event) => event.type === 'queued').map(({ position }) => position);
      expect(last[0]).toBeGreaterThanOrEqual(3);
    });

    test('pictures are encoded, and one that cannot be decoded fails in its place', async () => {
      const [good, bad] = await engine.encodeImages([picture, Uint8Array.of(1, 2, 3)]);
      expect(good).toBeInstanceOf(Float32Array);
      expect(good).toHaveLength(tinyVisionHiddenSize);
      expect(bad).toMatchObject({ code: expect.stringMatching(/^VISION_/) });
      const [projected] = await engine.projectImages([good as Float32Array]);
      expect(projected).toHaveLength(tinyRetrievalDim);
      expect(Math.hypot(...projected!)).toBeCloseTo(1, 5);
      const [own] = await engine.projectImages([good as Float32Array], undefined, 'own');
      const size = Math.hypot(...own!);
      expect(Math.abs(size - 1)).toBeGreaterThan(0.01);
      expect(projected![0]! * size).toBeCloseTo(own![0]!, 5);
    });

    test('a picture in the prompt is the same as its pooled features', async () => {
      const [pooled] = (await engine.encodeImages([picture])) as [Float32Array];
      const answer = async (image: EngineImage) => (await collect(engine, { prompt: asked({ type: 'image', image }, 'What is it?'), decoding: { stopLoops: false, maxNewTokens: 12, temperature: 1 }, seed: 2 })).end.tokenIds;
      expect(await answer({ bytes: picture })).toEqual(await answer({ pooled }));
      expect(await answer({ pooled: pooled.map((value) => -value) })).not.toEqual(await answer({ pooled }));
    });

    test('a picture in the prompt that cannot be decoded fails that request and no other', async () => {
      const [broken, whole] = await Promise.allSettled([
        collect(engine, { prompt: asked({ type: 'image', image: { bytes: Uint8Array.of(9, 9) } }) }),
        collect(engine, { prompt: asked('Hello'), decoding: { stopLoops: false, maxNewTokens: 3 } }),
      ]);
      expect(broken).toMatchObject({ status: 'rejected', reason: { code: expect.stringMatching(/^VISION_/) } });
      expect(whole.status).toBe('fulfilled');
      await idle();
    });

    test.each([
      ['no turns', { prompt: { kind: 'turns', turns: [] } }, 'ENGINE_REQUEST'],
      ['an unknown piece', { prompt: { kind: 'segments', segments: [{ type: 'sound' }] } }, 'ENGINE_REQUEST'],
      ['pooled features of another width', { prompt: { kind: 'segments', segments: [{ type: 'image', image: { pooled: new Float32Array(3) } }] } }, 'ENGINE_REQUEST'],
      ['a fractional seed', { prompt: asked('x'), seed: 1.5 }, 'ENGINE_REQUEST'],
      ['an impossible nucleus', { prompt: asked('x'), decoding: { topP: 2 } }, 'ENGINE_OPTION'],
      ['an unknown adapter', { prompt: asked('x'), adapter: 'nobody' }, 'ENGINE_ADAPTER_UNKNOWN'],
      ['a prompt without end', { prompt: { kind: 'segments', segments: [{ type: 'text', text: 'x'.repeat(3000) }] } }, 'MODEL_PROMPT_TOO_LONG'],
    ])('%s is refused with a code', async (_, request, code) => {
      await expect(collect(engine, request as never)).rejects.toMatchObject({ code });
    });

    test('candidates are scored in order, in one call as one by one', async () => {
      const prompt = asked('Which one?');
      const candidates = ['yes', 'no, never', 'y', 'a long answer with many words in it'];
      const together = await engine.scoreCandidates(prompt, candidates);
      for (const [index, candidate] of candidates.entries()) {
        const [alone] = await engine.scoreCandidates(prompt, [candidate]);
        expect(alone).toBeCloseTo(together[index]!, 4);
      }
      expect(together.every((score) => score < 0)).toBe(true);
    });

    test('adapters are loaded, served and unloaded while requests keep the one they began with', async () => {
      const info = await engine.loadAdapter(otherAdapter, 'other');
      expect(info).toMatchObject({ id: 'other', retrievalDim: tinyRetrievalDim });
      await expect(engine.loadAdapter(otherAdapter, 'other')).rejects.toMatchObject({ code: 'ENGINE_ADAPTER_EXISTS' });
      await expect(engine.loadAdapter(`${otherAdapter}/nowhere`, 'third')).rejects.toMatchObject({ code: 'ADAPTER_MISSING' });
      const prompt = asked('Show me a dog');
      const [mine] = await engine.embedPrompts([prompt]);
      const [others] = await engine.embedPrompts([prompt], 'other');
      expect(Array.from(others!)).not.toEqual(Array.from(mine!));

      // Both adapters in one batch, each request with its own.
      const both = await Promise.all(['adapter', 'other'].map((adapter) => collect(engine, { prompt, adapter, decoding: { stopLoops: false, forceRet: true, maxNewTokens: 1 } })));
      expectClose(both[0]!.rets[0]!.embedding, mine!);
      expectClose(both[1]!.rets[0]!.embedding, others!);
      expect(both.map(({ end }) => end.adapter)).toEqual(['adapter', 'other']);

      await engine.serveAdapter('other');
      expect((await engine.info()).servingAdapter).toBe('other');
      await expect(engine.unloadAdapter('other')).rejects.toMatchObject({ code: 'ENGINE_ADAPTER_SERVING' });
      const controller = new AbortController();
      const running = collect(engine, { prompt, decoding: endless, signal: controller.signal, seed: 1 });
      await until(1, 0);
      await engine.serveAdapter('adapter');
      let unloaded = false;
      const unload = engine.unloadAdapter('other').then(() => {
        unloaded = true;
      });
      await engine.stats();
      expect(unloaded).toBe(false);
      await expect(collect(engine, { prompt, adapter: 'other' })).rejects.toMatchObject({ code: 'ENGINE_ADAPTER_UNKNOWN' });
      controller.abort();
      expect((await running).end).toMatchObject({ adapter: 'other', reason: 'cancelled' });
      await unload;
      expect((await engine.info()).adapters.map(({ id }) => id)).toEqual(['adapter']);
    });

    test('the next turn of a conversation reads only what is new', async () => {
      const turn = { role: 'user', parts: [{ type: 'text', text: 'Tell me about dogs, please' }] } as const;
      const first = await collect(engine, { prompt: { kind: 'turns', turns: [turn] }, conversation: 'c1', decoding: { stopLoops: false, maxNewTokens: 4 } });
      const again = await collect(engine, { prompt: { kind: 'turns', turns: [turn] }, conversation: 'c1', decoding: { stopLoops: false, maxNewTokens: 4 } });
      const stranger = await collect(engine, { prompt: { kind: 'turns', turns: [turn] }, conversation: 'c2', decoding: { stopLoops: false, maxNewTokens: 4 } });
      expect(again.end.usage.cachedTokens).toBe(again.end.usage.promptTokens - 1);
      expect(stranger.end.usage.cachedTokens).toBe(0);
      expect(again.end.tokenIds).toEqual(first.end.tokenIds);
    });

    test('after close every call is refused in words', async () => {
      const { engine: other } = await start();
      await other.ready();
      await other.close();
      await expect(collect(other, { prompt: asked('x') })).rejects.toMatchObject({ code: 'ENGINE_CLOSED', retryable: true });
      await expect(other.embedPrompts([asked('x')])).rejects.toMatchObject({ code: 'ENGINE_CLOSED' });
      await other.close();
    });
  });
}
