// POST /v1/chat/completions in OpenAI's form. Pictures stand in `message.images` (streaming:
// `delta.images`), each with the character offset in the content after which it belongs.
import { randomUUID } from 'node:crypto';
import type { FastifyInstance } from 'fastify';
import { type AnswerEvent, composeAnswer } from '../../chat/index.ts';
import type { ScoredPicture } from '../../retrieval/types.ts';
import { signPath } from '../guard.ts';
import type { WebMetrics } from '../metrics.ts';
import { webTenants, type WebOptions } from '../options.ts';
import { openEventStream } from '../sse.ts';
import { chatRequestSchema, decodingOf, parseBody, turnsOf } from './chat-request.ts';
import { describeError } from './errors.ts';

/** A picture of an answer as the API gives it. */
interface ApiImage {
  readonly type: 'image_url';
  readonly image_url: { readonly url: string };
  readonly alt: string;
  readonly score: number;
  readonly source: string | null;
  readonly licence: string | null;
  readonly after: number;
}

const finishReasons = { stop: 'stop', length: 'length', cancelled: 'stop', deadline: 'length' } as const;

export function registerChatCompletions(app: FastifyInstance, options: WebOptions, metrics: WebMetrics): void {
  app.post('/v1/chat/completions', { bodyLimit: 64 * 2 ** 20 }, async (request, reply) => {
    const body = parseBody(chatRequestSchema, request.body);
    const turns = await turnsOf(body, async (id) => (await options.gallery()?.bytes(id, { tenants: webTenants })) ?? null);
    const id = `chatcmpl-${randomUUID()}`;
    const created = Math.floor(Date.now() / 1000);
    const base = `http://${request.headers.host}`;
    const image = (picture: ScoredPicture, after: number): ApiImage => ({
      type: 'image_url',
      image_url: { url: base + signPath(`/v1/pictures/${picture.id}`, options.apiKey) },
      alt: picture.alt,
      score: picture.score,
      source: picture.source,
      licence: picture.licence,
      after,
    });
    const adapter = body.adapter ?? (await options.adapterFor?.());
    const answer = (signal: AbortSignal): AsyncIterable<AnswerEvent> =>
      metrics.watch(
        composeAnswer({
          engine: options.engine,
          gallery: options.gallery(),
          filter: { tenants: webTenants },
          maxImgPerRet: body.max_img_per_ret ?? 1,
          onGalleryError: (error) => options.log.warn({ err: describeError(error).error.code }, 'the gallery could not be searched'),
          request: {
            prompt: { kind: 'turns', turns },
            decoding: decodingOf(body),
            conversation: `api:${body.user ?? ''}`,
            signal,
            ...(body.seed == null ? {} : { seed: body.seed }),
            ...(adapter === undefined ? {} : { adapter }),
          },
        }),
      );
    const model = (await options.engine.info()).model;

    if (!body.stream) {
      const gone = new AbortController();
      reply.raw.on('close', () => gone.abort());
      const images: ApiImage[] = [];
      for await (const event of answer(gone.signal)) {
        if (event.type === 'pictures') images.push(...event.pictures.map((picture) => image(picture, event.after)));
        if (event.type !== 'end') continue;
        const { text, reason, usage, tokenCount, seed, adapter, retProbability } = event.answer;
        return {
          id,
          object: 'chat.completion',
          created,
          model,
          choices: [{ index: 0, message: { role: 'assistant', content: text, refusal: null, images }, logprobs: null, finish_reason: finishReasons[reason] }],
          usage: usageOf(usage.promptTokens, usage.cachedTokens, tokenCount),
          seed,
          adapter,
          ret_probability: retProbability,
        };
      }
      throw new Error('the answer ended without an end');
    }

    const stream = openEventStream(reply);
    const chunk = (delta: object, finish: string | null = null) => ({ id, object: 'chat.completion.chunk', created, model, choices: [{ index: 0, delta, logprobs: null, finish_reason: finish }] });
    try {
      await stream.send(chunk({ role: 'assistant', content: '' }));
      for await (const event of answer(stream.signal)) {
        if (event.type === 'text') await stream.send(chunk({ content: event.text }));
        else if (event.type === 'pictures') await stream.send(chunk({ images: event.pictures.map((picture) => image(picture, event.after)) }));
        else if (event.type === 'end') {
          const { reason, usage, tokenCount, seed, adapter, retProbability } = event.answer;
          await stream.send({ ...chunk({}, finishReasons[reason]), seed, adapter, ret_probability: retProbability });
          if (body.stream_options?.include_usage) await stream.send({ ...chunk({}), choices: [], usage: usageOf(usage.promptTokens, usage.cachedTokens, tokenCount) });
        }
      }
      await stream.send('[DONE]');
    } catch (thrown) {
      const { body: failure, error } = describeError(thrown);
      options.log.warn({ code: error.code }, 'a streamed answer failed');
      await stream.send(failure);
    } finally {
      stream.end();
    }
    return reply;
  });
}

function usageOf(prompt: number, cached: number, completion: number) {
  return { prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion, prompt_tokens_details: { cached_tokens: cached } };
}
