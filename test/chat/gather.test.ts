// What is one turn: albums, forwarded messages and the comment sent with them, in any order of arrival.
import { describe, expect, test } from '@jest/globals';
import fc from '../setup/seeded.ts';
import type { ClaimedUpdate, WaitingUpdate } from '../../src/chat/contracts.ts';
import { Gatherer, joinTurn, mayBePart, type TurnEvent } from '../../src/chat/gather.ts';
import { RunningAnswers } from '../../src/chat/running.ts';
import type { ChatEvent, CommandEvent, MessageEvent } from '../../src/chat/types.ts';

const place = { platform: 'telegram', key: 'telegram:1', chat: 'telegram:1', isPrivate: true, native: {} } as const;
const author = { id: 'telegram:7', name: '', chatAdmin: true };

const message = (messageId: string, more: Partial<MessageEvent> = {}): MessageEvent => ({
  type: 'message', id: `message:${messageId}`, place, author, at: 10_000, messageId, text: '', pictures: [], addressed: 'private', ...more,
});
const photo = (messageId: string, more: Partial<MessageEvent> = {}): MessageEvent => message(messageId, { pictures: [{ key: messageId, handle: messageId }], albumId: 'g', ...more });
const command = (messageId: string, name: string, more: Partial<CommandEvent> = {}): CommandEvent => ({ type: 'command', id: `message:${messageId}`, place, author, at: 10_000, messageId, command: name, options: {}, pictures: [], ...more });

/** A lane whose head is claimed: the others wait behind it, and more may come. */
function lane(events: readonly ChatEvent[], options: { quietMs?: number; maxMs?: number; openedAt?: number; receivedAt?: number } = {}) {
  const waiting: WaitingUpdate[] = [];
  const arrive = (event: ChatEvent, receivedAt = Date.now()): void => void waiting.push({ platform: 'telegram', updateId: event.id, lane: place.key, payload: JSON.parse(JSON.stringify(event)), receivedAt });
  const receivedAt = options.receivedAt ?? Date.now();
  for (const event of events.slice(1)) arrive(event, receivedAt);
  const closing = new AbortController();
  const gatherer = new Gatherer({ inbox: { waiting: async () => [...waiting] }, quietMs: options.quietMs ?? 60, maxMs: options.maxMs ?? 250, openedAt: () => options.openedAt ?? 0, closing: closing.signal });
  const claim = { platform: 'telegram', lane: place.key, receivedAt, attempt: 1 } as ClaimedUpdate;
  return { gatherer, closing, arrive, gather: () => gatherer.gather(claim, events[0] as TurnEvent) };
}

describe('an album', () => {
  test('is one message in any order of arrival, with the pictures in theirs', async () => {
    const { gather } = lane([photo('10'), photo('9', { text: 'look', addressed: 'mention' }), photo('11')]);
    const { event, joined } = await gather();
    expect(joined).toEqual(['message:9', 'message:11']);
    expect(event.pictures.map(({ key }) => key)).toEqual(['9', '10', '11']);
    expect(event).toMatchObject({ type: 'message', id: 'message:10', text: 'look', addressed: 'mention', messageId: '9', messageIds: ['9', '10', '11'] });
    expect(event.albumId).toBeUndefined();
  });

  test('with a command as its caption is one command', async () => {
    const { gather } = lane([photo('10'), photo('11'), { ...command('9', 'learn', { options: { caption: 'a cat' } }), albumId: 'g', pictures: [{ key: '9', handle: '9' }] }]);
    const { event, joined } = await gather();
    expect(event).toMatchObject({ type: 'command', command: 'learn', options: { caption: 'a cat' }, messageId: '9', id: 'message:10' });
    expect(event.pictures.map(({ key }) => key)).toEqual(['9', '10', '11']);
    expect(joined).toHaveLength(2);
  });

  test('does not take in what else stands in the lane', async () => {
    const other = { ...author, id: 'telegram:8' };
    const { gather } = lane([photo('1'), message('2', { text: 'by another', author: other }), photo('3'), message('4', { text: 'afterwards' }), photo('5', { albumId: 'h' }), photo('6', { author: other })]);
    expect((await gather()).joined).toEqual(['message:3']);
  });

  test('is complete after a silence, at ten, or at the latest after its time', async () => {
    const timed = async (work: () => Promise<unknown>): Promise<number> => {
      const started = Date.now();
      await work();
      return Date.now() - started;
    };
    expect(await timed(lane([photo('1'), photo('2')], { quietMs: 80 }).gather)).toBeGreaterThanOrEqual(75);
    const ten = Array.from({ length: 10 }, (_, i) => photo(String(20 + i)));
    expect(await timed(lane(ten, { quietMs: 5_000, maxMs: 6_000 }).gather)).toBeLessThan(1_000);
    const slow = lane([photo('40')], { quietMs: 100, maxMs: 250 });
    let id = 41;
    const feed = setInterval(() => slow.arrive(photo(String(id++))), 30);
    expect(await timed(slow.gather)).toBeLessThan(1_500);
    clearInterval(feed);
  });

  test('after a restart its rest is waited for, and what waited long is not waited for again', async () => {
    const before = Date.now() - 60_000;
    const started = Date.now();
    await lane([photo('1'), photo('2')], { receivedAt: before, quietMs: 120, maxMs: 500, openedAt: started }).gather();
    expect(Date.now() - started).toBeGreaterThanOrEqual(115);
    const again = Date.now();
    await lane([photo('1'), photo('2')], { receivedAt: before, quietMs: 5_000, openedAt: before }).gather();
    expect(Date.now() - again).toBeLessThan(1_000);
  });

  test('the end of the process ends the waiting', async () => {
    const { gather, closing } = lane([photo('1')], { quietMs: 10_000, maxMs: 10_000 });
    setTimeout(() => closing.abort(), 20);
    await expect(gather()).rejects.toMatchObject({ why: 'shutdown' });
  });
});

