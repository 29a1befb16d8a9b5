// What may enter a train set, and what never does: every case is a person who did not consent to it.
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { TrainRow } from '../../src/learning/contracts.ts';
import { lessonsOf, trainingSources } from '../../src/learning/materials.ts';
import { parseLearningSettings } from '../../src/learning/settings.ts';
import { takeSnapshot, tooLittle } from '../../src/learning/snapshot.ts';
import { openWorld, plantPreference, type World } from './world.ts';

let world: World;
beforeAll(async () => {
  world = await openWorld();
}, 120_000);
afterAll(async () => {
  await world.close();
  world.cleanUp();
});

const settings = parseLearningSettings({});
const snapshot = (change: object = {}) => takeSnapshot({ store: world.store, gallery: () => world.gallery, settings: { ...settings, ...change }, since: 0 });
const textOf = (rows: readonly TrainRow[]) => JSON.stringify(rows);
const of = (rows: readonly TrainRow[], answerId: string) => rows.filter(({ provenance }) => provenance.answerId === answerId);

test('without consent to use votes nothing of a person enters, and it is said how much was left out', async () => {
  const silent = await world.person(100, []);
  const answer = await silent.ask('zq-secret-words', [world.pictures[1]!]);
  await world.store.votes.set(answer, silent.user.id, 'up');
  const { rows, leftOut } = await snapshot();
  expect(textOf(rows)).not.toContain('zq-secret-words');
  expect(textOf(rows)).not.toContain(silent.user.id);
  expect(leftOut).toEqual({ noConsent: 1 });
});

test('consent to votes alone gives the vote and no word; consent to text gives the words', async () => {
  const voter = await world.person(101, ['train-votes']);
  const answer = await voter.ask('zq-only-votes', [world.pictures[2]!]);
  await world.store.votes.set(answer, voter.user.id, 'up');
  const before = await snapshot();
  expect(textOf(before.rows)).not.toContain('zq-only-votes');
  expect(of(before.rows, answer)).toMatchObject([{ kind: 'positive', pictureId: world.pictures[2], text: null, provenance: { userId: voter.user.id, origin: 'vote' } }]);
  // Without words the vote still says that the picture is worth its caption.
  expect(lessonsOf(before.rows).asked).toContainEqual(expect.objectContaining({ request: 'a green field', verbatim: false, pictureId: world.pictures[2] }));

  const consent = await world.store.consents.grant(voter.user.id, 'train-text', voter.chatId);
  const after = await snapshot();
  expect(of(after.rows, answer)).toMatchObject([{ kind: 'question', text: 'zq-only-votes', provenance: { consentId: consent.id } }, { kind: 'positive' }]);
  await world.store.consents.revoke(voter.user.id);
  expect(textOf((await snapshot()).rows)).not.toContain('zq-only-votes');
  expect(of((await snapshot()).rows, answer)).toEqual([]);
});

