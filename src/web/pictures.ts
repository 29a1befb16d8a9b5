// Pictures over HTTP: those of the gallery by id, those a person sent by content hash, and the page's
// gallery tab (search, add, remove).
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { retrievalPrompt } from '../engine/index.ts';
import { FromageError } from '../errors.ts';
import { averageVectors, avoidVector, type Picture, projectionPlot } from '../retrieval/index.ts';
import { signPath } from './guard.ts';
import { visitorOf } from './local/visitor.ts';
import { badRequest, bytesOfDataUrl, parseBody } from './openai/chat-request.ts';
import { webTenants, type WebOptions } from './options.ts';

const filter = { tenants: webTenants };
const words = z.string().trim().min(1).max(500);
const searchSchema = z.object({
  q: words.optional(),
  /** Id of a picture to look for others like it. */
  like: z.uuid().optional(),
  /** Words to stay away from. */
  avoid: words.optional(),
  limit: z.coerce.number().int().min(1).max(60).default(24),
  page: z.coerce.number().int().min(1).max(50).default(1),
});
/** Points of the map: more would hide one another. */
const mapPoints = 600;
const addSchema = z.object({ image: z.string(), caption: z.string().trim().max(500).default('') });

export function registerPictures(app: FastifyInstance, options: WebOptions): void {
  const gallery = () => {
    const current = options.gallery();
    if (!current) throw new FromageError({ code: 'WEB_NO_GALLERY', what: 'the gallery is not ready yet', retryable: true, userMessage: 'My pictures are still being sorted. Ask again in a moment.' });
    return current;
  };

  app.get<{ Params: { id: string } }>('/v1/pictures/:id', async ({ params }, reply) => {
    // Bytes first: only they tell the type of a picture that was a link until now.
    const bytes = await gallery().bytes(params.id, filter);
    const picture = bytes && (await gallery().get(params.id, filter));
    if (!picture || !bytes) throw new FromageError({ code: 'WEB_NOT_FOUND', what: 'there is no such picture' });
    return reply.headers(pictureHeaders(picture.mimeType)).send(Buffer.from(bytes));
  });

  app.get<{ Params: { hash: string } }>('/api/files/:hash', async ({ params }, reply) => {
    const known = /^[0-9a-f]{64}$/.test(params.hash) ? await options.store.files.stat(params.hash) : null;
    const bytes = known && (await options.store.files.get(params.hash));
    if (!known || !bytes) throw new FromageError({ code: 'WEB_NOT_FOUND', what: 'there is no such picture' });
    return reply.headers(pictureHeaders(known.mimeType)).send(Buffer.from(bytes));
  });

  app.get('/api/gallery', async (request) => {
    const { q, like, avoid, limit, page } = parseBody(searchSchema, request.query);
    const wanted = [...(q === undefined ? [] : await embed([q])), ...(like === undefined ? [] : [await vectorOf(like)])];
    if (wanted.length === 0) throw badRequest('say what to look for: q or like');
    const vector = avoidVector(averageVectors(wanted), avoid === undefined ? [] : await embed([avoid]));
    const found = await gallery().find({ vector, filter, limit: limit * page, scoreThreshold: -1 });
    return { pictures: found.slice(limit * (page - 1)).map((picture) => ({ ...shown(picture), score: picture.score })) };
  });

  app.get('/api/gallery/map', async () => {
    const pictures = (await gallery().sample?.(filter, mapPoints)) ?? [];
    const { points, explained } = projectionPlot(pictures.map(({ vector }) => vector));
    return { explained, points: pictures.map((picture, i) => ({ ...shown(picture), ...points[i] })) };
  });

  async function embed(texts: readonly string[]): Promise<readonly Float32Array[]> {
    const { promptStyle } = await options.engine.info();
    return await options.engine.embedPrompts(texts.map((text) => retrievalPrompt(text, promptStyle)));
  }

  async function vectorOf(id: string): Promise<Float32Array> {
    const vector = await gallery().vectorOf?.(id, filter);
    if (!vector) throw new FromageError({ code: 'WEB_NOT_FOUND', what: 'there is no such picture' });
    return vector;
  }

  function shown({ id, alt, source, licence }: Picture) {
    return { id, alt, source, licence, url: signPath(`/v1/pictures/${id}`, options.apiKey) };
  }

  app.post('/api/gallery', { bodyLimit: 32 * 2 ** 20 }, async (request) => {
    const { image, caption } = parseBody(addSchema, request.body);
    if (!options.pictures) throw badRequest('this server takes no new pictures');
    return await options.pictures.addPicture({ bytes: bytesOfDataUrl(image), caption, addedBy: await giverOf(request), tenant: 'web' });
  });

  /** The visitor, whose consent decides what is learned of the picture; what a program adds is nobody's, and nothing is. */
  async function giverOf(request: FastifyRequest): Promise<string> {
    return request.headers['x-fromage-visitor'] === undefined ? 'web' : (await visitorOf(request, options)).user.id;
  }

  app.delete<{ Params: { id: string } }>('/api/gallery/:id', async ({ params }) => {
    const picture = await gallery().get(params.id, { tenants: ['web'] });
    if (!picture || !(await options.pictures?.removePicture(params.id))) throw new FromageError({ code: 'WEB_NOT_FOUND', what: 'there is no such picture, or it is not one that was added here' });
    return { id: params.id };
  });
}

/** A picture is data, never a document: no sniffing, no scripts even if opened on its own. */
function pictureHeaders(mimeType: string): Record<string, string> {
  return { 'content-type': mimeType, 'x-content-type-options': 'nosniff', 'content-security-policy': "default-src 'none'; sandbox", 'cache-control': 'private, max-age=3600' };
}
