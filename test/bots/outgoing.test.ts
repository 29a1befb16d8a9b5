// Telegram's limits on sending: what counts how much.
import { expect, test } from '@jest/globals';
import { OutgoingQueue } from '../../bots/telegram/outgoing.ts';

const rates = { secondMs: 300, perChatPerSecond: 1, perGroupPerMinute: 20, perSecond: 30 };

test('each picture of an album counts in the limit for all chats', async () => {
  const queue = new OutgoingQueue(rates);
  const begun: number[] = [];
  const album = (chat: number) => queue.run({ chat: String(chat), group: false, priority: 'message', weight: 10 }, async () => void begun.push(chat));
  const albums = Promise.all(Array.from({ length: 7 }, (_, chat) => album(chat)));
  const sign = queue.run({ chat: 'other', group: false, priority: 'sign' }, async () => void begun.push(99));
  await new Promise((resolve) => setImmediate(resolve));
  // Three albums are a second's worth; whatever else there is waits for the next.
  expect(begun).toEqual([0, 1, 2]);
  await Promise.all([albums, sign]);
  expect(begun).toHaveLength(8);
});

test('a second is counted from when the last request was over, for the server counts from when it came', async () => {
  const queue = new OutgoingQueue({ ...rates, perSecond: 1 });
  let arrived = 0;
  const slow = queue.run({ chat: 'a', group: false, priority: 'message' }, async () => {
    await new Promise((resolve) => setTimeout(resolve, 200));
    arrived = Date.now();
  });
  const next = queue.run({ chat: 'b', group: false, priority: 'message' }, async () => Date.now() - arrived);
  await slow;
  expect(await next).toBeGreaterThanOrEqual(rates.secondMs - 5);
});
