// The interleaving of text and pictures, over scripted engine streams.
import { describe, expect, test } from '@jest/globals';
import { type AnswerEvent, type ComposeOptions, composeAnswer } from '../../src/chat/index.ts';
import type { GenerateEvent } from '../../src/engine/types.ts';
import type { GalleryQuery, ScoredPicture } from '../../src/retrieval/types.ts';

const usage = { promptTokens: 3, cachedTokens: 0, newTokens: 2, droppedTurns: 0, queuedMs: 0, firstTokenMs: 1, totalMs: 2 };
const end: GenerateEvent = { type: 'end', reason: 'stop', text: '', tokenIds: [1, 2], seed: 7, adapter: 'a1', retProbability: 0.4, usage };

function picture(id: string, score: number): ScoredPicture {
  return {
    id, score, hash: `hash-${id}`, tenant: 'all', alt: id, caption: null, source: 'https://example.org', licence: 'MIT',
    addedBy: null, addedAt: 0, tags: [], contentClass: 'safe', mimeType: 'image/png', width: 2, height: 2,
  };
}

const ret: GenerateEvent = { type: 'ret', embedding: Float32Array.of(0.6, 0.8), after: 0, probability: 0.4 };
const pictures = [picture('cat', 0.9), picture('dog', 0.8), picture('sun', 0.7)];
const gallery = {
  find: async (query: GalleryQuery) => pictures.filter(({ id }) => !query.exclude?.has(id)).slice(0, query.limit),
};

async function run(events: GenerateEvent[], more: Partial<ComposeOptions> = {}): Promise<AnswerEvent[]> {
  const engine = { generate: async function* () { yield* events; } };
  const request = { prompt: { kind: 'turns', turns: [] } } as const;
  const out: AnswerEvent[] = [];
  for await (const event of composeAnswer({ engine, gallery, request, filter: { tenants: ['all'] }, ...more })) out.push(event);
  return out;
}

function answerOf(events: AnswerEvent[]) {
  const last = events.at(-1);
  if (last?.type !== 'end') throw new Error('no end');
  return last.answer;
}

const text = (value: string): GenerateEvent => ({ type: 'text', text: value });

describe('composeAnswer', () => {
  test('interleaves text, pictures and text in the order of generation', async () => {
    const answer = answerOf(await run([text(' A cat:'), ret, text(' and'), text(' more. '), end]));
    expect(answer.parts.map((part) => (part.type === 'text' ? part.text : part.type))).toEqual(['A cat:', 'pictures', ' and more.']);
    expect(answer.text).toBe('A cat: and more.');
    expect(answer.rets.map(({ after }) => after)).toEqual([6]);
    expect(answer).toMatchObject({ seed: 7, adapter: 'a1', retProbability: 0.4, reason: 'stop', maxImgPerRet: 1, tokenCount: 2 });
  });

  test('never shows a picture twice in one answer, nor one that is excluded', async () => {
    const events = await run([ret, ret, ret, end], { exclude: new Set(['dog']) });
    const seen = events.flatMap((event) => (event.type === 'pictures' ? event.pictures.map(({ id }) => id) : [event.type]));
    expect(seen).toEqual(['cat', 'sun', 'no_picture', 'end']);
  });

  test('a gallery that ignores the exclusion still cannot repeat a picture', async () => {
    const careless = { find: async () => [pictures[0]!] };
    const events = await run([ret, ret, end], { gallery: careless });
    expect(events.map(({ type }) => type)).toEqual(['pictures', 'no_picture', 'end']);
  });

  test('a gallery that fails leaves the words and says so', async () => {
    const errors: unknown[] = [];
    const broken = { find: async () => { throw new Error('down'); } };
    const events = await run([text('x'), ret, end], { gallery: broken, onGalleryError: (error) => errors.push(error) });
    expect(events).toContainEqual({ type: 'no_picture', ret: 0, after: 1, reason: 'gallery_unavailable' });
    expect(errors).toHaveLength(1);
  });

  test('several pictures per [RET]', async () => {
    const events = await run([ret, end], { maxImgPerRet: 2 });
    expect(events[0]).toMatchObject({ type: 'pictures', pictures: [{ id: 'cat' }, { id: 'dog' }] });
  });

  test('an answer is plain JSON', async () => {
    const answer = answerOf(await run([text('a'), ret, end]));
    expect(JSON.parse(JSON.stringify(answer))).toEqual(answer);
  });

  test('text deltas join to the text, wherever the stream was cut', async () => {
    const whole = '  One.\n\nTwo  three. \n';
    for (let cut = 0; cut <= whole.length; cut++) {
      const events = await run([text(whole.slice(0, cut)), text(whole.slice(cut)), end]);
      const joined = events.map((event) => (event.type === 'text' ? event.text : '')).join('');
      expect(joined).toBe(whole.trim());
      expect(answerOf(events).text).toBe(whole.trim());
    }
  });
});
