// Votes and corrections as training material: each with the question, the answer, what was shown, and the
// consents that are in force at this moment.
import type { Consent } from '../chat/contracts.ts';
import type { FeedbackRow, FeedbackStore } from '../learning/contracts.ts';
import type { Client, Database } from './database.ts';
import { chunks, fromTime, toTime } from './rows.ts';
import { partOf, withParts } from './turns.ts';
import { consentOf, correctionOf } from './votes.ts';

interface Changed {
  readonly answerId: string;
  readonly userId: string;
  readonly at: number;
}

/** Pairs of answer and person with the time of their last change, oldest first. */
async function changedSince(client: Client, since: number): Promise<readonly Changed[]> {
  const which = { where: { at: { gt: toTime(since) } }, select: { answerId: true, userId: true, at: true } } as const;
  const latest = new Map<string, Changed>();
  for (const row of [...(await client.vote.findMany(which)), ...(await client.correction.findMany(which))]) {
    const key = `${row.answerId} ${row.userId}`;
    const at = fromTime(row.at);
    if ((latest.get(key)?.at ?? -1) < at) latest.set(key, { answerId: row.answerId, userId: row.userId, at });
  }
  return [...latest.values()].sort((a, b) => a.at - b.at || (a.answerId < b.answerId ? -1 : a.answerId > b.answerId ? 1 : a.userId < b.userId ? -1 : 1));
}

/** At most `limit`, and then all of the last one's millisecond, so that asking on from there misses nothing. */
function firstOf(changed: readonly Changed[], limit: number): readonly Changed[] {
  const last = changed[limit - 1];
  return last === undefined ? changed : changed.filter((one) => one.at <= last.at);
}

async function consentsOf(client: Client, userIds: readonly string[]): Promise<Map<string, Consent[]>> {
  const found = new Map<string, Consent[]>();
  for (const some of chunks([...new Set(userIds)])) {
    for (const row of await client.consent.findMany({ where: { userId: { in: [...some] }, activeKey: { not: null } }, orderBy: { grantedAt: 'asc' } })) {
      found.set(row.userId, [...(found.get(row.userId) ?? []), consentOf(row)]);
    }
  }
  return found;
}

export function createFeedback(database: Database): FeedbackStore {
  return {
    since: (since, limit = 1000) =>
      database.read(async (client) => {
        const changed = firstOf(await changedSince(client, since), limit);
        const include = { turn: { include: withParts }, question: { include: withParts }, conversation: { include: { chat: true } }, shown: { orderBy: { position: 'asc' } }, votes: true, corrections: { orderBy: { at: 'asc' } } } as const;
        const load = (ids: readonly string[]) => client.answer.findMany({ where: { id: { in: [...ids] } }, include });
        const answers = new Map<string, Awaited<ReturnType<typeof load>>[number]>();
        for (const some of chunks([...new Set(changed.map((one) => one.answerId))], 200)) for (const row of await load(some)) answers.set(row.id, row);

        const pictureIds = [...new Set([...answers.values()].flatMap((answer) => answer.shown.map((shown) => shown.pictureId)))];
        const hashes = new Map<string, string>();
        for (const some of chunks(pictureIds)) {
          for (const row of await client.picture.findMany({ where: { id: { in: [...some] } }, select: { id: true, imageHash: true } })) hashes.set(row.id, row.imageHash ?? '');
        }
        const questions = [...answers.values()].flatMap((answer) => answer.question ?? []);
        const writers = questions.flatMap(({ authorId, parts }) => [authorId, ...parts.map((part) => part.quotedId)]).filter((id) => id !== null);
        const consents = await consentsOf(client, [...changed.map((one) => one.userId), ...writers]);

        return changed.flatMap(({ answerId, userId, at }): FeedbackRow[] => {
          const answer = answers.get(answerId);
          if (!answer) return [];
          const { chat } = answer.conversation;
          // A consent for another chat allows nothing here.
          const inForce = (id: string | null | undefined) => (id ? (consents.get(id) ?? []).filter((one) => one.chatId === null || one.chatId === chat.id) : []);
          // What others are quoted with stays out unless they agreed to it themselves.
          const mayStay = (quotedId: string | null) => quotedId === null || inForce(quotedId).some((one) => one.purpose === 'train-text');
          return [
            {
              answerId,
              userId,
              platform: chat.platform,
              chatId: chat.id,
              vote: (answer.votes.find((vote) => vote.userId === userId)?.value ?? null) as FeedbackRow['vote'],
              corrections: answer.corrections.filter((one) => one.userId === userId).map(correctionOf),
              at,
              adapter: answer.adapter,
              questionAuthorId: answer.question?.authorId ?? null,
              question: answer.question?.parts.filter((part) => mayStay(part.quotedId)).map(partOf) ?? [],
              answer: answer.turn.parts.map(partOf),
              shown: answer.shown.flatMap(({ pictureId, score }) => {
                const imageHash = hashes.get(pictureId);
                return imageHash === undefined ? [] : [{ pictureId, imageHash, score }];
              }),
              voterConsents: inForce(userId),
              authorConsents: inForce(answer.question?.authorId),
            },
          ];
        });
      }),

    countSince: (since) => database.read(async (client) => (await changedSince(client, since)).length),
  };
}
