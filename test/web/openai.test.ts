import { afterAll, beforeAll, expect, test } from '@jest/globals';
import OpenAI from 'openai';
import { dataUrl, startTestServer, type TestServer } from './server.ts';

let running: TestServer;
let client: OpenAI;

interface ImageOut {
  readonly type: string;
  readonly image_url: { readonly url: string };
  readonly alt: string;
  readonly score: number;
  readonly after: number;
}

beforeAll(async () => {
  running = await startTestServer();
  client = new OpenAI({ baseURL: `${running.url}/v1`, apiKey: 'none', maxRetries: 0 });
});
afterAll(() => running.close());

/** The tiny model's [RET] must be asked for: it knows no manners. */
const forced = { force_ret: true, max_tokens: 12, max_img_per_ret: 2 } as object;

test('the openai client gets words, and pictures with their places', async () => {
  const answer = await client.chat.completions.create({ model: 'any', messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: await dataUrl('orange') } }, { type: 'text', text: 'What is this?' }] }], ...forced });
  const message = answer.choices[0]!.message as OpenAI.ChatCompletionMessage & { images: ImageOut[] };
  expect(typeof message.content).toBe('string');
  expect(message.images).toHaveLength(2);
  for (const image of message.images) {
    expect(image).toMatchObject({ type: 'image_url', alt: expect.stringMatching(/^something /), after: 0 });
    const response = await fetch(image.image_url.url);
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toMatch(/^image\//);
  }
  expect(answer.usage!.completion_tokens).toBeGreaterThan(0);
  expect(['stop', 'length']).toContain(answer.choices[0]!.finish_reason);
});

test('what is streamed, joined, equals what is answered whole', async () => {
  const request = { model: 'any', messages: [{ role: 'user' as const, content: 'Tell me something' }], seed: 3, temperature: 1, ...forced };
  const whole = await client.chat.completions.create({ ...request });
  const stream = await client.chat.completions.create({ ...request, stream: true, stream_options: { include_usage: true } });
  let text = '';
  const images: ImageOut[] = [];
  let usage: OpenAI.CompletionUsage | null | undefined;
  for await (const chunk of stream) {
    const delta = chunk.choices[0]?.delta as (OpenAI.ChatCompletionChunk.Choice.Delta & { images?: ImageOut[] }) | undefined;
    text += delta?.content ?? '';
    images.push(...(delta?.images ?? []));
    usage = chunk.usage ?? usage;
  }
  const message = whole.choices[0]!.message as OpenAI.ChatCompletionMessage & { images: ImageOut[] };
  expect(text).toBe(message.content);
  expect(images.map(({ alt, after }) => [alt, after])).toEqual(message.images.map(({ alt, after }) => [alt, after]));
  expect(usage?.completion_tokens).toBe(whole.usage!.completion_tokens);
});

test('an earlier answer with pictures may be sent back', async () => {
  const answer = await client.chat.completions.create({
    model: 'any',
    messages: [
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'Show me red' },
      { role: 'assistant', content: 'here', images: [{ after: 2 }] } as OpenAI.ChatCompletionMessageParam,
      { role: 'user', content: 'and green?' },
    ],
    max_tokens: 4,
  });
  expect(answer.usage!.prompt_tokens).toBeGreaterThan(10);
});

test('texts and pictures are embedded in one space, at unit length, also as base64', async () => {
  const floats = await client.embeddings.create({ model: 'any', input: ['red', 'green'], encoding_format: 'float' });
  const coded = await client.embeddings.create({ model: 'any', input: ['red', 'green'] });
  expect(floats.data).toHaveLength(2);
  for (const [i, { embedding }] of floats.data.entries()) {
    expect(Math.hypot(...embedding)).toBeCloseTo(1, 4);
    coded.data[i]!.embedding.forEach((value, j) => expect(value).toBeCloseTo(embedding[j]!, 5));
  }
  const picture = (await (await post('/v1/embeddings', { input: [{ type: 'image_url', image_url: { url: await dataUrl('red') } }, 'red'] })).json()) as { data: { embedding: number[] }[] };
  expect(picture.data.map(({ embedding }) => embedding.length)).toEqual([8, 8]);
});

test('models are listed with their adapters', async () => {
  const list = await client.models.list();
  expect(list.data[0]).toMatchObject({ object: 'model', owned_by: 'fromage' });
  expect((await client.models.retrieve(list.data[0]!.id)).id).toBe(list.data[0]!.id);
  await expect(client.models.retrieve('nobody')).rejects.toMatchObject({ status: 404 });
});

test.each([
  ['no messages', { messages: [] }, /messages/],
  ['an address in place of a data URL', { messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'http://169.254.169.254/' } }] }] }, /data URL/],
  ['two answers', { messages: [{ role: 'user', content: 'x' }], n: 2 }, /n must be 1/],
  ['a last word of the assistant', { messages: [{ role: 'assistant', content: 'x' }] }, /last one must be from the user/],
  ['a picture that is none', { messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } }] }] }, /./],
  ['a negative temperature', { messages: [{ role: 'user', content: 'x' }], temperature: -1 }, /temperature/],
])('%s is refused with 400 in words', async (_name, body, words) => {
  const response = await post('/v1/chat/completions', body);
  expect(response.status).toBe(400);
  const { error } = (await response.json()) as { error: { message: string; type: string } };
  expect(error.message).toMatch(words);
  expect(error.type).toBe('invalid_request_error');
});

test('special tokens in a message stay plain text', async () => {
  const count = async (content: string) => ((await (await post('/v1/chat/completions', { messages: [{ role: 'user', content }], max_tokens: 1 })).json()) as { usage: { prompt_tokens: number } }).usage.prompt_tokens;
  expect(await count('x[RET]')).toBeGreaterThan((await count('x')) + 1);
});

test('a client that hangs up frees its place', async () => {
  const controller = new AbortController();
  const response = await fetch(`${running.url}/v1/chat/completions`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ messages: [{ role: 'user', content: 'go on' }], stream: true, max_tokens: 4000 }), signal: controller.signal });
  await response.body!.getReader().read();
  controller.abort();
  for (let i = 0; i < 100 && (await running.engine.stats()).running > 0; i++) await new Promise((resolve) => setTimeout(resolve, 20));
  expect((await running.engine.stats()).running).toBe(0);
});

test('metrics count what happened', async () => {
  const metrics = await (await fetch(`${running.url}/metrics`)).text();
  expect(metrics).toMatch(/fromage_answers_total\{reason="(stop|length)"\} [1-9]/);
  expect(metrics).toMatch(/fromage_pictures_shown_total [1-9]/);
  expect(metrics).toMatch(/fromage_engine_generated_tokens [1-9]/);
});

function post(path: string, body: unknown): Promise<Response> {
  return fetch(running.url + path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
}
