// Enqueuing messages inside a transaction: the outbox does it, and the inbox when an update is done.
import { randomBytes } from 'node:crypto';
import type { OutgoingMessage } from '../chat/contracts.ts';
import type { Transaction } from './database.ts';
import { wake } from './lanes.ts';
import { toJson, toTime } from './rows.ts';

/** Gives the ids in order; a key that is there already gives its message. */
export async function enqueueMessages(t: Transaction, messages: readonly OutgoingMessage[]): Promise<readonly string[]> {
  const ids: string[] = [];
  for (const message of messages) {
    const { key, platform, chatId, lane = chatId } = message;
    const now = Date.now();
    const availableAt = message.notBefore ?? now;
    await wake(t, 'outbox', lane, platform, availableAt);
    const there = await t.outboxMessage.findUnique({ where: { key }, select: { id: true } });
    const row =
      there ??
      (await t.outboxMessage.create({
        data: {
          key,
          lane,
          platform,
          chatId,
          turnId: message.turnId ?? null,
          userId: message.userId ?? null,
          payload: toJson(message.payload),
          // 24 characters: Discord takes 25.
          nonce: randomBytes(12).toString('hex'),
          idempotent: message.idempotent ?? false,
          state: 'waiting',
          availableAt: toTime(availableAt),
          createdAt: toTime(now),
        },
      }));
    ids.push(String(row.id));
  }
  return ids;
}