describe('forwarded messages', () => {
  const forward = (messageId: string, more: Partial<MessageEvent> = {}): MessageEvent => message(messageId, { forwarded: true, ...more });

  test('with a comment are one turn: the comment is the question, the rest what it is about', async () => {
    const { gather } = lane([message('1', { text: 'who is this?' }), forward('2', { text: 'a friend', forwardedFrom: 'telegram:5' }), forward('3', { pictures: [{ key: 'p', handle: 'p' }], at: 11_000 })]);
    const { event, joined } = await gather();
    expect(joined).toEqual(['message:2', 'message:3']);
    expect(event).toMatchObject({ text: 'who is this?', messageId: '1', pictures: [], messageIds: ['1', '2', '3'], replyTo: { text: 'a friend', forwarded: true, author: 'telegram:5', pictures: [{ key: 'p' }] } });
    expect('forwarded' in event && event.forwarded).toBe(false);
  });

  test('alone are one turn', async () => {
    const { event } = await lane([forward('1', { text: 'one' }), forward('2', { text: 'two' })]).gather();
    expect(event).toMatchObject({ text: 'one\ntwo', forwarded: true, messageId: '1' });
  });

  test('of another moment, person or after two comments are not', async () => {
    expect((await lane([message('1', { text: 'a' }), forward('2', { at: 20_000 })]).gather()).joined).toEqual([]);
    expect((await lane([message('1', { text: 'a' }), forward('2', { author: { ...author, id: 'telegram:9' } })]).gather()).joined).toEqual([]);
    expect((await lane([message('1', { text: 'a' }), message('2', { text: 'b' }), forward('3')]).gather()).joined).toEqual([]);
    expect((await lane([message('1', { text: 'a' }), forward('2'), message('3', { text: 'b' })]).gather()).joined).toEqual(['message:2']);
  });

  test('belong to a command about pictures, to no other', async () => {
    expect((await lane([forward('1'), command('2', 'undo')]).gather()).joined).toEqual([]);
    expect((await lane([command('1', 'similar'), forward('2', { pictures: [{ key: 'p', handle: 'p' }] })]).gather()).event).toMatchObject({ type: 'command', command: 'similar', replyTo: { pictures: [{ key: 'p' }] } });
  });

  test('that come while their comment is answered begin the answer anew, once for all', async () => {
    const running = new RunningAnswers();
    const { gather, gatherer } = lane([message('1', { text: 'who is this?' })]);
    await gather();
    expect(gatherer.continues(message('2', { text: 'something else' }))).toBe(false);
    expect(gatherer.continues(forward('3'))).toBe(true);
    // Also when the answer has not yet begun.
    gatherer.grow(place.key, running);
    expect(running.begin(place.key, '1').controller.signal.reason).toMatchObject({ why: 'joined' });
    running.forgetGrowth(place.key);
    const answer = running.begin(place.key, '1');
    expect(answer.controller.signal.aborted).toBe(false);
    gatherer.grow(place.key, running);
    expect(answer.controller.signal.reason).toMatchObject({ why: 'joined' });
    gatherer.end(place.key);
    expect(gatherer.continues(forward('4'))).toBe(false);
  });

  test('in a group may belong to words to the bot, and are kept until that is known', () => {
    expect(mayBePart(forward('2', { addressed: 'none', text: 'read this' }))).toBe(true);
    // Discord hides what it holds.
    expect(mayBePart(forward('3', { addressed: 'none' }))).toBe(false);
    expect(mayBePart(message('4', { addressed: 'none' }))).toBe(false);
  });
});

test('joined in any order, nothing is lost and nothing comes twice', () => {
  const parts = fc.uniqueArray(fc.record({ id: fc.integer({ min: 1, max: 1e9 }), text: fc.constantFrom('', 'a', 'b c') }), { minLength: 2, maxLength: 10, selector: ({ id }) => id });
  fc.assert(fc.property(parts, fc.infiniteStream(fc.nat()), (items, order) => {
    const events = items.map(({ id, text }) => photo(String(id), { text }));
    const shuffled = events.map((event) => ({ event, at: order.next().value as number })).sort((a, b) => a.at - b.at).map(({ event }) => event);
    const one = joinTurn(shuffled) as MessageEvent;
    const sorted = items.toSorted((a, b) => a.id - b.id);
    expect(one.pictures.map(({ key }) => key)).toEqual(sorted.map(({ id }) => String(id)));
    expect(one.text).toBe(sorted.map(({ text }) => text).filter((text) => text !== '').join('\n'));
    expect(one.id).toBe(shuffled[0]!.id);
  }));
});
