// Conversations, votes, consents, settings, limits and bans: what every store must do.
import { expect, test } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import type { Conversation, NewAnswer } from '../../src/chat/contracts.ts';
import type { Store } from '../../src/store/index.ts';

export type GetStore = () => Store;

const unit = (...values: number[]) => Float32Array.from(values);

/** A person in a chat of their own with an open conversation. */
export async function scene(store: Store, platform = `p-${randomUUID()}`) {
  const user = await store.conversations.ensureUser({ platform, externalId: '9007199254740993', name: 'Ada', locale: 'en' });
  const chat = await store.conversations.ensureChat({ platform, externalId: '-100123', kind: 'group', title: 'Cats' });
  const conversation = await store.conversations.current(chat.id);
  return { platform, user, chat, conversation };
}

export function answerTo(conversation: Conversation, questionTurnId: string | null, more: Partial<NewAnswer> = {}): NewAnswer {
  return {
    conversationId: conversation.id,
    questionTurnId,
    parts: [{ type: 'text', text: 'A cat.' }, { type: 'image', hash: '', pictureId: 'pic-1', alt: 'a cat' }, { type: 'text', text: ' There.' }],
    seed: 4_294_967_295,
    options: { temperature: 0.5, stop: ['\n'] },
    adapter: 'starter',
    model: 'SmolLM2-135M-Instruct',
    retProbability: 0.25,
    endReason: 'stop',
    rets: [{ embedding: unit(0.6, -0.8), after: 6, probability: 0.25 }],
    shown: [{ pictureId: 'pic-1', ret: 0, score: 0.75 }],
    ...more,
  };
}

