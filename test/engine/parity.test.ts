// The paths that must agree, on real tiny models in float32: batched = alone, chunked = whole, cached =
// recomputed, ragged = one by one, scores = the definition.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Engine, GenerateRequest, PromptTurn } from '../../src/engine/types.ts';
import { type FromageModel, loadFromage } from '../../src/model/index.ts';
import { vocabularyLogits } from '../../src/model/vocabulary-logits.ts';
import { l2Normalize, logSoftmaxAt } from '../../src/tensor/index.ts';
import { tinyVisionHiddenSize } from '../tiny/fromage.ts';
import { normal, normals } from '../tiny/random.ts';
import { asked, collect, type Collected, expectClose, text } from './collect.ts';
import { tinyEngine, tinyModel } from './tiny-engine.ts';

const picture = (seed: number) => ({ type: 'image', image: { pooled: normals(normal(seed), tinyVisionHiddenSize, 1) } }) as const;

/** Different lengths, pictures or none, greedy and sampled, with and without [RET], two adapters. */
const requestsAt = (heat: number): readonly GenerateRequest[] => [
  { prompt: asked('Hi'), decoding: { stopLoops: false, maxNewTokens: 20 }, seed: 1 },
  { prompt: asked(picture(1), 'What is in the picture?'), decoding: { stopLoops: false, maxNewTokens: 12, temperature: 1.5 * heat, maxNumRets: 3, retScaleFactor: 3, retScaleMode: 'signed' }, seed: 2 },
  { prompt: asked('Show me a dog that runs over the grass, '.repeat(4)), decoding: { stopLoops: false, forceRet: true, maxNewTokens: 1 }, adapter: 'other', seed: 3 },
  { prompt: { kind: 'segments', segments: [text('Once'), picture(2), text(' upon '), picture(3)] }, decoding: { stopLoops: false, maxNewTokens: 25, temperature: heat, topP: 0.9, repetitionPenalty: 1.3, maxNumRets: 50 }, adapter: 'other', seed: 4 },
  { prompt: asked('Tell me more'), decoding: { stopLoops: false, maxNewTokens: 30, temperature: 2 * heat, topK: 20, minWordTokens: 5, maxNumRets: 2 }, seed: 5 },
  { prompt: { kind: 'segments', segments: [picture(4)] }, decoding: { stopLoops: false, maxNewTokens: 16, temperature: heat, maxNumRets: 0 }, seed: 6 },
];

function expectSame(actual: Collected, expected: Collected): void {
  expect(actual.end.tokenIds).toEqual(expected.end.tokenIds);
  expect(actual.text).toBe(expected.text);
  expect(actual.end.text).toBe(actual.text);
  expect(actual.end.reason).toBe(expected.end.reason);
  expect(actual.rets.map(({ after }) => after)).toEqual(expected.rets.map(({ after }) => after));
  actual.rets.forEach((ret, i) => {
    expectClose(ret.embedding, expected.rets[i]!.embedding);
    expect(ret.probability).toBeCloseTo(expected.rets[i]!.probability, 4);
  });
}

