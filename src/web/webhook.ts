// The place where a platform posts its updates: handed over raw, since the platform's own room checks the
// secret and reads the body.
import type { FastifyInstance } from 'fastify';
import type { WebOptions } from './options.ts';

export async function registerWebhook(app: FastifyInstance, webhook: NonNullable<WebOptions['webhook']>): Promise<void> {
  await app.register(async (raw) => {
    raw.removeAllContentTypeParsers();
    raw.addContentTypeParser('*', (_request, _payload, done) => done(null));
    raw.post(webhook.path, async (request, reply) => {
      const handler = webhook.handler();
      // The platform tries again later.
      if (!handler) return reply.code(503).send();
      reply.hijack();
      await handler(request.raw, reply.raw);
      return reply;
    });
  });
}
