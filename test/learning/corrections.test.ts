// Whatever people say of an answer, and whatever they consented to: properties that every train set has.
import { expect, test } from '@jest/globals';
import fc from '../setup/seeded.ts';
import type { Consent, ConsentPurpose, Correction } from '../../src/chat/contracts.ts';
import { allowFeedback, type AllowedFeedback } from '../../src/learning/consent.ts';
import type { FeedbackRow, TrainRow } from '../../src/learning/contracts.ts';
import { boundPeople, feedbackRows, lessonOf } from '../../src/learning/examples.ts';
import { lessonKinds } from '../../src/learning/snapshot.ts';

const people = ['ann', 'bob', 'eve'] as const;
const pictures = ['cat', 'dog', 'sea'] as const;
const chat = 'here';
/** Everything written in a case carries its writer: `zq-<what>-<who>`. */
const words = (what: string, who: string): string => `zq-${what}-${who}`;

const consent = (userId: string, platform: string): fc.Arbitrary<Consent> =>
  fc.record({
    id: fc.uuid(), userId: fc.constant(userId), platform: fc.constantFrom(platform, platform, 'elsewhere'), grantedAt: fc.constant(1),
    purpose: fc.constantFrom<ConsentPurpose>('train-text', 'train-pictures', 'train-votes'),
    chatId: fc.constantFrom(null, chat, chat, 'another chat'), revokedAt: fc.constantFrom(null, null, 5),
  });
const correctionBy = (userId: string): fc.Arbitrary<Correction> =>
  fc.oneof(
    fc.record({ kind: fc.constantFrom('not-this' as const, 'right-picture' as const), pictureId: fc.constantFrom(...pictures) }),
    fc.constant<Correction>({ kind: 'it-shows', text: words('correction', userId) }),
  );
/** One of each kind, as the store keeps them. */
const oneOfEach = (all: readonly Correction[]): Correction[] => [...new Map(all.map((one) => [one.kind === 'not-this' ? `not ${one.pictureId}` : one.kind, one])).values()];

const feedback: fc.Arbitrary<FeedbackRow> = fc.tuple(fc.constantFrom(...people), fc.constantFrom(...people), fc.constantFrom('telegram', 'discord'), fc.integer({ min: 0, max: 5 })).chain(([userId, author, platform, answer]) =>
  fc.record({
    answerId: fc.constant(`${platform}-${author}-${answer}`), userId: fc.constant(userId), platform: fc.constant(platform), chatId: fc.constant(chat), at: fc.constant(1), adapter: fc.constant('a'),
    vote: fc.constantFrom('up' as const, 'down' as const, null),
    corrections: fc.array(correctionBy(userId), { maxLength: 4 }).map(oneOfEach),
    questionAuthorId: fc.constant(author),
    question: fc.constantFrom([{ type: 'text' as const, text: words('question', author) }], [{ type: 'image' as const, hash: words('picture', author) }, { type: 'text' as const, text: words('question', author) }]),
    answer: fc.constant([{ type: 'text' as const, text: 'zq-answer' }]),
    shown: fc.subarray([...pictures]).map((ids) => ids.map((pictureId) => ({ pictureId, imageHash: 'h', score: 1 }))),
    voterConsents: fc.array(consent(userId, platform), { maxLength: 4 }),
    authorConsents: fc.array(consent(author, platform), { maxLength: 4 }),
  }),
);
const switches = fc.record({ votes: fc.boolean(), captions: fc.boolean() });
const inForce = (consents: readonly Consent[], purpose: ConsentPurpose, platform: string): boolean => consents.some((one) => one.purpose === purpose && one.revokedAt === null && one.platform === platform && (one.chatId === null || one.chatId === chat));

async function rowsOf(all: readonly FeedbackRow[], discord: { votes: boolean; captions: boolean }, personWeight = 2): Promise<TrainRow[]> {
  const allowed = await Promise.all(all.map((row) => allowFeedback(row, { discord, allConsent: async () => false, isPrivate: async () => true })));
  const taught = allowed.filter((one): one is AllowedFeedback => typeof one !== 'string').flatMap((one) => {
    const lesson = lessonOf(one, { shown: one.row.shown.map(({ pictureId }) => pictureId), replaced: [] });
    return lesson === null ? [] : [{ allowed: one, lesson }];
  });
  return boundPeople(feedbackRows(taught, 0.2), personWeight);
}