test('words of others stay out: those quoted, those of a group without everybody’s consent, those of another chat', async () => {
  const { conversations, votes, consents } = world.store;
  const group = await conversations.ensureChat({ platform: 'telegram', externalId: '-55', kind: 'group' });
  const [asker, stranger] = [await world.person(102), await world.person(103, [])];
  const conversation = await conversations.current(group.id);
  const save = async (parts: Parameters<typeof conversations.appendTurn>[1]['parts'], said: string) => {
    const question = await conversations.appendTurn(conversation.id, { role: 'user', authorId: asker.user.id, parts });
    const answer = await conversations.saveAnswer({ conversationId: conversation.id, questionTurnId: question.id, parts: [{ type: 'text', text: said }], seed: 1, options: {}, adapter: 'a', model: 'm', retProbability: 0, endReason: 'stop', rets: [], shown: [] });
    await votes.set(answer.id, asker.user.id, 'up');
    return answer.id;
  };
  // Consent of the private chat allows nothing in the group.
  const elsewhere = await save([{ type: 'text', text: 'zq-elsewhere' }], 'zq-answer-elsewhere');
  expect(of((await snapshot()).rows, elsewhere)).toEqual([]);
  for (const purpose of ['train-text', 'train-votes'] as const) await consents.grant(asker.user.id, purpose, group.id);
  expect(textOf((await snapshot()).rows)).toContain('zq-answer-elsewhere');

  await conversations.appendTurn(conversation.id, { role: 'user', authorId: stranger.user.id, parts: [{ type: 'text', text: 'my name is zq-stranger' }] });
  await save([{ type: 'text', text: 'zq-quoted-words\n' }, { type: 'text', text: 'zq-own-words', }], 'hello zq-stranger');
  await save([{ type: 'text', text: 'zq-marked', quoted: stranger.user.id }, { type: 'text', text: 'zq-more-own' }], 'zq-marked indeed');
  const text = textOf((await snapshot()).rows);
  for (const theirs of ['zq-stranger', 'zq-quoted-words', 'zq-marked']) expect(text).not.toContain(theirs);
  expect(text).toContain('zq-answer-elsewhere');
});

test('from Discord no message text ever enters; votes and captions only behind their switches', async () => {
  const person = await world.person(104, ['train-text', 'train-pictures', 'train-votes'], 'discord');
  const answer = await person.ask('zq-discord-words', [world.pictures[3]!]);
  await world.store.votes.set(answer, person.user.id, 'up');
  await world.store.votes.correct(answer, person.user.id, { kind: 'it-shows', text: 'zq-discord-correction' });
  const learnt = '00000000-0000-4000-8000-000000000099';
  const row = (await world.store.pictures.get(world.pictures[3]!))!;
  await world.store.pictures.add([{ ...row, id: learnt, tenant: 'chat:discord:104', caption: 'zq-discord-caption', alt: 'x', addedBy: person.user.id }]);
  const off = await snapshot();
  expect(textOf(off.rows)).not.toContain('zq-discord');
  expect(textOf(off.rows)).not.toContain(person.user.id);
  expect(off.leftOut['discordVotesOff']).toBe(1);
  const votes = await snapshot({ discord: { votes: true, captions: false } });
  expect(textOf(votes.rows)).not.toContain('zq-discord');
  expect(of(votes.rows, answer)).toMatchObject([{ kind: 'positive', text: null, pictureId: world.pictures[3] }]);
  const both = await snapshot({ discord: { votes: true, captions: true } });
  expect(both.rows.filter(({ text }) => text?.startsWith('zq-discord'))).toMatchObject([{ kind: 'learn', text: 'zq-discord-caption', provenance: { userId: person.user.id, origin: 'learn' } }]);
  await world.store.consents.revoke(person.user.id, 'train-pictures');
  expect(textOf((await snapshot({ discord: { votes: true, captions: true } })).rows)).not.toContain('zq-discord');
});