describe.each(['llama', 'opt'] as const)('on a tiny %s', (family) => {
  // The tiny OPT is so sure of itself that it must be heated to say anything; it reads two layers.
  const requests = requestsAt(family === 'opt' ? 8 : 1);
  const model = tinyModel(21, family === 'opt' ? { family, visualTokens: 1, textLayers: [1, -1] } : { family, visualTokens: 3 });
  let alone: Engine;
  let expected: readonly Collected[];

  const withOther = async (engine: Engine): Promise<Engine> => {
    await engine.loadAdapter(model.adapters[1], 'other');
    return engine;
  };

  beforeAll(async () => {
    alone = await withOther(await tinyEngine(model, { maxRows: 1, prefixCacheBytes: 0 }));
    const answers: Collected[] = [];
    for (const request of requests) answers.push(await collect(alone, request));
    expected = answers;
  });
  afterAll(() => alone.close());

  test('the requests show what they are meant to', () => {
    expect(expected.some(({ rets }) => rets.length > 0)).toBe(true);
    expect(new Set(expected.flatMap(({ end }) => end.tokenIds)).size).toBeGreaterThan(30);
  });

  test('batched = alone, with both adapters in one batch', async () => {
    const engine = await withOther(await tinyEngine(model, { maxRows: 4 }));
    const together = await Promise.all(requests.map((request) => collect(engine, request)));
    together.forEach((answer, i) => expectSame(answer, expected[i]!));
    expect((await engine.stats()).meanBatch).toBeGreaterThan(1.5);
    await engine.close();
  });

  test('two conversations with adapters of their own share every step, each with its own numbers', async () => {
    const decoding = { stopLoops: false, forceRet: true, maxNewTokens: 20, maxNumRets: 3 } as const;
    const request: GenerateRequest = { prompt: asked(picture(7), 'Show me another'), decoding, seed: 9 };
    const pinned = [{ ...request, conversation: 'a', adapter: 'adapter' }, { ...request, conversation: 'b', adapter: 'other' }];
    const apart: Collected[] = [];
    for (const one of pinned) apart.push(await collect(alone, one));
    expect(apart[0]!.rets[0]!.embedding).not.toEqual(apart[1]!.rets[0]!.embedding);
    const engine = await withOther(await tinyEngine(model, { maxRows: 2, prefixCacheBytes: 0 }));
    const together = await Promise.all(pinned.map((one) => collect(engine, one)));
    together.forEach((answer, i) => expectSame(answer, apart[i]!));
    // With one adapter a step it would be 1.
    expect((await engine.stats()).meanBatch).toBeGreaterThan(1.5);
    await engine.close();
  });

  test.each([[1, 1], [3, 7], [10, 64]])('prompts read in chunks of %i and %i = whole', async (busyTokens, idleTokens) => {
    const engine = await withOther(await tinyEngine(model, { maxRows: 3, limits: { busyTokens: busyTokens + 2, idleTokens } }));
    const together = await Promise.all(requests.map((request) => collect(engine, request)));
    together.forEach((answer, i) => expectSame(answer, expected[i]!));
    await engine.close();
  });

  test('cached = recomputed, also when only a part of the prompt is the same or another adapter asks', async () => {
    const engine = await withOther(await tinyEngine(model));
    const conversation = 'c';
    for (const round of [0, 1]) {
      for (const [i, request] of requests.entries()) {
        // Each prompt twice: the second time all but its last position is there already.
        expectSame(await collect(engine, { ...request, conversation }), expected[i]!);
        const again = await collect(engine, { ...request, conversation });
        expectSame(again, expected[i]!);
        expect(again.end.usage.cachedTokens).toBe(again.end.usage.promptTokens - 1);
        const other = request.adapter === 'other' ? 'adapter' : 'other';
        if (round === 0) expectSame(await collect(engine, { ...request, conversation, adapter: other }), await collect(alone, { ...request, adapter: other }));
      }
    }
    await engine.close();
  });

  test('another picture in the same place, and [RET] of another adapter, are read anew', async () => {
    const engine = await withOther(await tinyEngine(model));
    const decoding = { maxNewTokens: 12, temperature: family === 'opt' ? 8 : 1 };
    const seen = (seed: number): GenerateRequest => ({ prompt: { kind: 'segments', segments: [text('Look: '), picture(seed), text(' What is it?')] }, decoding, seed: 1 });
    const before = (await collect(engine, { ...seen(1), conversation: 'c' })).started!.promptTokens;
    const other = await collect(engine, { ...seen(2), conversation: 'c' });
    expectSame(other, await collect(alone, seen(2)));
    const common = before - ' What is it?'.length - (family === 'opt' ? 1 : 3);
    expect(other.end.usage.cachedTokens).toBe(common);

    const shown: GenerateRequest = { prompt: { kind: 'segments', segments: [text('A dog: '), { type: 'text', text: '[RET]', trusted: true }, text(' And another?')] }, decoding, seed: 1 };
    await collect(engine, { ...shown, conversation: 'd' });
    const swapped = await collect(engine, { ...shown, conversation: 'd', adapter: 'other' });
    expectSame(swapped, await collect(alone, { ...shown, adapter: 'other' }));
    expect(swapped.end.usage.cachedTokens).toBe('A dog: '.length + (family === 'opt' ? 1 : 0));
    await engine.close();
  });

  test('a dialogue of five turns with pictures: each turn equals a fresh run over the whole history', async () => {
    const engine = await tinyEngine(model);
    const turns: PromptTurn[] = [];
    let cached = 0;
    for (let turn = 0; turn < 5; turn++) {
      turns.push({ role: 'user', parts: [...(turn % 2 === 0 ? [picture(turn)] : []), text(`Question ${turn}?`)] });
      const request: GenerateRequest = {
        prompt: { kind: 'turns', turns: [...turns] },
        decoding: { stopLoops: false, maxNewTokens: 10, temperature: 1, forceRet: turn === 2, maxNumRets: 2 },
        seed: turn,
      };
      const answer = await collect(engine, { ...request, conversation: 'five turns' });
      expectSame(answer, await collect(alone, request));
      if (turn > 0) expect(answer.end.usage.cachedTokens).toBeGreaterThan(cached);
      cached = answer.end.usage.cachedTokens;
      const said = answer.rets.reduceRight((rest, { after }) => `${rest.slice(0, after)} [RET]${rest.slice(after)}`, answer.text);
      turns.push({ role: 'assistant', parts: [{ type: 'text', text: said, trusted: answer.rets.length > 0 }] });
    }
    await engine.close();
  });

  test('a stop text is found across token borders and never shown', async () => {
    const request = { prompt: asked('Tell me more'), decoding: { stopLoops: false, maxNewTokens: 30, temperature: family === 'opt' ? 16 : 2, maxNumRets: 0 }, seed: 9 } as const;
    const whole = await collect(alone, request);
    const stop = whole.text.slice(4, 7);
    expect(stop).toHaveLength(3);
    const stopped = await collect(alone, { ...request, decoding: { ...request.decoding, stop: [stop] } });
    expect(stopped.end).toMatchObject({ reason: 'stop', text: whole.text.slice(0, whole.text.indexOf(stop)) });
    expect(stopped.text).toBe(stopped.end.text);
  });

  describe('against the definition', () => {
    let parts: FromageModel;
    beforeAll(async () => {
      parts = await loadFromage(model.load);
    });
    afterAll(() => parts.close());

    /** Logits of every position and the retrieval embedding of the last, from one plain run. */
    const run = async (ids: readonly number[]) => {
      const { adapter, languageModel } = parts;
      const output = await languageModel.step(languageModel.createCache(1), [{ slot: 0, embeds: parts.embedTokens(ids, adapter), select: [...ids.keys()] }]);
      const { logits, size } = vocabularyLogits(output.logits, output.hidden.get(-1)!, ids.length, adapter);
      const projected = adapter.projectText(output.hidden, ids.length);
      return { logitsAt: (i: number) => logits.subarray(i * size, (i + 1) * size), embedding: l2Normalize(projected.slice(-adapter.retrievalDim)) };
    };

    test('scores are the mean log-likelihood of all tokens but the first', async () => {
      const candidates = ['red', 'a rather long candidate answer', '', 're'];
      const prompt = { kind: 'segments', segments: [text('Which colour is it? It is ')] } as const;
      const scores = await alone.scoreCandidates(prompt, candidates);
      for (const [i, candidate] of candidates.entries()) {
        const segments = [...prompt.segments, text(candidate)];
        const ids = parts.layOutPrompt({ kind: 'segments', segments }, { visualTokens: 1, maxNewTokens: 0 }).tokenIds;
        const { logitsAt } = await run(ids);
        const sum = ids.slice(1).reduce((total, id, position) => total + logSoftmaxAt(logitsAt(position), id), 0);
        expect(scores[i]).toBeCloseTo(sum / (ids.length - 1), 4);
      }
    });

    test('embeddings of many prompts = each at its own [RET]', async () => {
      const prompts = Array.from({ length: 11 }, (_, i) => ({ kind: 'segments', segments: [text('word '.repeat((i * 7) % 40) + i)] }) as const);
      const embeddings = await alone.embedPrompts(prompts);
      for (const [i, prompt] of prompts.entries()) {
        const ids = parts.layOutPrompt(prompt, { visualTokens: 1, maxNewTokens: 1 }).tokenIds;
        expectClose(embeddings[i]!, (await run([...ids, parts.adapter.ret.id])).embedding);
      }
    });

    test('pictures carry no label, and an unscorable prompt is refused in words', async () => {
      const only = { kind: 'segments', segments: [picture(1)] } as const;
      // OPT puts its begin token behind the picture, and that one has a likelihood.
      if (family === 'llama') await expect(alone.scoreCandidates(only, [''])).rejects.toMatchObject({ code: 'ENGINE_REQUEST' });
      const [score] = await alone.scoreCandidates(only, ['a']);
      expect(score).toBeLessThan(0);
    });
  });
});