test('words and pictures enter only with their writer’s consent for this place, corrections among them; Discord’s never', async () => {
  await fc.assert(
    fc.asyncProperty(feedback, switches, async (row, discord) => {
      const text = JSON.stringify((await rowsOf([row], discord)).map(({ text: said, imageHash, extra }) => [said, imageHash, extra]));
      if (row.platform === 'discord') expect(text).not.toContain('zq-');
      const voterAgrees = inForce(row.voterConsents, 'train-votes', row.platform);
      if (!voterAgrees) expect(text).toBe('[]');
      if (!inForce(row.voterConsents, 'train-text', row.platform)) expect(text).not.toContain('zq-correction');
      if (!inForce(row.authorConsents, 'train-text', row.platform)) expect(text).not.toContain('zq-question');
      if (!inForce(row.authorConsents, 'train-pictures', row.platform)) expect(text).not.toContain('zq-picture');
      expect(text).not.toContain('zq-answer');
    }),
    { numRuns: 500 },
  );
});

test('with Discord’s switch off nothing of it enters, whatever is voted or set right', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(feedback, { maxLength: 20 }), fc.boolean(), async (all, captions) => {
      const rows = await rowsOf(all, { votes: false, captions });
      expect(rows.filter(({ provenance }) => provenance.platform === 'discord')).toEqual([]);
    }),
    { numRuns: 100 },
  );
});

test('one lesson a person and answer, one person’s lessons within their bound, each row with the consent that allows it', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(feedback, { maxLength: 40, selector: ({ answerId, userId }) => `${answerId} ${userId}` }), fc.double({ min: 0.1, max: 5, noNaN: true }), async (all, bound) => {
      const rows = await rowsOf(all, { votes: true, captions: true }, bound);
      const lessons = rows.filter(({ kind }) => lessonKinds.has(kind));
      const keys = lessons.map(({ provenance }) => `${provenance.answerId} ${provenance.userId}`);
      expect(new Set(keys).size).toBe(keys.length);
      for (const person of people) expect(lessons.filter(({ provenance }) => provenance.userId === person).reduce((sum, { weight }) => sum + weight, 0)).toBeLessThanOrEqual(bound + 1e-9);
      const given = new Map(all.flatMap(({ voterConsents, authorConsents }) => [...voterConsents, ...authorConsents]).map((one) => [one.id, one]));
      for (const { provenance } of rows) expect(given.get(provenance.consentId ?? '')).toMatchObject({ userId: provenance.userId, revokedAt: null });
    }),
    { numRuns: 200 },
  );
});

test('what was set right is what is taught: the last correction above the vote', async () => {
  const row: FeedbackRow = {
    answerId: 'a', userId: 'ann', platform: 'telegram', chatId: chat, at: 1, adapter: 'a', vote: 'down', questionAuthorId: 'ann', question: [{ type: 'image', hash: 'mine' }, { type: 'text', text: 'what is it?' }], answer: [],
    shown: [], corrections: [{ kind: 'it-shows', text: 'a dog on a sofa' }], authorConsents: [], voterConsents: [],
  };
  const consents = (['train-text', 'train-votes', 'train-pictures'] as const).map((purpose): Consent => ({ id: purpose, userId: 'ann', purpose, chatId: chat, platform: 'telegram', grantedAt: 1, revokedAt: null }));
  const rows = await rowsOf([{ ...row, voterConsents: consents, authorConsents: consents }], { votes: false, captions: false });
  const right: FeedbackRow = { ...row, userId: 'bob', corrections: [{ kind: 'right-picture', pictureId: 'cat' }], voterConsents: consents.map((one) => ({ ...one, userId: 'bob' })), authorConsents: consents };
  // What another one teaches of the same answer, and earlier, takes nothing from it.
  expect((await rowsOf([right, { ...row, voterConsents: consents, authorConsents: consents }], { votes: false, captions: false })).map(({ kind }) => kind)).toEqual(['question', 'picture', 'positive', 'caption']);
  expect(rows.map(({ kind, text, imageHash }) => [kind, text, imageHash])).toEqual([['question', 'what is it?', null], ['picture', null, 'mine'], ['caption', 'a dog on a sofa', null]]);
  // Without the asker's picture the words describe nothing: only the vote is left, and it teaches nothing either.
  expect(await rowsOf([{ ...row, voterConsents: consents, authorConsents: [] }], { votes: false, captions: false })).toEqual([]);
});
