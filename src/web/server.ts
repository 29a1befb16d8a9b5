// The HTTP server: the page, its own small API, and the API in OpenAI's form, behind one guard.
import fastify, { type FastifyInstance } from 'fastify';
import { FromageError } from '../errors.ts';
import { createGuard } from './guard.ts';
import { registerLearning } from './learning.ts';
import { registerConversation } from './local/conversation.ts';
import { WebMetrics } from './metrics.ts';
import { registerChatCompletions } from './openai/chat-completions.ts';
import { registerEmbeddings } from './openai/embeddings.ts';
import { apiError, describeError } from './openai/errors.ts';
import { registerModels } from './openai/models.ts';
import type { WebOptions } from './options.ts';
import { registerPictures } from './pictures.ts';
import { registerPage } from './static.ts';
import { registerWebhook } from './webhook.ts';

export interface WebServer {
  /** `http://host:port/` as a browser on this machine reaches it. */
  readonly url: string;
  readonly app: FastifyInstance;
  readonly metrics: WebMetrics;
  /** Takes no new requests, lets running ones end for up to `graceMs`, then cuts them. */
  close(graceMs?: number): Promise<void>;
}

/** @throws FromageError `WEB_PORT_TAKEN` when somebody else listens there */
export async function startWebServer(options: WebOptions): Promise<WebServer> {
  const app = fastify({ logger: false, bodyLimit: 2 ** 20, forceCloseConnections: 'idle', requestTimeout: 0 });
  const metrics = new WebMetrics(options.engine);
  app.addHook('onRequest', createGuard(options));
  app.setErrorHandler((thrown, _request, reply) => {
    const { statusCode } = thrown as { statusCode?: number };
    if (statusCode !== undefined && statusCode >= 400 && statusCode < 500 && !(thrown instanceof FromageError)) {
      return reply.code(statusCode).send(apiError((thrown as Error).message, 'invalid_request_error', 'bad_request'));
    }
    const { status, body, error } = describeError(thrown);
    if (status >= 500) options.log.error({ code: error.code, err: error.cause instanceof Error ? error.cause.message : error.what }, 'a request failed');
    return reply.code(status).send(body);
  });
  app.setNotFoundHandler((_request, reply) => reply.code(404).send(apiError('there is nothing at this address', 'invalid_request_error', 'not_found')));

  app.get('/healthz', async (_request, reply) => {
    const reason = options.notReady();
    return reply.code(reason === null ? 200 : 503).send(reason === null ? { status: 'ok' } : { status: 'starting', reason });
  });
  app.get('/metrics', async (_request, reply) => reply.header('content-type', metrics.registry.contentType).send(await metrics.registry.metrics()));
  registerPage(app);
  registerModels(app, options);
  registerChatCompletions(app, options, metrics);
  registerEmbeddings(app, options);
  registerPictures(app, options);
  registerConversation(app, options, metrics);
  registerLearning(app, options);
  if (options.webhook) await registerWebhook(app, options.webhook);

  try {
    await app.listen({ host: options.host, port: options.port });
  } catch (cause) {
    const taken = (cause as NodeJS.ErrnoException).code === 'EADDRINUSE';
    throw new FromageError({
      code: taken ? 'WEB_PORT_TAKEN' : 'WEB_LISTEN',
      what: `cannot listen on ${options.host}:${options.port}${taken ? ': something else already does' : `: ${(cause as Error).message}`}`,
      todo: taken ? 'stop the other program, or choose another port: PORT=8081 npm start' : 'choose an address of this machine in FROMAGE_HOST',
      cause,
    });
  }
  const address = app.server.address();
  const port = typeof address === 'object' && address ? address.port : options.port;
  const name = options.host === '0.0.0.0' || options.host === '::' ? 'localhost' : options.host.includes(':') ? `[${options.host}]` : options.host;
  return {
    url: `http://${name}:${port}/`,
    app,
    metrics,
    async close(graceMs = 5000) {
      const timer = setTimeout(() => app.server.closeAllConnections(), graceMs);
      await app.close();
      clearTimeout(timer);
    },
  };
}