test('one example per person and answer; a person weighs at most the bound; corrections reject', async () => {
  const person = await world.person(105);
  const { votes } = world.store;
  const [cat, a, b] = world.pictures as [string, string, string];
  const corrected = await person.ask('zq show me my cat', [a, b]);
  await votes.set(corrected, person.user.id, 'down');
  await votes.correct(corrected, person.user.id, { kind: 'not-this', pictureId: a });
  await votes.correct(corrected, person.user.id, { kind: 'right-picture', pictureId: cat });
  const changed = await person.ask('zq another', [a]);
  await votes.set(changed, person.user.id, 'down');
  await votes.set(changed, person.user.id, 'up');
  const { rows } = await snapshot({ personWeight: 0.5 });
  expect(of(rows, corrected).filter(({ kind }) => kind !== 'question')).toMatchObject([{ kind: 'positive', pictureId: cat, extra: { rejected: [a, b] }, provenance: { origin: 'correction' }, weight: 0.25 }]);
  expect(of(rows, changed).filter(({ kind }) => kind !== 'question')).toMatchObject([{ kind: 'positive', pictureId: a, weight: 0.25 }]);
  // A caption of the same person's comes under the same bound.
  await world.store.consents.grant(person.user.id, 'train-pictures', person.chatId);
  const row = (await world.store.pictures.get(a))!;
  await world.store.pictures.add([{ ...row, id: '00000000-0000-4000-8000-000000000098', tenant: 'chat:telegram:105', caption: 'zq mine', alt: 'x', addedBy: person.user.id }]);
  const three = (await snapshot({ personWeight: 0.6 })).rows.filter(({ weight, provenance }) => weight > 0 && provenance.userId === person.user.id);
  expect(three.map(({ kind }) => kind).sort()).toEqual(['learn', 'positive', 'positive']);
  for (const { weight } of three) expect(weight).toBeCloseTo(0.2);
  const known = new Set(world.pictures.map((id) => `gallery ${id}`));
  const examples = trainingSources(lessonsOf(rows.map((row) => ({ ...row, split: 'train' }))), known, 0).flatMap((source) => source.examples);
  expect(examples).toContainEqual(expect.objectContaining({ request: 'zq show me my cat', rejected: [{ images: '', name: `gallery ${a}` }, { images: '', name: `gallery ${b}` }] }));
});

test('of an answer that 🔁 replaced its pictures are rejected once the new one is approved', async () => {
  const person = await world.person(110);
  const { conversations, votes } = world.store;
  const [cat, a] = world.pictures as [string, string];
  const first = await person.ask('zq again my cat', [a]);
  const { questionTurnId, conversationId } = (await conversations.answer(first))!;
  const second = await conversations.saveAnswer({ conversationId, questionTurnId: questionTurnId!, parts: [{ type: 'text', text: 'Here.' }], seed: 2, options: {}, adapter: 'a', model: 'm', retProbability: 1, endReason: 'stop', rets: [], shown: [{ pictureId: cat, ret: 0, score: 1 }] });
  const lesson = async () => of((await snapshot()).rows, second.id).filter(({ kind }) => kind !== 'question');
  expect(await lesson()).toEqual([]);
  await votes.set(second.id, person.user.id, 'up');
  expect(await lesson()).toMatchObject([{ kind: 'positive', pictureId: cat, extra: { rejected: [a] } }]);
  await votes.set(second.id, person.user.id, 'down');
  expect(await lesson()).toMatchObject([{ kind: 'negative', pictureId: cat, extra: null }]);
});

test('where nothing was asked in words no words are made up: votes on /similar count and teach nothing', async () => {
  const person = await world.person(106, ['train-text', 'train-pictures', 'train-votes']);
  const { conversations, votes, feedback } = world.store;
  const conversation = await conversations.current(person.chatId);
  const [a, b, right] = world.pictures as [string, string, string];
  const question = await conversations.appendTurn(conversation.id, { role: 'user', authorId: person.user.id, parts: [{ type: 'image', hash: 'c'.repeat(64) }] });
  const answer = await conversations.saveAnswer({
    conversationId: conversation.id, questionTurnId: question.id, seed: 0, options: { similar: true }, adapter: 'a', model: 'm', retProbability: 0, endReason: 'similar',
    parts: [a, b].map((pictureId) => ({ type: 'image', hash: 'd'.repeat(64), pictureId })), rets: [{ embedding: Float32Array.of(1), after: 0, probability: 1 }], shown: [a, b].map((pictureId) => ({ pictureId, ret: 0, score: 1 })),
  });
  const before = await feedback.countSince(0);
  for (const say of [
    () => votes.set(answer.id, person.user.id, 'up'),
    () => votes.set(answer.id, person.user.id, 'down'),
    () => votes.correct(answer.id, person.user.id, { kind: 'not-this', pictureId: b }),
    () => votes.correct(answer.id, person.user.id, { kind: 'right-picture', pictureId: right }),
  ]) {
    await say();
    const { rows, leftOut } = await snapshot();
    expect(of(rows, answer.id)).toEqual([]);
    expect(leftOut['noWords']).toBe(1);
  }
  expect(await feedback.countSince(0)).toBe(before + 1);
  expect(await votes.count(answer.id)).toEqual({ up: 0, down: 1 });
  // What the picture that was sent shows is said in words of one's own.
  await votes.correct(answer.id, person.user.id, { kind: 'it-shows', text: 'zq a red kite' });
  expect(of((await snapshot()).rows, answer.id)).toMatchObject([{ kind: 'picture', imageHash: 'c'.repeat(64) }, { kind: 'caption', text: 'zq a red kite', pictureId: null }]);
});

