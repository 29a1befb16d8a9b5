// POST /v1/embeddings: texts and pictures as unit vectors of the same retrieval space, so that their inner
// product is the score that the gallery uses.
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { retrievalPrompt } from '../../engine/index.ts';
import type { WebOptions } from '../options.ts';
import { badRequest, bytesOfDataUrl, parseBody } from './chat-request.ts';

const picture = z.object({ type: z.literal('image_url'), image_url: z.union([z.string(), z.object({ url: z.string() })]) });
const item = z.union([z.string().min(1).max(20_000), picture]);

const embeddingsSchema = z.looseObject({
  input: z.union([item, z.array(item).min(1).max(256)], 'must be a text, a picture part, or a list of these (at most 256)'),
  model: z.string().optional(),
  encoding_format: z.enum(['float', 'base64']).nullish(),
  adapter: z.string().max(200).nullish(),
});

export function registerEmbeddings(app: FastifyInstance, { engine }: WebOptions): void {
  app.post('/v1/embeddings', { bodyLimit: 64 * 2 ** 20 }, async (request) => {
    const body = parseBody(embeddingsSchema, request.body);
    const items = Array.isArray(body.input) ? body.input : [body.input];
    const { promptStyle, model } = await engine.info();
    const adapter = body.adapter ?? undefined;
    const texts = items.flatMap((entry, index) => (typeof entry === 'string' ? [{ index, prompt: retrievalPrompt(entry, promptStyle) }] : []));
    const pictures = items.flatMap((entry, index) => (typeof entry === 'string' ? [] : [{ index, bytes: bytesOfDataUrl(typeof entry.image_url === 'string' ? entry.image_url : entry.image_url.url) }]));
    const vectors: Float32Array[] = [];
    if (texts.length > 0) {
      const embedded = await engine.embedPrompts(texts.map(({ prompt }) => prompt), adapter);
      texts.forEach(({ index }, i) => (vectors[index] = embedded[i]!));
    }
    if (pictures.length > 0) {
      const pooled = (await engine.encodeImages(pictures.map(({ bytes }) => bytes))).map((result, i) => {
        if (result instanceof Error) throw badRequest(`input.${pictures[i]!.index}: ${result.message}`);
        return result;
      });
      const projected = await engine.projectImages(pooled, adapter);
      pictures.forEach(({ index }, i) => (vectors[index] = projected[i]!));
    }
    const encode = (vector: Float32Array) =>
      body.encoding_format === 'base64' ? Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength).toString('base64') : Array.from(vector);
    return {
      object: 'list',
      model,
      data: vectors.map((vector, index) => ({ object: 'embedding', index, embedding: encode(vector) })),
      usage: { prompt_tokens: 0, total_tokens: 0 },
    };
  });
}
