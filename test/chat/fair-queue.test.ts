// Admission: bounded, fair between chats, honest about the place.
import { describe, expect, test } from '@jest/globals';
import fc from '../setup/seeded.ts';
import { FairQueue } from '../../src/chat/fair-queue.ts';

const never = new AbortController().signal;

describe('FairQueue', () => {
  test('one chat with a hundred messages does not starve another', async () => {
    const queue = new FairQueue({ maxRunning: 1, maxWaiting: 1000 });
    const order: string[] = [];
    const enter = async (chat: string): Promise<void> => {
      const leave = await queue.enter(chat, never)!.admitted;
      order.push(chat);
      await Promise.resolve();
      leave();
    };
    const flood = Array.from({ length: 100 }, () => enter('flood'));
    const quiet = enter('quiet');
    await Promise.all([...flood, quiet]);
    expect(order.indexOf('quiet')).toBeLessThanOrEqual(2);
  });

  test('the stated position is the true one', async () => {
    await fc.assert(fc.asyncProperty(fc.array(fc.constantFrom('a', 'b', 'c', 'd'), { maxLength: 30 }), async (chats) => {
      const queue = new FairQueue({ maxRunning: 1, maxWaiting: 1000 });
      const hold = await queue.enter('a', never)!.admitted;
      const order: number[] = [];
      const tickets = chats.map((chat) => queue.enter(chat, never)!);
      const stated = tickets.map((ticket) => ticket.position());
      const all = tickets.map(async (ticket, i) => { const leave = await ticket.admitted; order.push(i); leave(); });
      hold();
      await Promise.all(all);
      expect(stated).toEqual(chats.map((_, i) => order.indexOf(i) + 1));
    }));
  });

  test('is bounded, and one that gives up frees its place', async () => {
    const queue = new FairQueue({ maxRunning: 1, maxWaiting: 1 });
    const leave = await queue.enter('a', never)!.admitted;
    const abort = new AbortController();
    const waiting = queue.enter('b', abort.signal)!;
    expect(waiting.position()).toBe(1);
    expect(queue.enter('c', never)).toBeNull();
    abort.abort(new Error('gone'));
    await expect(waiting.admitted).rejects.toThrow('gone');
    const next = queue.enter('c', never)!;
    leave();
    (await next.admitted)();
    expect([queue.running, queue.waiting]).toEqual([0, 0]);
  });
});
