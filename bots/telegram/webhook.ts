// Receives updates as HTTPS posts from Telegram. The secret is compared in constant time; a post is
// answered once its update is stored, so that one that could not be stored comes again.
import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Update } from 'telegraf/types';

export type WebhookHandler = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

const maxBytes = 1_000_000;

/** @param secret 1 to 256 of A–Z a–z 0–9 _ - */
export function webhookHandler(secret: string, take: (updates: readonly Update[]) => Promise<void>): WebhookHandler {
  return async (request, response) => {
    const end = (status: number): void => void response.writeHead(status).end();
    if (request.method !== 'POST') return end(405);
    if (!sameSecret(request.headers['x-telegram-bot-api-secret-token'], secret)) return end(401);
    let update: Update;
    try {
      const chunks: Buffer[] = [];
      let length = 0;
      for await (const chunk of request as AsyncIterable<Buffer>) {
        length += chunk.length;
        if (length > maxBytes) return end(413);
        chunks.push(chunk);
      }
      update = JSON.parse(Buffer.concat(chunks).toString('utf8')) as Update;
      if (typeof update?.update_id !== 'number') return end(400);
    } catch {
      return end(400);
    }
    try {
      await take([update]);
      end(200);
    } catch {
      end(503);
    }
  };
}

function sameSecret(given: string | string[] | undefined, secret: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return typeof given === 'string' && timingSafeEqual(digest(given), digest(secret));
}
