// Server-sent events over a raw response: one place for headers, back-pressure and the end of the client.
import { once } from 'node:events';
import type { FastifyReply } from 'fastify';

export interface EventStream {
  /** Aborted when the client goes away. */
  readonly signal: AbortSignal;
  /** Waits while the client reads slower than the model speaks. */
  send(data: unknown): Promise<void>;
  end(): void;
}

export function openEventStream(reply: FastifyReply): EventStream {
  const { raw } = reply;
  const gone = new AbortController();
  reply.hijack();
  raw.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-store', 'x-accel-buffering': 'no' });
  raw.on('close', () => gone.abort());
  return {
    signal: gone.signal,
    async send(data) {
      if (gone.signal.aborted || raw.destroyed) return;
      const text = typeof data === 'string' ? data : JSON.stringify(data);
      if (!raw.write(`data: ${text}\n\n`)) await Promise.race([once(raw, 'drain'), once(raw, 'close')]).catch(() => undefined);
    },
    end() {
      raw.end();
    },
  };
}