test('a picture is not rejected for its own caption: without the words of the request a 👎 teaches nothing', async () => {
  const voter = await world.person(107, ['train-votes']);
  const answer = await voter.ask('zq-unheard', [world.pictures[5]!]);
  await world.store.votes.set(answer, voter.user.id, 'down');
  const { rows } = await snapshot();
  expect(of(rows, answer)).toEqual([]);
  await world.store.consents.grant(voter.user.id, 'train-text', voter.chatId);
  expect(of((await snapshot()).rows, answer)).toMatchObject([{ kind: 'question', text: 'zq-unheard' }, { kind: 'negative', pictureId: world.pictures[5] }]);
});

test('a captioned picture that a visitor added on the page is learned from with their consent, and only then', async () => {
  const [visitor, other] = [await world.person(108, [], 'web'), await world.person(109, ['train-pictures'], 'web')];
  const row = (await world.store.pictures.get(world.pictures[6]!))!;
  await world.store.pictures.add([{ ...row, id: '00000000-0000-4000-8000-000000000097', tenant: 'web', caption: 'zq-page-caption', alt: 'x', addedBy: visitor.user.id }]);
  const learnt = async () => (await snapshot()).rows.filter(({ text }) => text === 'zq-page-caption');
  expect(await learnt()).toEqual([]);
  const consent = await world.store.consents.grant(visitor.user.id, 'train-pictures', visitor.chatId);
  expect(await learnt()).toMatchObject([{ kind: 'learn', provenance: { userId: visitor.user.id, consentId: consent.id, platform: 'web', chatId: visitor.chatId, origin: 'learn' } }]);
  await world.store.consents.revoke(visitor.user.id, 'train-pictures', visitor.chatId);
  expect(await learnt()).toEqual([]);
  // A visitor's consent is for the page's gallery, for no chat's.
  await world.store.pictures.add([{ ...row, id: '00000000-0000-4000-8000-000000000096', tenant: 'chat:telegram:109', caption: 'zq-elsewhere-caption', alt: 'x', addedBy: other.user.id }]);
  expect(textOf((await snapshot()).rows)).not.toContain('zq-elsewhere-caption');
});

test('with the consents revoked first the train set is empty, and the job says so', async () => {
  const other = await openWorld();
  try {
    await plantPreference(other);
    const learning = await other.learning({ replay: { pictures: 0, dev: 0 } });
    for (let number = 1; number <= 12; number++) await other.store.consents.revoke((await other.person(number, [])).user.id);
    const empty = await takeSnapshot({ store: other.store, gallery: () => other.gallery, settings: parseLearningSettings({ replay: { pictures: 0, dev: 0 } }), since: 0 });
    expect(empty.rows).toEqual([]);
    expect(tooLittle(empty, settings)).toContainEqual({ key: 'job.leftOut', values: { reason: 'noConsent', count: 60 } });
    const refused = await learning.jobs.start({ by: '', reason: 'x' });
    expect(refused).toMatchObject({ started: false, why: expect.stringMatching(/too little.*0 new examples.*60 × no consent/) });
    expect(await other.store.trainSets.list()).toEqual([]);
  } finally {
    await other.close();
    other.cleanUp();
  }
}, 120_000);