export function conversationContract(get: GetStore): void {
  test('a user and a chat keep their ids, and a new name replaces the old one', async () => {
    const { conversations } = get();
    const { platform, user, chat } = await scene(get());
    expect(user.externalId).toBe('9007199254740993');
    const again = await conversations.ensureUser({ platform, externalId: user.externalId, name: 'Ada L.' });
    expect(again).toEqual({ ...user, name: 'Ada L.' });
    expect(await conversations.ensureUser({ platform: `${platform}x`, externalId: user.externalId })).not.toMatchObject({ id: user.id });
    expect(await conversations.findChat(platform, chat.externalId)).toEqual(chat);
    expect(await conversations.findChat(platform, '0')).toBeNull();
    await conversations.moveChat(chat.id, '-100999');
    expect(await conversations.ensureChat({ platform, externalId: '-100999', kind: 'group' })).toEqual({ ...chat, externalId: '-100999' });
  });

  test('twenty callers at once make one user, one chat and one conversation', async () => {
    const { conversations } = get();
    const platform = `p-${randomUUID()}`;
    const all = await Promise.all(
      Array.from({ length: 20 }, async () => {
        const user = await conversations.ensureUser({ platform, externalId: '1' });
        const chat = await conversations.ensureChat({ platform, externalId: '1', kind: 'private' });
        return `${user.id} ${chat.id} ${(await conversations.current(chat.id)).id}`;
      }),
    );
    expect(new Set(all).size).toBe(1);
  });

  test('turns come back interleaved, in order, whatever characters they hold', async () => {
    const { conversations } = get();
    const { user, conversation } = await scene(get());
    const hash = 'ab'.repeat(32);
    const parts = [{ type: 'text', text: 'see 👩‍👩‍👧 “это”' }, { type: 'image', hash, alt: 'a dog' }, { type: 'text', text: '?' }] as const;
    await conversations.appendTurn(conversation.id, { role: 'user', authorId: user.id, parts });
    const odd = await conversations.appendTurn(conversation.id, { role: 'user', authorId: user.id, parts: [{ type: 'text', text: 'a\u0000b\ud800c' }] });
    expect(odd.parts).toEqual([{ type: 'text', text: 'ab\ufffdc' }]);
    const turns = await conversations.turns(conversation.id);
    expect(turns.map((turn) => turn.seq)).toEqual([1, 2]);
    expect(turns[0]!.parts).toEqual(parts);
    expect(await conversations.turns(conversation.id, 1)).toEqual([odd]);
  });

  test('thirty turns appended at once get thirty places', async () => {
    const { conversations } = get();
    const { user, conversation } = await scene(get());
    await Promise.all(Array.from({ length: 30 }, (_, i) => conversations.appendTurn(conversation.id, { role: 'user', authorId: user.id, parts: [{ type: 'text', text: String(i) }] })));
    expect((await conversations.turns(conversation.id)).map((turn) => turn.seq)).toEqual(Array.from({ length: 30 }, (_, i) => i + 1));
  });

  test('the same key gives the turn and the answer that are there already', async () => {
    const { conversations } = get();
    const { user, conversation } = await scene(get());
    const question = { role: 'user', authorId: user.id, parts: [{ type: 'text', text: 'what?' }], key: 'update 5', messageIds: ['10', '11'] } as const;
    const turn = await conversations.appendTurn(conversation.id, question);
    expect(await conversations.appendTurn(conversation.id, question)).toEqual(turn);
    const answer = await conversations.saveAnswer(answerTo(conversation, turn.id, { key: 'answer 5' }));
    expect(await conversations.saveAnswer(answerTo(conversation, turn.id, { key: 'answer 5', seed: 1 }))).toEqual(answer);
    expect(await conversations.turns(conversation.id)).toHaveLength(2);
  });

  test('an answer comes back as it was saved', async () => {
    const { conversations } = get();
    const { user, chat, conversation } = await scene(get());
    const turn = await conversations.appendTurn(conversation.id, { role: 'user', authorId: user.id, parts: [{ type: 'text', text: 'show me' }] });
    const given = answerTo(conversation, turn.id, { usage: { newTokens: 4 } });
    const { id, turnId, createdAt, ...kept } = await conversations.saveAnswer(given);
    expect(kept).toEqual(given);
    expect(createdAt).toBeGreaterThan(Date.now() - 60_000);
    expect(await conversations.answersTo(turn.id)).toEqual([{ id, turnId, createdAt, ...kept }]);
    expect(await conversations.answerByTurn(turnId)).toMatchObject({ id });
    await conversations.bindMessages(chat.id, turnId, ['77', '9', '100']);
    expect(await conversations.answerByMessage(chat.id, '100')).toMatchObject({ id });
    expect(await conversations.turnByMessage(chat.id, '77')).toMatchObject({ id: turnId, role: 'assistant' });
    expect(await conversations.answerByMessage(chat.id, '79')).toBeNull();
    expect(await conversations.messageIds(turnId)).toEqual(['9', '77', '100']);
    await Promise.all([conversations.addShown(id, [{ pictureId: 'pic-2', ret: 0, score: 0.5 }]), conversations.addShown(id, [{ pictureId: 'pic-3', ret: 0, score: 0.4 }])]);
    expect([...(await conversations.shownPictures(conversation.id))].sort()).toEqual(['pic-1', 'pic-2', 'pic-3']);
  });

  test('reset closes the conversation and opens another', async () => {
    const { conversations } = get();
    const { chat, conversation } = await scene(get());
    const next = await conversations.reset(chat.id, 'second');
    expect(next.id).not.toBe(conversation.id);
    expect(await conversations.current(chat.id)).toEqual(next);
    expect((await conversations.conversation(conversation.id))!.closedAt).not.toBeNull();
    expect((await conversations.conversations(chat.id)).map((one) => one.id).sort()).toEqual([conversation.id, next.id].sort());
    expect(await conversations.removeConversation(conversation.id)).toBe(true);
    expect(await conversations.removeConversation(conversation.id)).toBe(false);
  });

  test('undo takes the last question with what followed, removal takes a question with its answers', async () => {
    const { conversations } = get();
    const { user, conversation } = await scene(get());
    const ask = (text: string) => conversations.appendTurn(conversation.id, { role: 'user', authorId: user.id, parts: [{ type: 'text', text }] });
    const first = await ask('one');
    await conversations.saveAnswer(answerTo(conversation, first.id));
    const second = await ask('two');
    const answer = await conversations.saveAnswer(answerTo(conversation, second.id));
    expect((await conversations.undo(conversation.id)).map((turn) => turn.id)).toEqual([second.id, answer.turnId]);
    expect(await conversations.answer(answer.id)).toBeNull();
    expect(await conversations.editTurn(first.id, [{ type: 'text', text: 'uno' }])).toMatchObject({ parts: [{ type: 'text', text: 'uno' }] });
    expect(await conversations.removeTurn(first.id)).toBe(true);
    expect(await conversations.turns(conversation.id)).toEqual([]);
    expect(await conversations.removeTurn(first.id)).toBe(false);
    expect(await conversations.editTurn(first.id, [])).toBeNull();
  });

  test('a vote is one per person and answer, the last one wins', async () => {
    const { conversations, votes } = get();
    const { platform, user, conversation } = await scene(get());
    const other = await conversations.ensureUser({ platform, externalId: '2' });
    const { id } = await conversations.saveAnswer(answerTo(conversation, null));
    await Promise.all([votes.set(id, user.id, 'up'), votes.set(id, user.id, 'down'), votes.set(id, user.id, 'up'), votes.set(id, other.id, 'down')]);
    await votes.set(id, user.id, 'up');
    expect(await votes.count(id)).toEqual({ up: 1, down: 1 });
    await votes.set(id, user.id, 'down');
    expect(await votes.count(id)).toEqual({ up: 0, down: 2 });
    expect(await votes.set(id, other.id, null)).toBe(true);
    expect(await votes.of(id, other.id)).toBeNull();
    expect(await votes.set(randomUUID(), user.id, 'up')).toBe(false);
    await votes.correct(id, user.id, { kind: 'not-this', pictureId: 'pic-1' });
    await votes.correct(id, user.id, { kind: 'not-this', pictureId: 'pic-2' });
    await votes.correct(id, user.id, { kind: 'it-shows', text: 'a dog' });
    await votes.correct(id, user.id, { kind: 'it-shows', text: 'two dogs' });
    expect((await votes.corrections(id)).map(({ at: _, ...one }) => one)).toEqual(expect.arrayContaining([
      { kind: 'not-this', pictureId: 'pic-1', userId: user.id },
      { kind: 'not-this', pictureId: 'pic-2', userId: user.id },
      { kind: 'it-shows', text: 'two dogs', userId: user.id },
    ]));
    expect(await votes.corrections(id)).toHaveLength(3);
    await votes.correct(id, other.id, { kind: 'right-picture', pictureId: 'pic-3' });
    expect(await votes.retract(id, user.id)).toBe(3);
    expect(await votes.corrections(id)).toMatchObject([{ kind: 'right-picture', userId: other.id }]);
    expect(await votes.retract(randomUUID(), user.id)).toBe(0);
    const today = (await votes.daily(Date.now() - 60_000)).at(-1)!;
    expect(today.down).toBeGreaterThanOrEqual(1);
  });

  test('consent is scoped, counted once, and ends when it is revoked', async () => {
    const { consents } = get();
    const { platform, user, chat } = await scene(get());
    const here = await consents.grant(user.id, 'train-text', chat.id);
    expect(here).toMatchObject({ platform, chatId: chat.id, revokedAt: null });
    expect(await consents.grant(user.id, 'train-text', chat.id)).toEqual(here);
    expect(await consents.active(user.id, 'train-text', chat.id)).toEqual(here);
    expect(await consents.active(user.id, 'train-text', 'another chat')).toBeNull();
    expect(await consents.active(user.id, 'train-votes', chat.id)).toBeNull();
    await consents.grant(user.id, 'train-text', null);
    expect(await consents.active(user.id, 'train-text', 'another chat')).not.toBeNull();
    expect(await consents.revoke(user.id, 'train-text', chat.id)).toBe(2);
    expect(await consents.active(user.id, 'train-text', chat.id)).toBeNull();
    const again = await consents.grant(user.id, 'train-text', chat.id);
    expect(again.id).not.toBe(here.id);
    expect(await consents.history(user.id)).toHaveLength(3);
  });

  test('settings, limits and bans', async () => {
    const { settings, limits, bans } = get();
    const { user, chat } = await scene(get());
    const scope = `chat:${chat.id}`;
    await settings.set(scope, 'temperature', 0.7);
    await settings.set(scope, 'words', ['a', null, { b: '\u0000' }]);
    expect(await settings.all(scope)).toEqual({ temperature: 0.7, words: ['a', null, { b: '\u0000' }] });
    await settings.unset(scope, 'words');
    expect(await settings.get(scope, 'words')).toBeUndefined();

    const key = `user:${user.id}:message`;
    const at = (now: number) => limits.take(key, { max: 3, windowMs: 1000, now });
    const taken = await Promise.all([at(0), at(100), at(200)]);
    expect(taken.filter((one) => one.allowed)).toHaveLength(3);
    expect(await at(300)).toEqual({ allowed: false, used: 3, retryInMs: 700 });
    expect(await at(1001)).toMatchObject({ allowed: true, used: 3 });

    expect(await bans.active(user.id, chat.id)).toBeNull();
    await bans.ban(user.id, { chatId: chat.id, reason: 'spam', by: 'admin' });
    expect(await bans.active(user.id, chat.id)).toMatchObject({ reason: 'spam', by: 'admin' });
    expect(await bans.active(user.id, 'another')).toBeNull();
    await bans.ban(user.id, { until: Date.now() - 1 });
    expect(await bans.active(user.id, 'another')).toBeNull();
    expect(await bans.unban(user.id, chat.id)).toBe(true);
    expect(await bans.active(user.id, chat.id)).toBeNull();
  });
}
