// Inbox and outbox: what every store must do.
import { expect, test } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ClaimedUpdate } from '../../src/chat/contracts.ts';
import { type GetStore, answerTo, scene } from './store-conversations.ts';

const owner = 'test';

export function queueContract(get: GetStore): void {
  test('an update is stored once, whoever brings it how often', async () => {
    const { inbox } = get();
    const platform = `p-${randomUUID()}`;
    const update = { platform, updateId: '1', lane: `${platform}:a`, payload: { text: 'hi \u0000 \ud800' } };
    const words = await Promise.all(Array.from({ length: 8 }, () => inbox.accept(update)));
    expect(words.sort()).toEqual([...Array.from({ length: 7 }, () => 'duplicate'), 'stored']);
    expect(await inbox.acceptAll([update, { ...update, updateId: '2' }])).toEqual(['duplicate', 'stored']);
    const claim = (await inbox.claimNext({ owner, leaseMs: 10_000, platform }))!;
    expect(claim).toMatchObject({ updateId: '1', attempt: 1, payload: update.payload });
    expect(await inbox.complete(claim)).toBe(true);
    expect(await inbox.accept(update)).toBe('duplicate');
  });

  test('of one lane one update is worked on, of two lanes two, each lane in order', async () => {
    const { inbox } = get();
    const platform = `p-${randomUUID()}`;
    for (let i = 0; i < 12; i++) await inbox.accept({ platform, updateId: String(i), lane: `${platform}:${i % 3}`, payload: i });
    const seen: Record<string, number[]> = {};
    const working = new Set<string>();
    let most = 0;
    const worker = async () => {
      for (let idle = 0; idle < 3; ) {
        const claim = await inbox.claimNext({ owner, leaseMs: 10_000, platform });
        if (!claim) {
          idle += 1;
          await sleep(15);
          continue;
        }
        expect(working.has(claim.lane)).toBe(false);
        working.add(claim.lane);
        most = Math.max(most, working.size);
        await sleep(10);
        (seen[claim.lane] ??= []).push(Number(claim.updateId));
        working.delete(claim.lane);
        expect(await inbox.complete(claim)).toBe(true);
      }
    };
    await Promise.all([worker(), worker(), worker(), worker()]);
    expect(seen).toEqual({ [`${platform}:0`]: [0, 3, 6, 9], [`${platform}:1`]: [1, 4, 7, 10], [`${platform}:2`]: [2, 5, 8, 11] });
    expect(most).toBeGreaterThan(1);
  });

  test('lanes take turns: a long one does not keep a short one waiting', async () => {
    const { inbox } = get();
    const platform = `p-${randomUUID()}`;
    for (let i = 0; i < 5; i++) await inbox.accept({ platform, updateId: String(i), lane: `${platform}:long`, payload: null });
    await sleep(3);
    await inbox.accept({ platform, updateId: 'short', lane: `${platform}:short`, payload: null });
    expect(await inbox.position(`${platform}:short`)).toBeGreaterThanOrEqual(1);
    const order: string[] = [];
    for (let claim; (claim = await inbox.claimNext({ owner, leaseMs: 10_000, platform })); ) {
      order.push(claim.updateId);
      await sleep(2);
      await inbox.complete(claim);
    }
    expect(order.indexOf('short')).toBe(1);
    expect(order.filter((id) => id !== 'short')).toEqual(['0', '1', '2', '3', '4']);
  });

  test('an expired lease is taken over, and its old holder can change nothing', async () => {
    const { inbox, outbox } = get();
    const { platform, chat } = await scene(get());
    await inbox.accept({ platform, updateId: '1', lane: `${platform}:a`, payload: 'x' });
    const late = (await inbox.claimNext({ owner, leaseMs: 1, platform }))!;
    await sleep(20);
    const taker = (await inbox.claimNext({ owner: 'other', leaseMs: 10_000, platform }))!;
    expect(taker).toMatchObject({ id: late.id, attempt: 2 });
    expect(taker.fence).toBeGreaterThan(late.fence);
    const key = `late ${platform}`;
    expect(await inbox.complete(late, [{ key, platform, chatId: chat.id, payload: 'late' }])).toBe(false);
    expect(await inbox.extend(late, 1000)).toBe(false);
    expect(await inbox.fail(late, 'late')).toBe('lost');
    expect(await outbox.find(key)).toBeNull();
    expect(await inbox.extend(taker, 10_000)).toBe(true);
    expect(await inbox.complete(taker)).toBe(true);
    expect(await inbox.complete(taker)).toBe(false);
  });

  test('a lease that ran out is no lease for who still works under it', async () => {
    const { inbox, outbox } = get();
    const { platform, chat } = await scene(get());
    const lane = `${platform}:busy`;
    await inbox.accept({ platform, updateId: '1', lane, payload: 'x' });
    const mine = (await inbox.claimNext({ owner, leaseMs: 1, platform }))!;
    await outbox.enqueue([{ key: `${platform} slow`, platform, chatId: chat.id, lane, payload: 1 }]);
    const sending = (await outbox.claimNext({ owner, leaseMs: 1, platform }))!;
    await outbox.markStarted(sending);
    await sleep(20);
    expect(await inbox.claimNext({ owner, leaseMs: 10_000, platform, except: [lane] })).toBeNull();
    expect(await outbox.claimNext({ owner, leaseMs: 10_000, platform, except: [lane] })).toBeNull();
    await outbox.sweep({ except: [lane] });
    expect(await outbox.find(sending.key)).toMatchObject({ state: 'running' });
    expect(await inbox.complete(mine)).toBe(true);
    expect(await outbox.markSent(sending, ['m1'])).toBe(true);
  });

  test('a failed update keeps its place until it is a dead letter, and can be tried again', async () => {
    const { inbox } = get();
    const platform = `p-${randomUUID()}`;
    const take = () => inbox.claimNext({ owner, leaseMs: 10_000, platform }) as Promise<ClaimedUpdate>;
    await inbox.acceptAll([{ platform, updateId: '1', lane: 'l' + platform, payload: 1 }, { platform, updateId: '2', lane: 'l' + platform, payload: 2 }]);
    expect(await inbox.fail(await take(), 'later', { retryInMs: 700 })).toBe('retry');
    expect(await take()).toBeNull();
    const wait = await inbox.nextReadyInMs();
    expect(wait).not.toBeNull();
    await sleep(750);
    const second = await take();
    expect(second).toMatchObject({ updateId: '1', attempt: 2 });
    expect(await inbox.fail(second, 'bad', { retryInMs: 1, maxAttempts: 2 })).toBe('dead');
    const two = await take();
    expect(two.updateId).toBe('2');
    await inbox.complete(two);
    const letter = (await inbox.deadLetters()).find((one) => one.platform === platform)!;
    expect(letter).toMatchObject({ updateId: '1', attempts: 2, error: 'bad' });
    expect(await inbox.retryDead(letter.id)).toBe(true);
    expect(await take()).toMatchObject({ updateId: '1', payload: 1, attempt: 1 });
  });

  test('an update that ends the process each time dies after eight attempts and frees its lane', async () => {
    const { inbox } = get();
    const platform = `p-${randomUUID()}`;
    await inbox.acceptAll([{ platform, updateId: 'poison', lane: 'l' + platform, payload: 1 }, { platform, updateId: 'next', lane: 'l' + platform, payload: 2 }]);
    for (let attempt = 1; attempt <= 8; attempt++) {
      expect(await inbox.claimNext({ owner, leaseMs: 0, platform })).toMatchObject({ updateId: 'poison', attempt });
      await sleep(2);
    }
    expect(await inbox.claimNext({ owner, leaseMs: 10_000, platform })).toMatchObject({ updateId: 'next' });
    expect((await inbox.deadLetters()).filter((one) => one.platform === platform)).toHaveLength(1);
  });

  test('what waits behind an update can be read, and ends with it', async () => {
    const { inbox } = get();
    const platform = `p-${randomUUID()}`;
    const lane = `${platform}:a`;
    for (const updateId of ['1', '2', '3', '4']) await inbox.accept({ platform, updateId, lane, payload: { is: updateId } });
    await inbox.accept({ platform, updateId: 'other', lane: `${platform}:b`, payload: null });
    const claim = (await inbox.claimNext({ owner, leaseMs: 10_000, platform }))!;
    expect(claim.updateId).toBe('1');
    const behind = await inbox.waiting(platform, { lane });
    expect(behind.map(({ updateId, payload }) => [updateId, payload])).toEqual([['2', { is: '2' }], ['3', { is: '3' }], ['4', { is: '4' }]]);
    expect(Math.abs(Date.now() - behind[0]!.receivedAt)).toBeLessThan(60_000);
    expect((await inbox.waiting(platform, { limit: 2 })).map(({ updateId }) => updateId)).toEqual(['2', '3']);
    expect((await inbox.waiting(platform)).map(({ updateId }) => updateId)).toEqual(['2', '3', '4', 'other']);
    // Only what waits in the same lane: the other lane's update keeps its own end.
    expect(await inbox.complete(claim, [], ['2', '4', 'other'])).toBe(true);
    expect((await inbox.waiting(platform)).map(({ updateId }) => updateId)).toEqual(['3', 'other']);
    expect(await inbox.accept({ platform, updateId: '4', lane, payload: null })).toBe('duplicate');
    expect(await inbox.complete(claim, [], ['3'])).toBe(false);
    expect((await inbox.waiting(platform)).map(({ updateId }) => updateId)).toEqual(['3', 'other']);
  });

  test('release gives back without counting, cancel takes waiting ones away', async () => {
    const { inbox } = get();
    const platform = `p-${randomUUID()}`;
    await inbox.acceptAll(['1', '2', '3'].map((updateId) => ({ platform, updateId, lane: 'l' + platform, payload: null })));
    const claim = (await inbox.claimNext({ owner, leaseMs: 10_000, platform }))!;
    expect(await inbox.cancel(platform, ['1', '2'])).toEqual(['2']);
    expect(await inbox.release(claim)).toBe(true);
    const again = (await inbox.claimNext({ owner, leaseMs: 10_000, platform }))!;
    expect(again).toMatchObject({ updateId: '1', attempt: 1 });
    await inbox.complete(again);
    const last = (await inbox.claimNext({ owner, leaseMs: 10_000, platform }))!;
    expect(last.updateId).toBe('3');
    await inbox.complete(last);
    expect(await inbox.claimNext({ owner, leaseMs: 10_000, platform })).toBeNull();
    await inbox.setCursor(platform, { offset: 7 });
    expect(await inbox.cursor(platform)).toEqual({ offset: 7 });
    await inbox.setCursor(platform, null);
    expect(await inbox.cursor(platform)).toBeNull();
  });

  test('completing an update enqueues its messages in the same step, each key once', async () => {
    const { inbox, outbox } = get();
    const { platform, chat } = await scene(get());
    await inbox.accept({ platform, updateId: '1', lane: 'l' + platform, payload: null });
    const claim = (await inbox.claimNext({ owner, leaseMs: 10_000, platform }))!;
    const messages = [1, 2].map((part) => ({ key: `${platform} ${part}`, platform, chatId: chat.id, payload: { part } }));
    await inbox.complete(claim, messages);
    const ids = await outbox.enqueue(messages);
    expect(new Set(ids).size).toBe(2);
    const first = (await outbox.claimNext({ owner, leaseMs: 10_000, platform }))!;
    expect(first).toMatchObject({ payload: { part: 1 }, attempt: 1 });
    // The second one of the same chat waits for the first.
    expect(await outbox.claimNext({ owner, leaseMs: 10_000, platform })).toBeNull();
    expect(await outbox.markStarted(first)).toBe(true);
    expect(await outbox.markSent(first, ['m1'])).toBe(true);
    expect(await outbox.find(first.key)).toMatchObject({ state: 'sent', messageIds: ['m1'] });
    expect(await outbox.claimNext({ owner, leaseMs: 10_000, platform })).toMatchObject({ payload: { part: 2 } });
  });

  test('what was claimed and not started is sent later, what was started is not sent twice', async () => {
    const { outbox } = get();
    const { platform, chat } = await scene(get());
    const message = (key: string, idempotent: boolean) => ({ key: `${platform} ${key}`, platform, chatId: chat.id, lane: `${platform} ${key}`, payload: key, idempotent });
    await outbox.enqueue([message('claimed', false), message('started', false), message('edit', true)]);
    for (let i = 0; i < 3; i++) {
      const claim = (await outbox.claimNext({ owner: 'dies', leaseMs: 1200, platform }))!;
      if (claim.payload !== 'claimed') expect(await outbox.markStarted(claim)).toBe(true);
    }
    await sleep(1250);
    const swept = await outbox.sweep();
    expect(swept.retried).toBeGreaterThanOrEqual(2);
    expect(swept.unknown).toBeGreaterThanOrEqual(1);
    const again: unknown[] = [];
    for (let claim; (claim = await outbox.claimNext({ owner, leaseMs: 10_000, platform })); ) {
      again.push(claim.payload);
      await outbox.markStarted(claim);
      await outbox.markSent(claim, []);
    }
    expect(again.sort()).toEqual(['claimed', 'edit']);
    const [unknown] = (await outbox.unknown()).filter((one) => one.platform === platform);
    expect(unknown).toMatchObject({ payload: 'started' });
    expect(await outbox.resolve(unknown!.id, 'resend')).toBe(true);
    const resent = (await outbox.claimNext({ owner, leaseMs: 10_000, platform }))!;
    expect(resent.payload).toBe('started');
    expect(await outbox.markStarted(resent)).toBe(true);
    expect(await outbox.markUnknown(resent, 'socket closed')).toBe('unknown');
    expect(await outbox.resolve(unknown!.id, { sent: ['m9'] })).toBe(true);
    expect(await outbox.find(unknown!.key)).toEqual({ id: unknown!.id, state: 'sent', messageIds: ['m9'] });
  });

  test('a claim takes over without a sweep, and late news of a send still counts', async () => {
    const { outbox } = get();
    const { platform, chat } = await scene(get());
    await outbox.enqueue([{ key: `${platform} 1`, platform, chatId: chat.id, payload: 1 }, { key: `${platform} 2`, platform, chatId: chat.id, payload: 2 }]);
    const slow = (await outbox.claimNext({ owner, leaseMs: 1, platform }))!;
    await outbox.markStarted(slow);
    await sleep(20);
    expect(await outbox.claimNext({ owner, leaseMs: 10_000, platform })).toMatchObject({ payload: 2 });
    expect(await outbox.find(slow.key)).toMatchObject({ state: 'unknown' });
    expect(await outbox.markStarted(slow)).toBe(false);
    expect(await outbox.markSent(slow, ['m1'])).toBe(true);
    expect(await outbox.find(slow.key)).toMatchObject({ state: 'sent', messageIds: ['m1'] });
  });

  test('a refused send waits, a hopeless one dies, ids of a sent one lead to its answer', async () => {
    const { conversations, outbox } = get();
    const { platform, chat, conversation } = await scene(get());
    const answer = await conversations.saveAnswer(answerTo(conversation, null));
    await outbox.enqueue([{ key: `${platform} a`, platform, chatId: chat.id, turnId: answer.turnId, payload: 'a' }]);
    const claim = (await outbox.claimNext({ owner, leaseMs: 10_000, platform }))!;
    await outbox.markStarted(claim);
    expect(await outbox.markFailed(claim, '429', { retryInMs: 700 })).toBe('retry');
    expect(await outbox.claimNext({ owner, leaseMs: 10_000, platform })).toBeNull();
    await sleep(750);
    const again = (await outbox.claimNext({ owner, leaseMs: 10_000, platform }))!;
    expect(again).toMatchObject({ attempt: 2, nonce: claim.nonce });
    expect(again.nonce.length).toBeLessThanOrEqual(25);
    await outbox.markStarted(again);
    await outbox.markSent(again, ['41', '42']);
    expect(await conversations.answerByMessage(chat.id, '42')).toMatchObject({ id: answer.id });

    await outbox.enqueue([{ key: `${platform} b`, platform, chatId: chat.id, payload: 'b' }, { key: `${platform} c`, platform, chatId: chat.id, payload: 'c' }]);
    const hopeless = (await outbox.claimNext({ owner, leaseMs: 10_000, platform }))!;
    await outbox.markStarted(hopeless);
    expect(await outbox.markFailed(hopeless, '403')).toBe('dead');
    expect(await outbox.cancel(`${platform} c`)).toBe(true);
    expect(await outbox.claimNext({ owner, leaseMs: 10_000, platform })).toBeNull();
    expect((await outbox.stats()).dead).toBeGreaterThanOrEqual(2);
  });

  test('finished entries are forgotten after their time, and not before', async () => {
    const { inbox } = get();
    const platform = `p-${randomUUID()}`;
    await inbox.accept({ platform, updateId: '1', lane: 'l' + platform, payload: null });
    await inbox.complete((await inbox.claimNext({ owner, leaseMs: 10_000, platform }))!);
    await inbox.prune();
    expect(await inbox.accept({ platform, updateId: '1', lane: 'l' + platform, payload: null })).toBe('duplicate');
    await sleep(5);
    expect(await inbox.prune(1)).toBeGreaterThanOrEqual(1);
    expect(await inbox.accept({ platform, updateId: '1', lane: 'l' + platform, payload: null })).toBe('stored');
  });
}
